"""Stock software introspects as a client of the bundle: with a secret, a key or, from a SPIFFE issuer, an SVID.

Apache, FastMCP and Authlib send a secret; requests_oauth2client, Authlib, openid-client and oauth4webapi sign with a key.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from joserfc.jwk import ECKey
from requests_oauth2client import ClientSecretBasic, OAuth2Client, PrivateKeyJwt

import broker

API, OTHER = "https://api.example", "https://deploy.example"
POLICY = """
@id("clients-introspect")
permit (
  principal is Vouchsafe::Client in Issuer::"clients",
  action == Action::"issue",
  resource == Audience::"{issuer}/introspect"
) when {{ ["https://api.example"].containsAll(context.scopes) }};
"""


def base64url(number):
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


class Setup(broker.Setup):
    """A broker with the clients `basic`, with a secret that the command made, and `keyed`, with a key."""

    def prepare(self, policies, issuer):
        made = subprocess.run(
            [broker.VOUCHSAFE, "client", "secret", "--format", "json"], check=True, capture_output=True, text=True
        )
        made = json.loads(made.stdout)
        self.secret = made["secret"]
        assert made["hash"] == "sha256:" + hashlib.sha256(self.secret.encode()).hexdigest(), made
        self.key = ec.generate_private_key(ec.SECP256R1())
        numbers = self.key.private_numbers()
        public = {
            "kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig",
            "x": base64url(numbers.public_numbers.x), "y": base64url(numbers.public_numbers.y),
        }  # fmt: skip
        self.jwk = {**public, "d": base64url(numbers.private_value)}
        (policies / "clients").mkdir()
        (policies / "clients/basic.toml").write_text(f'secrets = ["{made["hash"]}"]\n')
        (policies / "clients/keyed.toml").write_text(f"jwks = '{json.dumps({'keys': [public]})}'\n")
        (policies / "rules/clients.cedar").write_text(POLICY.format(issuer=issuer))

    def token(self, audience=API, scope="read"):
        claims = {"sub": f"repo:octo-org/{secrets.token_hex(8)}"}
        minted = requests.post(f"{self.dev_issuer}/mint", json={"aud": self.broker, "claims": claims}, timeout=10)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": minted.json()["token"],
            "audience": audience,
            "scope": scope,
        }
        answer = requests.post(f"{self.broker}/token", data=form, timeout=10)
        answer.raise_for_status()
        return answer.json()["access_token"]

    @property
    def endpoint(self):
        return f"{self.broker}/introspect"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = Setup()
        cls.addClassCleanup(cls.setup.__exit__)
        cls.setup.__enter__()
        cls.active = cls.setup.token()
        cls.revoked = cls.setup.token()
        requests.post(f"{cls.setup.broker}/revoke", data={"token": cls.revoked}, timeout=10).raise_for_status()
        cls.foreign = cls.setup.token(OTHER, "deploy:read")


class WithSecret(Case):
    def test_authlib_introspects(self):
        for method in ("client_secret_basic", "client_secret_post"):
            session = OAuth2Session("basic", self.setup.secret, token_endpoint_auth_method=method)
            with self.subTest(method):
                answer = session.introspect_token(self.setup.endpoint, self.active).json()
                self.assertEqual((answer["active"], answer["aud"], answer["scope"]), (True, API, "read"))
                for token in (self.revoked, self.foreign, "garbage"):
                    answer = session.introspect_token(self.setup.endpoint, token).json()
                    self.assertEqual(answer, {"active": False})
                wrong = OAuth2Session("basic", "wrong", token_endpoint_auth_method=method)
                self.assertEqual(wrong.introspect_token(self.setup.endpoint, self.active).status_code, 401)

    def test_requests_oauth2client_introspects(self):
        client = OAuth2Client(
            token_endpoint=f"{self.setup.broker}/token",
            introspection_endpoint=self.setup.endpoint,
            auth=ClientSecretBasic("basic", self.setup.secret),
            testing=True,  # plain http
        )
        self.assertIs(client.introspect_token(self.active)["active"], True)
        self.assertEqual(client.introspect_token(self.foreign), {"active": False})

    def test_fastmcp_verifies_tokens(self):
        """A server of the Model Context Protocol takes the tokens of the broker."""
        for method in ("client_secret_basic", "client_secret_post"):
            verifier = IntrospectionTokenVerifier(
                introspection_url=self.setup.endpoint,
                client_id="basic",
                client_secret=self.setup.secret,
                client_auth_method=method,
                required_scopes=["read"],
            )
            with self.subTest(method):
                accepted = asyncio.run(verifier.verify_token(self.active))
                self.assertEqual(accepted.scopes, ["read"])
                for token in (self.revoked, self.foreign, "garbage"):
                    self.assertIsNone(asyncio.run(verifier.verify_token(token)))


class WithKey(Case):
    def test_authlib_introspects(self):
        session = OAuth2Session("keyed", ECKey.import_key(self.setup.jwk), token_endpoint_auth_method="private_key_jwt")
        method = PrivateKeyJWT(self.setup.broker, alg="ES256", headers={"kid": "k1"})
        session.register_client_auth_method(method)
        for token, active in ((self.active, True), (self.foreign, False)):
            answer = session.introspect_token(self.setup.endpoint, token)
            self.assertEqual((answer.status_code, answer.json()["active"]), (200, active), answer.text)

    def test_requests_oauth2client_introspects(self):
        client = OAuth2Client(
            token_endpoint=f"{self.setup.broker}/token",
            introspection_endpoint=self.setup.endpoint,
            auth=PrivateKeyJwt("keyed", self.setup.jwk, alg="ES256", aud=self.setup.broker),
            testing=True,  # plain http
        )
        self.assertIs(client.introspect_token(self.active)["active"], True)
        self.assertEqual(client.introspect_token(self.revoked), {"active": False})

    def test_node_clients_take_signed_responses(self):
        """They verify the signature, the type, the issuer and that the response is for them (RFC 9701)."""
        node = os.environ.get("VOUCHSAFE_TEST_NODE", "node")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as key:
            json.dump(self.setup.jwk, key)
            key.flush()
            for token, expected in ((self.active, True), (self.foreign, False)):
                command = [node, "introspect.mjs", self.setup.broker, "keyed", key.name, token]
                done = subprocess.run(
                    command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=60, check=False
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                answers = json.loads(done.stdout)
                for name in ("openidClient", "oauth4webapi"):
                    self.assertIs(answers[name]["active"], expected, name)
                    self.assertEqual(answers[name].get("aud"), API if expected else None)


APACHE = """
ServerName 127.0.0.1
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/log
Listen 127.0.0.1:{port}
{modules}
DocumentRoot {folder}/htdocs
OAuth2TokenVerify introspect {endpoint} introspect.auth=client_secret_basic&client_id=basic&client_secret={secret}
<Location />
  AuthType oauth2
  Require oauth2_claim aud:{audience}
