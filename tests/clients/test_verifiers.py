"""The programs of docs/verifiers.md accept the broker's tokens, and no token that fails one of the checks listed there."""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

import pages

BROKER = os.environ["VOUCHSAFE_TEST_BROKER"]
DEV_ISSUER = os.environ["VOUCHSAFE_TEST_DEV_ISSUER"]
NODE = os.environ["VOUCHSAFE_TEST_NODE"]
HERE = pathlib.Path(__file__).resolve().parent
API = "https://api.example"
PRIVATE_KEYS = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
ANOTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def public_jwk(algorithm):
    encode = {"EdDSA": OKPAlgorithm, "ES256": ECAlgorithm, "RS256": RSAAlgorithm}[algorithm]
    jwk = json.loads(encode.to_jwk(PRIVATE_KEYS[algorithm].public_key()))
    members = {name: value for name, value in jwk.items() if name != "key_ops"}
    return {**members, "alg": algorithm, "kid": algorithm, "use": "sig"}


class Issuer:
    """Publishes a key for each algorithm, EdDSA first, as the broker does."""

    def __enter__(self):
        document = json.dumps({"keys": [public_jwk(algorithm) for algorithm in PRIVATE_KEYS]}).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def token(self, algorithm="ES256", key=None, kid=None, typ="at+jwt", without=(), **changes):
        now = int(time.time())
        claims = {"iss": self.url, "aud": API, "sub": "workload", "client_id": "workload", "jti": "id", "scope": "write read"}
        claims = {**claims, "iat": now, "nbf": now, "exp": now + 300, **changes}
        claims = {name: value for name, value in claims.items() if name not in without}
        return jwt.encode(claims, key or PRIVATE_KEYS.get(algorithm), algorithm, {"kid": kid or algorithm, "typ": typ})

    def wrong_tokens(self):
        other = "https://deploy.example"
        return {
            "audience": self.token(aud=other),
            "no audience": self.token(without=["aud"]),
            "issuer": self.token(iss="https://broker.invalid"),
            "expired": self.token(exp=int(time.time()) - 3600),
            "no expiry": self.token(without=["exp"]),
            "typ": self.token(typ="JWT"),
            "scope": self.token(scope="reader write"),
            "no scope": self.token(without=["scope"]),
            "another key": self.token(key=ANOTHER_KEY),
            "unknown kid": self.token(key=ANOTHER_KEY, kid="stranger"),
            "algorithm that is not listed": self.token("EdDSA"),
            "no signature": self.token("none", kid="ES256"),
            "symmetric signature": self.token("HS256", key="k" * 32, kid="ES256"),
        }


class Verifiers(unittest.TestCase):
    programs = {block.heading: block for block in pages.blocks("verifiers.md") if block.language in ("python", "js")}
    table = pages.rows("verifiers.md", "Libraries")

    def verify(self, name, token, issuer, algorithm="ES256"):
        block = self.programs[name]
        text = block.text.replace("https://broker.example", issuer).replace('"ES256"', f'"{algorithm}"')
        command = [NODE, "--input-type=module", "-e", text] if block.language == "js" else [sys.executable, "-c", text]
        return subprocess.run(command, cwd=HERE, input=token, capture_output=True, text=True, timeout=60, check=False)

    def test_has_a_program_for_each_library(self):
        self.assertEqual(list(self.programs), list(self.table))

    def test_accepts_the_brokers_token(self):
        for name in self.programs:
            subject = requests.post(f"{DEV_ISSUER}/mint", json={"aud": BROKER}, timeout=10).json()["token"]
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "subject_token": subject,
                "audience": API,
                "scope": "read",
            }
            token = requests.post(f"{BROKER}/token", data=form, timeout=10).json()["access_token"]
            with self.subTest(name):
                done = self.verify(name, token, BROKER)
                self.assertEqual(done.stdout.strip(), "dev:repo:octo-org/octo-repo:ref:refs/heads/main", done.stderr)

    def test_rejects_every_wrong_token(self):
        with Issuer() as issuer:
            for name in self.programs:
                self.assertEqual(self.verify(name, issuer.token(), issuer.url).stdout, "workload\n")
                for what, token in issuer.wrong_tokens().items():
                    with self.subTest(f"{name}: {what}"):
                        done = self.verify(name, token, issuer.url)
                        self.assertNotEqual(done.returncode, 0)
                        self.assertEqual(done.stdout, "")

    def test_verifies_the_algorithms_of_the_table(self):
        with Issuer() as issuer:
            for name, (version, algorithms, _) in self.table.items():
                for algorithm in PRIVATE_KEYS:
                    with self.subTest(f"{name}: {algorithm}"):
                        done = self.verify(name, issuer.token(algorithm), issuer.url, algorithm)
                        self.assertEqual(done.returncode == 0, algorithm in algorithms, done.stderr)

    def test_names_installed_versions(self):
        pinned = (HERE / "requirements.txt").read_text().lower()
        packages = json.loads((HERE / "package.json").read_text())["dependencies"]
        for name, (version, *_) in self.table.items():
            with self.subTest(name):
                self.assertTrue(f"\n{name.lower()}=={version} " in pinned or packages.get(name) == version)


if __name__ == "__main__":
    unittest.main()
