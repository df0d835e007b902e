"""A person signs in at an OIDC provider (npm oidc-provider) with a browser, and administers the broker.

The browser is a script that follows redirects and fills in the provider's forms.
"""

import html
import json
import os
import pathlib
import re
import subprocess
import threading
import unittest
import urllib.parse

import requests

import broker

HERE = pathlib.Path(__file__).resolve().parent
POLICY = """
@id("{name}")
permit (
  principal is Oidc::Login in Issuer::"login",
  action == Action::"issue",
  resource == Audience::"{issuer}/admin"
) when {{ principal == Oidc::Login::"{person}" && ["revoke", "revoke:read"].containsAll(context.scopes) }};
"""


class Setup(broker.Setup):
    def start(self):
        self.provider_port = broker.free_port()
        self.provider = f"http://127.0.0.1:{self.provider_port}"
        node = os.environ.get("VOUCHSAFE_TEST_NODE", "node")
        arguments = [HERE / "oidc_provider.mjs", str(self.provider_port)]
        environment = {**os.environ, "NODE_NO_WARNINGS": "1"}
        self.processes.append(
            broker.Process(arguments, self.folder / "provider.log", HERE, program=node, environment=environment)
        )
        super().start()

    def prepare(self, policies, issuer):
        (policies / "issuers/login.toml").write_text(
            f'issuer = "{self.provider}"\nprovider = "oidc"\naudiences = ["vouchsafe"]\n'
            'replay = "single-use"\ndevelopment = true\n'
        )
        (policies / "rules/login.cedar").write_text(
            POLICY.format(name="security-team", issuer=issuer, person="security@example.org")
        )
        manifest = self.folder / "spin.toml"
        text = manifest.read_text()
        assert self.dev_issuer in text
        manifest.write_text(text.replace(f'"{self.dev_issuer}"', f'"{self.dev_issuer}", "{self.provider}"', 1))


class Browser:
    """Follows redirects and fills in forms, until the page of the command."""

    def __init__(self, person):
        self.session = requests.Session()
        self.person = person

    def open(self, url, tamper=None):
        answer = self.session.get(url, timeout=10, allow_redirects=False)
        for _ in range(20):
            if answer.is_redirect:
                target = urllib.parse.urljoin(answer.url, answer.headers["location"])
                if tamper and "/callback" in target:
                    target = tamper(target)
                answer = self.session.get(target, timeout=10, allow_redirects=False)
            elif "<form" in answer.text:
                answer = self.submit(answer)
            else:
                return answer
        raise AssertionError("too many steps")

    def submit(self, page):
        action = html.unescape(re.search(r'<form[^>]* action="([^"]+)"', page.text)[1])
        fields = dict(re.findall(r'<input[^>]* type="hidden"[^>]* name="([^"]+)"[^>]* value="([^"]*)"', page.text))
        if 'name="login"' in page.text:
            fields.update(login=self.person, password="any")
        return self.session.post(
            urllib.parse.urljoin(page.url, action), data=fields, timeout=10, allow_redirects=False
        )


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.setup = Setup()
        cls.addClassCleanup(cls.setup.__exit__)
        cls.setup.__enter__()

    def run_command(self, person, *arguments, tamper=None, command=("revoke", "list"), provider=None):
        """Runs the command, with a browser for the URL that it prints; returns it with the last page."""
        options = ("--broker", self.setup.broker, "--login", provider or self.setup.provider, "--no-browser", "--format", "json")
        child = subprocess.Popen(
            [broker.VOUCHSAFE, *command, *options, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        timer = threading.Timer(60, child.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        first = child.stderr.readline()
        found = re.fullmatch(r"vouchsafe: to sign in, open (\S+)\n", first)
        if not found:
            return subprocess.CompletedProcess(child.args, child.wait(), *child.communicate()), first
        self.url = found[1]
        page = Browser(person).open(self.url, tamper)
        stdout, stderr = child.communicate()
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr), page.text

    def test_person_administers_after_the_login(self):
        done, page = self.run_command("security@example.org")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout), {"revocations": []})
        self.assertEqual(page, "Signed in. You can close this window.\n")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.url).query)
        self.assertEqual((query["code_challenge_method"], query["response_type"]), (["S256"], ["code"]))
        conditions = ("--kid", "no-such-key", "--reason", "a test")
        done, _ = self.run_command("security@example.org", *conditions, command=("revoke",))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout)["revocation"]["actor"], "login:security@example.org")

    def test_policy_decides_about_the_person(self):
        done, _ = self.run_command("somebody@example.org")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: not authorized to administer this broker: the broker refused: invalid_target", done.stderr)

    def test_answer_of_another_issuer_is_refused(self):
        """RFC 9207: a code that another issuer made would be sent to this one."""

        def other(url):
            return url.replace(urllib.parse.quote(self.setup.provider, safe=""), "https%3A%2F%2Fevil.example")

        done, _ = self.run_command("security@example.org", tamper=other)
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: the login was answered by another issuer\n", done.stderr)

    def test_code_of_another_login_is_refused(self):
        """The provider compares the verifier (RFC 7636 §4.6): a stolen code is of no use."""

        def other(url):
            return re.sub(r"code=[^&]+", "code=" + "x" * 43, url)

        done, _ = self.run_command("security@example.org", tamper=other)
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: the issuer refused the login: invalid_grant", done.stderr)

    def test_refused_login_ends_the_command(self):
        def refused(url):
            parts = urllib.parse.urlsplit(url)
            state = urllib.parse.parse_qs(parts.query)["state"][0]
            query = {"error": "access_denied", "state": state, "iss": self.setup.provider}
            return parts._replace(query=urllib.parse.urlencode(query)).geturl()

        done, page = self.run_command("security@example.org", tamper=refused)
        self.assertEqual((done.returncode, page), (1, "The login was refused. You can close this window.\n"))
        self.assertEqual(done.stderr, "error: the issuer refused the login: access_denied\n")

    def test_only_the_issuer_itself_is_asked(self):
        done, first = self.run_command("security@example.org", provider=f"{self.setup.provider}/")
        self.assertEqual(done.returncode, 2)
        self.assertIn("names itself", first)


if __name__ == "__main__":
    unittest.main()
