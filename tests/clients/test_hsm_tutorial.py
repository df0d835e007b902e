"""The tutorial of docs/hsm/install.md, run from top to bottom with SoftHSM, on free ports and in a copy of the repository."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import broker
import pages

PORTS = ["3000", "7000", "8480", "8481", "9480"]
START_SECONDS_MAX = 120


class Tutorial(unittest.TestCase):
    def setUp(self):
        self.repository = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-tutorial-"))
        self.addCleanup(shutil.rmtree, self.repository)
        self.ports = {port: str(broker.free_port()) for port in PORTS}
        shutil.copytree(broker.REPO / "policies", self.repository / "policies")
        (self.repository / "target").symlink_to(broker.REPO / "target")
        for file in ["spin.hsm.toml", "policies/issuers/dev.toml"]:
            (self.repository / file).write_text(self.ported((broker.REPO / file).read_text()))
        self.blocks = pages.blocks("hsm/install.md")
        self.environment = {name: value for name, value in os.environ.items() if name != "SOFTHSM2_CONF"}

    def ported(self, text):
        return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: self.ports[port[0]], text)

    def block(self, heading, number=0):
        """A block with free ports. Packages are installed already, and the issuer's default port is another one here."""
        text = [block for block in self.blocks if block.heading == heading][number].text
        issuer = f"127.0.0.1:{self.ports['7000']}"
        text = re.sub(r"dev-issuer mint", rf"\g<0> --issuer http://{issuer}", self.ported(text))
        text = re.sub(r"dev-issuer --", rf"dev-issuer --listen {issuer} --", text)
        text = text.replace("vouchsafe serve", f"vouchsafe serve --listen 127.0.0.1:{self.ports['3000']}")
        return re.sub(r"^apt-get .*\n", "", text, flags=re.MULTILINE)

    def run_block(self, text, folder="."):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.repository / folder, env=self.environment, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, f"{text}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def start_block(self, text, folder="."):
        """Runs a block whose last command keeps running, in a terminal of its own."""
        log = self.repository / f"terminal-{len(os.listdir(self.repository))}"
        with open(log, "wb") as errors:
            child = subprocess.Popen(
                ["bash", "-euc", text], cwd=self.repository / folder, env=self.environment, text=True,
                stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )  # fmt: skip
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(lambda: child.poll() is not None or os.killpg(child.pid, signal.SIGTERM))
        for line in child.stdout:
            if line.startswith("listening on "):
                return
        self.fail(f"{text}\n{log.read_text()}")

    def test_gives_a_token_signed_with_keys_of_softhsm(self):
        printed = self.run_block(self.block("1. Create a PKCS#11 token and two credentials"))
        broker_hash, admin_hash = re.findall('^sha256 = "(.*)"$', printed, re.MULTILINE)
        configuration = self.block("2. Write `gateway.toml`")
        for digest in (broker_hash, admin_hash):
            configuration = configuration.replace('sha256 = "…"', f'sha256 = "{digest}"', 1)
        (self.repository / ".state/hsm/gateway.toml").write_text(configuration)
        self.start_block(self.block("3. Create the keys and start the gateway"), ".state/hsm")
        self.start_block(self.block("4. Start a broker"))
        self.start_block(self.block("5. Exchange a token"))
        verified = self.run_block(self.block("5. Exchange a token", 1))
        self.assertIn('"aud": "https://api.example"', verified)
        objects = self.run_block(self.block("6. Look at the keys"))
        self.assertIn("vouchsafe:root", objects)
        self.assertIn("sensitive, always sensitive, never extractable", objects)
        self.assertFalse((self.repository / ".state/sqlite.db").exists(), "the database of scripts/up is not touched")
        self.assertTrue((self.repository / ".state/hsm/broker/sqlite.db").exists())


if __name__ == "__main__":
    unittest.main()
