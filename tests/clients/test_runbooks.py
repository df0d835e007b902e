"""The runbooks, followed literally: their commands as they stand, and between them what the text tells an operator to do."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
import types
import unittest

import requests

import broker
import pages
from test_hsm import GATEWAY, MODULE, Hsm, HsmSetup, url

WAIT_SECONDS = 60


def eventually(what, look):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"timed out waiting for {what}")


class Operator:
    """Runs the blocks of a section in order, where `hsm-gateway` and `vouchsafe` are installed."""

    def __init__(self, page, heading, folder, environment, changes):
        found = pages.blocks(page)
        self.blocks = [block.text for block in found if block.language == "sh" and block.heading == heading]
        self.words = " ".join((pages.DOCS / page).read_text().split())
        self.folder, self.changes = folder, changes
        self.environment = {**environment, "PATH": f"{broker.VOUCHSAFE.parent}:{os.environ['PATH']}"}

    def next(self, words, **changes):
        """Runs the next block, which must contain `words`; returns its output."""
        text = self.blocks.pop(0)
        assert words in text, (words, text)
        for old, new in {**self.changes, **changes}.items():
            text = text.replace(old, new)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"umask 077\n{text}"], cwd=self.folder, env=self.environment, text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        return done.stdout

    def documents(self, message):
        """Whether the page has the message; `N` there is any number."""
        return re.sub(r"worker \d+", "worker N", message) in self.words


def exchange(setup, audience):
    subject = requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker}, timeout=10).json()["token"]
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": subject,
        "audience": audience,
    }
    return requests.post(f"{setup.broker}/token", data=form, timeout=30)


def issue(setup, audience):
    answer = exchange(setup, audience)
    assert answer.status_code == 200, answer.text + setup.logs()
    return answer.json()["access_token"]


def verifies(setup, token, audience):
    """Whether a verifier that fetches the keys now accepts the token."""
    verify = [broker.VOUCHSAFE, "verify", "--broker", setup.broker, "--audience", audience, "-"]
    done = subprocess.run(verify, input=token, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


class OperatedHsm(HsmSetup):
    """Gateway and broker that an operator stops, reconfigures and starts again."""

    token_file = "gateway-token"

    def operator(self, page, heading):
        changes = {"https://broker.example": self.broker, "https://api.example": DELEGATED, "http://127.0.0.1:8480": self.gateway_url}
        return Operator(page, heading, self.hsm.folder, self.hsm.environment, changes)

    def variables(self):
        return {**super().variables(), "gateway_token": f"@{self.hsm.folder}/{self.token_file}"}

    def edit(self, pattern, replacement):
        """Edits `gateway.toml`, and checks it."""
        file = self.hsm.folder / "gateway.toml"
        text, count = re.subn(pattern, replacement, file.read_text(), count=1)
        assert count == 1, pattern
        file.write_text(text)
        self.hsm.call(GATEWAY, "serve", "--check")

    def replace_credential(self, printed):
        (digest,) = re.findall('^sha256 = "(.*)"$', printed, re.MULTILINE)
        self.edit('(?<=\nsha256 = ")[0-9a-f]+', digest)

    def stop_gateway(self):
        self.processes.remove(self.gateway)
        self.gateway.stop()

    def restart_gateway(self):
        running_broker = self.processes.pop()
        self.stop_gateway()
        self.gateway = self.start_gateway()
        self.processes.append(running_broker)

    def ready(self):
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.gateway_url}/readyz", timeout=10).json()
        return {}

    def gateway_said(self, words):
        return eventually(words, lambda: words in (self.folder / "hsm-gateway.log").read_text())

    def kill_worker(self, number):
        self.gateway_said(f"worker {number} is process ")
        log = (self.folder / "hsm-gateway.log").read_text()
        os.kill(int(re.findall(rf"worker {number} is process (\d+)", log)[-1]), 9)


DELEGATED, HSM = url("delegated-es256"), url("hsm-es256")


class WithHsm(unittest.TestCase):
    def setUp(self):
        self.setup = OperatedHsm()
        self.setup.__enter__()
        self.addCleanup(self.setup.__exit__)

    def test_emergency_rotation_replaces_credential_and_keys(self):
        setup, operator = self.setup, self.setup.operator("runbooks/emergency-rotation.md", "Steps")
        old = issue(setup, DELEGATED)
        setup.replace_credential(operator.next("hsm-gateway credential --out"))
        setup.restart_gateway()
        # The outage that the page announces, in the words of the log.
        for path in ("readyz", ".well-known/jwks.json"):
            eventually("503", lambda path=path: requests.get(f"{setup.broker}/{path}", timeout=10).status_code == 503)
        self.assertEqual(exchange(setup, DELEGATED).status_code, 503)
        message = "`gateway_token` was rejected by the gateway"
        self.assertIn(message, setup.logs())
        self.assertTrue(operator.documents(message))
        setup.token_file = "gateway-token-2"
        setup.restart_broker()
        self.assertTrue(verifies(setup, old, DELEGATED))
        self.assertIn("generation 2 is current, 1 is superseded", operator.next("hsm-gateway rotate --emergency"))
        eventually("generation 2", lambda: setup.ready()["generation"] == 2)
        self.assertIn('"generation":2', operator.next("curl"))
        eventually("a broker that follows", lambda: not verifies(setup, old, DELEGATED))
        self.assertTrue(verifies(setup, issue(setup, DELEGATED), DELEGATED))
        self.assertEqual(operator.blocks, [])

    def test_leaked_root_is_replaced(self):
        setup, operator = self.setup, self.setup.operator("runbooks/leaked-root.md", "With an HSM")
        (setup.hsm.folder / "old-token").write_text(issue(setup, DELEGATED))
        setup.processes.pop().stop()
        setup.stop_gateway()
        self.assertIn("generation 1", operator.next("hsm-gateway status"))
        operator.next("softhsm2-util --init-token", **{"--so-pin …": "--so-pin 0000", "--pin …": "--pin 1234"})
        setup.edit('(?<=\ntoken = ")clients', "vouchsafe-2")
        shares = setup.hsm.folder / "shares"
        shares.mkdir()
        operator.next("hsm-gateway init --generation 5", **{"/mnt/shares": str(shares)})
        self.assertEqual(len(list(shares.iterdir())), 3)
        setup.replace_credential(operator.next("hsm-gateway credential --out"))
        setup.token_file = "gateway-token-2"
        setup.gateway = setup.start_gateway()
        setup.start_broker()
        (setup.hsm.folder / "new-token").write_text(issue(setup, DELEGATED))
        operator.next("--pin-root root.pem - < new-token")
        self.assertEqual(operator.blocks, [])

    def test_outage_of_worker_and_token_is_documented(self):
        setup, operator = self.setup, self.setup.operator("runbooks/hsm-outage.md", "Diagnose")
        printed = operator.next("hsm-gateway status")
        self.assertIn('"hsm":"up"', printed)
        self.assertIn("vouchsafe:root", printed)
        setup.kill_worker(1)
        setup.gateway_said("worker 1 ended (signal 9)")
        self.assertTrue(operator.documents("`worker 1 ended (signal 9)`"))
        setup.gateway_said("worker 2 is process ")
        tokens, away = setup.hsm.folder / "tokens", setup.hsm.folder / "away"
        tokens.rename(away)
        tokens.mkdir()
        setup.kill_worker(2)
        setup.gateway_said("cannot start a worker: no slot has an initialized PKCS#11 token")
        self.assertTrue(operator.documents("`no slot has an initialized PKCS#11 token`"))
        self.assertEqual(setup.ready()["hsm"], "down")
        self.assertEqual(exchange(setup, HSM).status_code, 503)
        self.assertTrue(verifies(setup, issue(setup, DELEGATED), DELEGATED), "tier delegated works")
        tokens.rmdir()
        away.rename(tokens)
        eventually("a recovery", lambda: setup.ready()["hsm"] == "up")
        eventually("a token", lambda: exchange(setup, HSM).status_code == 200)
        self.assertEqual(operator.blocks, [])

    def test_refused_pin_is_corrected_as_documented(self):
        setup, operator = self.setup, self.setup.operator("runbooks/hsm-outage.md", "Diagnose")
        login = ["--module", MODULE, "--token-label", "clients", "--login", "--pin", "1234"]
        setup.hsm.call("pkcs11-tool", *login, "--change-pin", "--new-pin", "5678")
        setup.kill_worker(1)
        message = "the PKCS#11 token rejected the PIN"
        setup.gateway_said(message)
        self.assertTrue(operator.documents(f"`{message}`"))
        (setup.hsm.folder / "pin").write_text("5678")
        (setup.hsm.folder / "state/pin-refused").unlink()
        setup.restart_gateway()
        eventually("a recovery", lambda: setup.ready().get("hsm") == "up")
        eventually("a token", lambda: exchange(setup, HSM).status_code == 200)


class TwoGateways(OperatedHsm):
    """A second gateway of the same PKCS#11 token, which brokers ask if the first one refuses."""

    def prepare(self, policies, issuer):
        super().prepare(policies, issuer)
        self.second_port = broker.free_port()
        self.second_config = self.hsm.folder / "gateway-2.toml"
        text = (self.hsm.folder / "gateway.toml").read_text().replace('"state"', '"state-2"')
        self.second_config.write_text(text.replace(f":{self.hsm.port}", f":{self.second_port}"))
        manifest = self.folder / "spin.toml"
        manifest.write_text(manifest.read_text().replace(self.gateway_url, f'{self.gateway_url}", "{self.second_url()}'))
        self.start_second()

    def second_url(self):
        return f"http://127.0.0.1:{self.second_port}"

    def start_second(self):
        arguments = ["serve", "--config", "gateway-2.toml"]
        log = self.folder / "hsm-gateway-2.log"
        self.second = broker.Process(arguments, log, self.hsm.folder, GATEWAY, self.hsm.environment)
        self.processes.insert(0, self.second)

    def variables(self):
        return {**super().variables(), "gateway_urls": f"{self.gateway_url} {self.second_url()}"}


