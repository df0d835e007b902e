"""An independent C2SP witness cosigns the log of a broker. Needs Python 3.12 or newer for it."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import requests

import broker
from test_revocation import BROKER, exchange

PINNED = "aics-witness==0.1.0"
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3")
FOLDER = broker.REPO / ".state/witness"
START_SECONDS_MAX = 60


def is_new_enough(python):
    check = "import sys; sys.exit(sys.version_info < (3, 12))"
    return subprocess.run([python, "-c", check], check=False, capture_output=True, timeout=60).returncode == 0


def install():
    """The folder with the witness's programs; none without a Python that it runs on."""
    programs = FOLDER / "bin"
    if not (programs / "aics-witness").exists():
        python = next((found for found in map(shutil.which, PYTHONS) if found and is_new_enough(found)), None)
        if python is None:
            return None
        subprocess.run([python, "-m", "venv", FOLDER], check=True, timeout=300)
        pip = [programs / "pip", "install", "--quiet", "--disable-pip-version-check", PINNED]
        subprocess.run(pip, check=True, timeout=300)
    return programs


def audit(*words):
    done = subprocess.run(
        [broker.VOUCHSAFE, "audit", *words], capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


class Witness:
    """A running witness that knows one log."""

    def __init__(self, programs, folder, number, origin, vkey):
        self.name = f"w{number}"
        config = folder / self.name / "witness.json"
        config.parent.mkdir()
        program, address = programs / "aics-witness", f"127.0.0.1:{broker.free_port()}"

        def run(*words):
            command = [program, words[0], "--config", config, *words[1:]]
            return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

        self.vkey = run("init", "--name", f"witness.example/{self.name}", "--listen", address).strip().splitlines()[-1]
        run("add-log", "--origin", origin, "--vkey", vkey)
        self.url = f"http://{address}"
        self.child = subprocess.Popen(
            [program, "serve", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        timer = threading.Timer(START_SECONDS_MAX, self.child.kill)
        timer.start()
        assert any(" listening on " in line for line in iter(self.child.stderr.readline, "")), "it did not start"
        timer.cancel()
        threading.Thread(target=self.child.stderr.read, daemon=True).start()

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=20)


class Cosigned(unittest.TestCase):
    def setUp(self):
        self.programs = install()
        if self.programs is None:
            self.skipTest("no Python 3.12 or newer, which the witness needs")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        exchange(subject="repo:octo-org/witness-1").raise_for_status()
        code, policy, error = audit("policy", "--broker", BROKER)
        self.assertEqual(code, 0, error)
        self.vkey = policy.split()[1]
        self.origin = self.vkey.split("+")[0]
        self.log = policy.splitlines()[0]
        self.policy, self.kept = self.folder / "policy", self.folder / "kept"

    def witness(self, number):
        started = Witness(self.programs, self.folder, number, self.origin, self.vkey)
        self.addCleanup(started.stop)
        return started

    def write_policy(self, witnesses, quorum):
        lines = [f"witness {it.name} {it.vkey} {it.url}" for it in witnesses]
        self.policy.write_text("\n".join([self.log, *lines, *quorum]) + "\n")

    def grown(self, size):
        """A checkpoint of more records: they are added to the log once a second at most."""
        deadline = time.monotonic() + 60
        while True:
            checkpoint = requests.get(f"{BROKER}/log/checkpoint", timeout=10).text
            if int(checkpoint.splitlines()[1]) > size:
                return checkpoint
            assert time.monotonic() < deadline, checkpoint
            time.sleep(0.05)

    def cosign(self):
        return audit("witness", "--broker", BROKER, "--policy", self.policy, "--output", self.kept)

    def test_independent_witness_cosigns_what_extends_the_log(self):
        self.write_policy([self.witness(1)], ["quorum w1"])
        code, output, error = self.cosign()
        self.assertEqual(code, 0, error)
        self.assertRegex(output, r"^size \d+, cosigned by 1 of 1 witnesses$")
        first = self.folder / "first"
        self.kept.rename(first)
        for number in range(3):
            exchange(subject=f"repo:octo-org/witness-more-{number}").raise_for_status()
        self.grown(int(first.read_text().splitlines()[1]))
        # The witness has seen the log, so it needs a consistency proof.
        code, output, error = self.cosign()
        self.assertEqual(code, 0, error)
        sizes = [int(path.read_text().splitlines()[1]) for path in (first, self.kept)]
        self.assertGreater(sizes[1], sizes[0])
        code, output, error = audit(
            "verify", BROKER, "--policy", self.policy, "--checkpoint", first, "--checkpoint", self.kept
        )
        self.assertEqual(code, 0, output + error)
        self.assertEqual(output.count(", cosigned by w1"), 2)

    def test_witness_refuses_another_history(self):
        witness = self.witness(1)
        self.write_policy([witness], ["quorum w1"])
        self.assertEqual(self.cosign()[0], 0)
        note = self.kept.read_text()
        size = int(note.splitlines()[1])
        exchange(subject="repo:octo-org/witness-other").raise_for_status()
        checkpoint = self.grown(size)
        # A proof that does not lead from one tree to the other.
        forged = f"old {size}\n{'A' * 43}=\n\n{checkpoint}"
        self.assertEqual(requests.post(f"{witness.url}/add-checkpoint", data=forged.encode(), timeout=10).status_code, 422)

    def test_unreachable_witness_only_matters_for_the_quorum(self):
        up, down = self.witness(1), self.witness(2)
        down.stop()
        self.write_policy([up, down], ["group either any w1 w2", "quorum either"])
        code, output, error = self.cosign()
        self.assertEqual(code, 0, error)
        self.assertIn("cosigned by 1 of 2 witnesses", output)
        self.assertRegex(error, r"witness `w2`: no answer from ")
        self.kept.unlink()
        self.write_policy([up, down], ["group both all w1 w2", "quorum both"])
        code, output, error = self.cosign()
        self.assertEqual((code, output), (1, ""))
        self.assertIn("error: the checkpoint lacks cosignatures: quorum `both` is not met", error)
        self.assertFalse(self.kept.exists())

    def test_independent_verifier_follows_the_tiles(self):
        token = exchange(subject="repo:octo-org/witness-2").json()["access_token"]
        decision = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
        self.policy.write_text(f"{self.log}\nquorum none\n")
        old = self.folder / "old"
        old.write_text(requests.get(f"{BROKER}/log/checkpoint", timeout=10).text)
        code, proof, error = audit("proof", decision, "--broker", BROKER, "--policy", self.policy)
        self.assertEqual(code, 0, error)
        entry = self.folder / "entry"
        entry.write_bytes(base64.b64decode(re.search(r"^extra (.*)$", proof, re.MULTILINE)[1]))
        index = re.search(r"^index (\d+)$", proof, re.MULTILINE)[1]
        site = ("--tiles", f"{BROKER}/log", "--log-key", self.vkey, "--origin", self.origin)
        self.verify("verify-inclusion", "--leaf", entry, "--index", index, *site)
        exchange(subject="repo:octo-org/witness-3").raise_for_status()
        self.grown(int(old.read_text().splitlines()[1]))
        self.verify("verify-consistency", "--old-checkpoint", old, *site)
        entry.write_bytes(entry.read_bytes() + b"x")
        with self.assertRaises(AssertionError):
            self.verify("verify-inclusion", "--leaf", entry, "--index", index, *site)

    def verify(self, *words):
        done = subprocess.run([self.programs / "aics-tlog", *words], check=False, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
