"""`scripts/gameday` and the playbook of deploy/soar, against a broker with a gateway."""

import json
import os
import subprocess
import unittest

import jwt
import requests

import broker
from test_hsm import url
from test_inventory import AdministeredHsm
from test_sinks import SECRET, Exporter, eventually

# Rounds of the outage; the long run has more.
ROUNDS = int(os.environ.get("VOUCHSAFE_GAMEDAYS", "1"))
PLAYBOOK = broker.REPO / "deploy/soar/playbook.py"


def mint(setup, claims):
    """A shell command that prints a subject token."""
    body = json.dumps({"aud": setup.broker, "claims": claims})
    return f"curl -fsS --json '{body}' {setup.dev_issuer}/mint | jq -r .token"


class GameDay(unittest.TestCase):
    def play(self, setup, *arguments, code=0):
        admin = {"repository_id": broker.ADMIN, "sub": "repo:octo-org/security"}
        command = [
            *(broker.REPO / "scripts/gameday", "--broker", setup.broker, "--vouchsafe", broker.VOUCHSAFE, "--format", "json"),
            *("--subject-token-command", mint(setup, {}), "--admin-token-command", mint(setup, admin), *arguments),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr + setup.logs())
        return {result["what"]: result for result in json.loads(done.stdout)}

    def test_every_game_stays_within_its_bound(self):
        for _ in range(ROUNDS):
            with AdministeredHsm() as setup:
                gateway = setup.gateway.child.pid
                results = self.play(
                    setup, "--audience", url("delegated-es256"), "--gateway", setup.admin_url,
                    "--admin-token-file", setup.hsm.folder / "admin-token",
                    "--break-command", f"kill -STOP {gateway}", "--mend-command", f"kill -CONT {gateway}",
                )  # fmt: skip
                self.assertEqual(len(results), 8, results)
                self.assertTrue(all(result["ok"] for result in results.values()), results)
                outage = results["the broker issues after the outage"]
                self.assertEqual(outage["note"], "tokens were issued meanwhile", "epoch keys outlive an outage")

    def test_without_hsm_the_rest_is_played(self):
        with broker.Setup() as setup:
            results = self.play(setup, "--audience", "https://api.example", "--scope", "read")
            self.assertEqual({name for name, it in results.items() if "skipped" in it}, {
                "the broker issues after the outage", "every broker follows the emergency rotation",
                "a token of the old keys is rejected", "a token of the new keys is accepted", "a repeated rotation is refused",
            })  # fmt: skip
            # A workload that gets no tokens can't play.
            results = self.play(setup, "--audience", "https://unknown.example", code=1)
            self.assertIn("no token: 400", results["revocation"]["error"])


class Playbook(unittest.TestCase):
    def test_compromised_key_is_rotated_once(self):
        with AdministeredHsm() as setup:
            folder = setup.hsm.folder
            secret = folder / "webhook-secret"
            secret.write_text(SECRET)
            secret.chmod(0o600)
            port = broker.free_port()
            log = open(folder / "playbook.log", "wb")
            self.addCleanup(log.close)
            playbook = subprocess.Popen(
                [PLAYBOOK, "--listen", f"127.0.0.1:{port}", "--secret-file", secret, "--state", folder / "done", "--vouchsafe",
                 broker.VOUCHSAFE, "--broker", setup.broker, "--gateway", setup.admin_url, "--admin-token-file", folder / "admin-token"],
                stdout=log, stderr=log,
            )  # fmt: skip
            self.addCleanup(playbook.wait)
            self.addCleanup(playbook.terminate)
            eventually("the playbook", lambda: not broker.is_free(port))
            hook = f"http://127.0.0.1:{port}/"
            generation = lambda: requests.get(f"{setup.gateway_url}/readyz", timeout=10).json()["generation"]
            self.assertEqual(requests.post(hook, data=b"{}", timeout=10).status_code, 401, "unsigned")
            self.assertEqual(generation(), 1)
            answer = requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker}, timeout=10).json()["token"]
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": url("delegated-es256"),
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "subject_token": answer,
            }  # fmt: skip
            issued = requests.post(f"{setup.broker}/token", data=form, timeout=30).json()["access_token"]
            kid = jwt.get_unverified_header(issued)["kid"]
            claims = {"repository_id": broker.ADMIN, "sub": "repo:octo-org/security"}
            admin = requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker, "claims": claims}, timeout=10).json()["token"]
            (folder / "admin.jwt").write_text(admin)
            with Exporter(setup, setup.folder / "cursor", "--to", hook, "--secret-file", secret):
                subprocess.run(
                    [broker.VOUCHSAFE, "revoke", "--broker", setup.broker, "--subject-token-file", folder / "admin.jwt", "--kid", kid, "--reason", "leaked"],
                    check=True, capture_output=True, timeout=60,
                )  # fmt: skip
                eventually("the rotation", lambda: generation() == 2)
            # The same events again, as after a lost cursor: nothing more happens.
            with Exporter(setup, setup.folder / "cursor-2", "--to", hook, "--secret-file", secret):
                eventually("the repeat", lambda: b"known" in (folder / "playbook.log").read_bytes())
            self.assertEqual(generation(), 2)


if __name__ == "__main__":
    unittest.main()