class WithTwoGateways(unittest.TestCase):
    def test_emergency_rotation_goes_on_issuing(self):
        with TwoGateways() as setup:
            operator = setup.operator("runbooks/emergency-rotation.md", "Steps")
            setup.replace_credential(operator.next("hsm-gateway credential --out"))
            setup.restart_gateway()
            issue(setup, HSM)
            # Before the last gateway restarts.
            setup.token_file = "gateway-token-2"
            setup.restart_broker()
            issue(setup, HSM)
            (digest,) = re.findall('(?<=\nsha256 = ")[0-9a-f]+', (setup.hsm.folder / "gateway.toml").read_text())
            text = re.sub('(?<=\nsha256 = ")[0-9a-f]+', digest, setup.second_config.read_text())
            setup.second_config.write_text(text)
            setup.processes.remove(setup.second)
            setup.second.stop()
            setup.start_second()
            issue(setup, HSM)
            old = issue(setup, DELEGATED)
            operator.next("hsm-gateway rotate --emergency")
            eventually("a broker that follows", lambda: not verifies(setup, old, DELEGATED))
            generations = [requests.get(f"{it}/readyz", timeout=10).json()["generation"] for it in (setup.gateway_url, setup.second_url())]
            self.assertEqual(generations, [2, 2])


class FailedRotation(unittest.TestCase):
    def test_rotation_is_finished_from_the_generation_to_leave(self):
        from test_inventory import AdministeredHsm

        with AdministeredHsm() as setup:
            changes = {
                "https://broker.example": setup.broker, "https://gateway.internal:8481": setup.admin_url, "https://api.example": DELEGATED,
            }  # fmt: skip
            operator = Operator("runbooks/failed-rotation.md", "Steps", setup.hsm.folder, setup.hsm.environment, changes)
            self.assertIn("generation 1, standby 2", operator.next("vouchsafe keys list"))
            rotate = operator.blocks[0]
            self.assertIn("followed after", operator.next("vouchsafe keys rotate"))
            # The same again, as after a lost answer.
            operator.blocks.insert(0, rotate)
            self.assertIn("follows, generation 2", operator.next("vouchsafe keys rotate"))
            self.assertIn('"generation":2', operator.next("curl"))
            (setup.hsm.folder / "new-token").write_text(issue(setup, DELEGATED))
            operator.next("< new-token")
            self.assertEqual(operator.blocks, [])