</Location>
"""


class Apache(Case):
    """Apache with mod_oauth2, which Debian has."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        modules = pathlib.Path("/usr/lib/apache2/modules")
        names = {"mpm_event": "mpm_event", "authn_core": "authn_core", "authz_core": "authz_core",
                 "authz_user": "authz_user", "oauth2": "oauth2"}  # fmt: skip
        lines = [f"LoadModule {name}_module {modules}/mod_{file}.so" for name, file in names.items()]
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-apache-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        (cls.folder / "htdocs").mkdir()
        (cls.folder / "htdocs/index.html").write_text("hello\n")
        cls.folder.chmod(0o755)
        port = broker.free_port()
        cls.url = f"http://127.0.0.1:{port}/index.html"
        config = APACHE.format(
            folder=cls.folder, port=port, modules="\n".join(lines), endpoint=cls.setup.endpoint,
            secret=cls.setup.secret, audience=API,
        )  # fmt: skip
        # As root, Apache changes to another user.
        config += "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        (cls.folder / "httpd.conf").write_text(config)
        program = shutil.which("apache2") or "/usr/sbin/apache2"
        cls.child = subprocess.Popen([program, "-f", cls.folder / "httpd.conf", "-D", "FOREGROUND"])
        cls.addClassCleanup(cls.stop)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return
            assert cls.child.poll() is None and time.monotonic() < deadline, (cls.folder / "log").read_text()
            time.sleep(0.01)

    @classmethod
    def stop(cls):
        cls.child.terminate()
        cls.child.wait(timeout=20)

    def status(self, token):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return requests.get(self.url, headers=headers, timeout=10).status_code

    def test_only_tokens_for_the_api_pass(self):
        self.assertEqual(self.status(self.active), 200)
        for token in (None, self.revoked, self.foreign, "garbage"):
            self.assertEqual(self.status(token), 401, token)


if __name__ == "__main__":
    unittest.main()
