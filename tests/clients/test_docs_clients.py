"""The programs of docs/clients.md get a token from the broker, and fail when they are refused."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import jwt
import requests

import pages

BROKER = os.environ["VOUCHSAFE_TEST_BROKER"]
DEV_ISSUER = os.environ["VOUCHSAFE_TEST_DEV_ISSUER"]
NODE = os.environ["VOUCHSAFE_TEST_NODE"]
HERE = pathlib.Path(__file__).resolve().parent


class Clients(unittest.TestCase):
    blocks = pages.blocks("clients.md")
    programs = [block for block in blocks if block.language in ("sh", "python", "js")]

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        # Node resolves packages from the folder of the program.
        (self.folder / "node_modules").symlink_to(HERE / "node_modules")
        (configuration,) = [block for block in self.blocks if '"external_account"' in block.text]
        (self.folder / "credentials.json").write_text(configuration.text.replace("https://broker.example", BROKER))

    def run_program(self, block, claims):
        subject = requests.post(f"{DEV_ISSUER}/mint", json={"aud": BROKER, "claims": claims}, timeout=10).json()["token"]
        (self.folder / "subject-token").write_text(subject)
        text = block.text.replace("https://broker.example", BROKER)
        # openid-client refuses plain http unless it is told otherwise.
        text = text.replace("client.None()", "client.None(), { execute: [client.allowInsecureRequests] }")
        program = self.folder / f"program.{'mjs' if block.language == 'js' else block.language}"
        program.write_text(text)
        command = {"sh": ["bash"], "python": [sys.executable], "js": [NODE]}[block.language]
        return subprocess.run(
            [*command, program], cwd=self.folder, env={**os.environ, "AUTHLIB_INSECURE_TRANSPORT": "1"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def test_has_a_program_for_each_client(self):
        self.assertEqual(
            [block.heading for block in self.programs],
            ["curl", "Python with requests", "Python with Authlib", "Python with google-auth", "Node.js", "Node.js with openid-client", "Node.js with openid-client"],
        )

    def test_prints_a_token(self):
        keys = jwt.PyJWKClient(f"{BROKER}/.well-known/jwks.json")
        for block in self.programs:
            with self.subTest(block.heading):
                done = self.run_program(block, {})
                self.assertEqual(done.returncode, 0, done.stderr)
                token = done.stdout.strip()
                key = keys.get_signing_key_from_jwt(token)
                claims = jwt.decode(token, key, algorithms=["ES256"], audience="https://api.example", issuer=BROKER)
                self.assertEqual(claims["scope"], "read")

    def test_fails_when_refused(self):
        for block in self.programs:
            with self.subTest(block.heading):
                done = self.run_program(block, {"repository_id": "999"})
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("invalid_target", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