class Ceremony(unittest.TestCase):
    def test_key_ceremony_makes_and_rehearses_a_backup(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-ceremony-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "tokens").mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
        environment = {**os.environ, "SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        operator = Operator("hsm/key-ceremony.md", "Steps", folder, environment, {"/usr/lib/softhsm/libsofthsm2.so": MODULE})
        # The machine: a file system in memory.
        self.assertIn("mount -t tmpfs", operator.blocks.pop(0))
        operator.next("softhsm2-util --init-token")
        operator.blocks.insert(0, "hsm-gateway credential --out gateway-token")
        sha256 = operator.next("credential").strip()
        here = types.SimpleNamespace(port=broker.free_port())
        configuration = Hsm.config(here, "https://broker.example", sha256).replace('"clients"', '"vouchsafe"')
        (folder / "gateway.toml").write_text(configuration)
        operator.next("--with-backup 2-of-3")
        checked = operator.next("hsm-gateway doctor")
        self.assertNotIn("WRONG", checked)
        self.assertIn("stays in the token, imported", checked)
        self.assertIn("the same root", operator.next("hsm-gateway restore"))
        self.assertEqual(operator.blocks, [])


class WithoutHsm(unittest.TestCase):
    audience = "https://api.example"

    def test_compromised_workload_is_contained(self):
        with broker.Setup() as setup:
            incident, token = "incident-1800000000-9f86d081", "--subject-token-file admin.jwt"
            claims = {"repository_id": broker.ADMIN, "sub": "repo:octo-org/security"}
            answer = requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker, "claims": claims}, timeout=10)
            (setup.folder / "admin.jwt").write_text(answer.json()["token"])
            changes = {
                "https://broker.example": setup.broker,
                "--issuer github": "--issuer dev",
                "'github'": "'dev'",
                "repo:acme/app": "repo:octo-org/octo-repo",
                "/var/lib/vouchsafe": str(setup.folder / "state"),
                "vouchsafe incident contain": f"vouchsafe incident contain {token} --id {incident}",
                "vouchsafe revoke lift": f"vouchsafe revoke lift {token}",
            }
            operator = Operator("runbooks/compromised-workload.md", "Steps", setup.folder, os.environ, changes)
            issue(setup, self.audience)
            contained = operator.next("vouchsafe incident contain")
            self.assertIn(f"contained {incident}: issuer dev, subject repo:octo-org/octo-repo:ref:refs/heads/main\n", contained)
            self.assertIn("1 live token; the last one expires at ", contained)
            # A lost answer: the same id again.
            operator.blocks.insert(0, pages.blocks("runbooks/compromised-workload.md")[0].text)
            self.assertIn(f"contained {incident}: ", operator.next("vouchsafe incident contain"))
            self.assertEqual(exchange(setup, self.audience).json()["error"], "invalid_target")
            self.assertIn('"slug":"issued"', operator.next("SELECT decision_id"))
            self.assertIn(f"lifted {incident}: ", operator.next("vouchsafe revoke lift"))
            self.assertEqual(operator.blocks, [])
            # The second of the lift still counts as blocked.
            eventually("a new token", lambda: exchange(setup, self.audience).status_code == 200)
            operations = Operator("runbooks/compromised-workload.md", "Afterwards", setup.folder, os.environ, changes)
            noted = operations.next("FROM operations")
            self.assertIn('"operation":"lift"', noted)
            self.assertEqual(noted.count('"operation":"block"'), 1)
            reported = operations.next("vouchsafe incident report")
            for words in ("operation block, revocation_id incident-", "operation lift, ", "slug issued, issuer_name dev"):
                self.assertIn(words, reported)

    def test_earlier_policy_is_restored(self):
        with broker.Setup() as setup:
            admin = {"repository_id": broker.ADMIN, "sub": "repo:octo-org/security"}
            minted = requests.post(f"{setup.dev_issuer}/mint", json={"aud": setup.broker, "claims": admin}, timeout=10)
            (setup.folder / "admin.jwt").write_text(minted.json()["token"])
            issue(setup, self.audience)
            shutil.copytree(setup.folder / "policies", setup.folder / "policies.before")
            rule = setup.folder / "policies/rules/extra.cedar"
            rule.write_text('@id("extra")\nforbid (principal, action, resource == Audience::"https://api.example");\n')
            running = setup.processes[-1]
            (setup.folder / "pid").write_text(str(running.child.pid))
            running.child.send_signal(signal.SIGHUP)
            eventually("the wrong bundle", lambda: exchange(setup, self.audience).status_code == 400)
            database = setup.folder / "state/sqlite.db"
            digest = requests.get(f"{setup.broker}/readyz", timeout=10).json()["bundle"]["digest"]
            changes = {
                "https://broker.example": setup.broker, "/var/lib/vouchsafe/sqlite.db": str(database), "--bundle 0000": f"--bundle {digest}",
                "/etc/vouchsafe": str(setup.folder), "/run/vouchsafe.pid": str(setup.folder / "pid"),
                "vouchsafe revoke": "vouchsafe revoke --subject-token-file admin.jwt",
            }  # fmt: skip
            operator = Operator("runbooks/policy-rollback.md", "Steps", setup.folder, os.environ, changes)
            self.assertIn(digest, operator.next("SELECT bundle_digest"))
            operator.next("vouchsafe policy diff")
            eventually("the earlier bundle", lambda: exchange(setup, self.audience).status_code == 200)
            self.assertIn("revoked", operator.next("vouchsafe revoke"))
            self.assertEqual(operator.blocks, [])

    def test_changed_records_are_found(self):
        with broker.Setup() as setup:
            for _ in range(3):
                issue(setup, self.audience)
            requests.get(f"{setup.broker}/log/checkpoint", timeout=10).raise_for_status()
            program = {"cwd": setup.folder, "check": True, "capture_output": True, "text": True, "timeout": 60}
            policy = subprocess.run([broker.VOUCHSAFE, "audit", "policy", "--broker", setup.broker], **program).stdout
            (setup.folder / "log-policy").write_text(policy)
            sink = ("--cursor", "cursor", "--to", f"file:{setup.folder}/audit.jsonl")
            subprocess.run([broker.VOUCHSAFE, "audit", "export", "state", "--format", "ocsf", *sink], **program)
            database = setup.folder / "state/sqlite.db"
            with sqlite3.connect(database) as connection:
                (gone,) = connection.execute("SELECT decision_id FROM audit ORDER BY seq LIMIT 1").fetchone()
                connection.execute("DELETE FROM audit WHERE decision_id = ?", [gone])
            connection.close()
            changes = {
                "/var/lib/vouchsafe/sqlite.db": str(database), "/tmp/evidence.db": str(setup.folder / "evidence.db"),
                "/var/log/vouchsafe/audit.jsonl": str(setup.folder / "audit.jsonl"),
            }  # fmt: skip
            operator = Operator("runbooks/audit-records.md", "Steps", setup.folder, os.environ, changes)
            operator.next("VACUUM INTO")
            self.assertIn(f"deleted: decision {gone}", operator.next("vouchsafe audit verify"))
            self.assertEqual(operator.next("comm -23").split(), [gone])
            self.assertIn("2 tokens, 2 of them live", operator.next("vouchsafe incident report"))
            self.assertEqual(operator.blocks, [])

    def test_leaked_root_is_replaced(self):
        with broker.Setup() as setup:
            changes = {"https://broker.example": setup.broker, "/etc/vouchsafe": str(setup.folder)}
            operator = Operator("runbooks/leaked-root.md", "Without an HSM", setup.folder, os.environ, changes)
            (setup.folder / "old-token").write_text(issue(setup, self.audience))
            setup.processes.pop().stop()
            operator.next("openssl rand 32")
            setup.variables = lambda: {"signer_root": f"@{setup.folder}/signer-root-2"}
            setup.start_broker()
            (setup.folder / "new-token").write_text(issue(setup, self.audience))
            operator.next("< new-token")
            self.assertEqual(operator.blocks, [])


if __name__ == "__main__":
    unittest.main()
