"""Authlib revokes and introspects unmodified; `vouchsafe revoke` from the command line."""

import json
import os
import subprocess
import tempfile
import unittest

import broker
import requests
from authlib.integrations.requests_client import OAuth2Session

BROKER = os.environ["VOUCHSAFE_TEST_BROKER"]
DEV_ISSUER = os.environ["VOUCHSAFE_TEST_DEV_ISSUER"]
API = "https://api.example"
# One subject for each test, because a block concerns the whole second in which it is lifted.
SUBJECT, OTHER_SUBJECT = "repo:octo-org/blocked", "repo:octo-org/revoked"


def subject_token(repository=None, subject=SUBJECT):
    claims = {"repository_id": repository, "sub": f"repo:octo-org/{repository}"} if repository else {"sub": subject}
    answer = requests.post(f"{DEV_ISSUER}/mint", json={"aud": BROKER, "claims": claims}, timeout=10)
    answer.raise_for_status()
    return answer.json()["token"]


def exchange(repository=None, audience=API, scope="read", subject=SUBJECT):
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": subject_token(repository, subject),
        "audience": audience,
        "scope": scope,
    }
    return requests.post(f"{BROKER}/token", data=form, timeout=10)


def obtain(*arguments, **options):
    answer = exchange(*arguments, **options)
    answer.raise_for_status()
    return answer.json()["access_token"]


class Introspecting(unittest.TestCase):
    def setUp(self):
        caller = obtain(broker.RESOURCE_SERVER, f"{BROKER}/introspect", API)
        self.session = OAuth2Session("api", token_endpoint_auth_method="bearer")
        self.session.register_client_auth_method(("bearer", lambda client, method, uri, headers, body: (
            uri, {**headers, "authorization": f"Bearer {caller}"}, body)))  # fmt: skip

    def introspect(self, token):
        answer = self.session.introspect_token(f"{BROKER}/introspect", token)
        self.assertEqual(answer.status_code, 200)
        return answer.json()


class Authlib(Introspecting):
    def test_authlib_revokes_what_it_introspects(self):
        token = obtain(subject=OTHER_SUBJECT)
        claims = self.introspect(token)
        self.assertEqual((claims["active"], claims["aud"], claims["sub"]), (True, API, f"dev:{OTHER_SUBJECT}"))
        client = OAuth2Session("ci", "secret", revocation_endpoint_auth_method="client_secret_basic")
        for _ in range(2):
            self.assertEqual(client.revoke_token(f"{BROKER}/revoke", token).status_code, 200)
        self.assertEqual(self.introspect(token), {"active": False})


class CommandLine(Introspecting):
    """`vouchsafe revoke`, whose tokens come from a file."""

    def run_command(self, *arguments, repository=broker.ADMIN):
        with tempfile.NamedTemporaryFile("w", suffix=".jwt") as file:
            file.write(subject_token(repository))
            file.flush()
            command = [broker.VOUCHSAFE, *arguments, "--broker", BROKER, "--subject-token-file", file.name]
            return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def answer(self, *arguments):
        done = self.run_command(*arguments, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def lift(self, revocation):
        answer = self.answer("revoke", "lift", revocation, "--reason", "test ended")
        self.assertIn("lifted", answer["revocation"])

    def test_blocks_and_lifts_a_workload(self):
        token = obtain()
        conditions = ("--issuer", "dev", "--subject", SUBJECT)
        counted = self.answer("revoke", *conditions, "--dry-run")
        self.assertGreaterEqual(counted["affected"]["tokens"], 1)
        self.assertNotIn("revocation", counted)
        self.assertTrue(self.introspect(token)["active"])
        done = self.run_command("revoke", *conditions, "--block", "--reason", "INC-7", "--id", "inc-7")
        try:
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"blocked inc-7: issuer dev, subject {SUBJECT}\n", done.stdout)
            self.assertIn(f" of dev:{SUBJECT} for {API}, until ", done.stdout)
            self.assertIn("note: new tokens are refused until `vouchsafe revoke lift inc-7`\n", done.stderr)
            self.assertEqual(self.introspect(token), {"active": False})
            self.assertEqual(exchange().json()["error"], "invalid_target")
            again = self.answer("revoke", *conditions, "--block", "--reason", "INC-7", "--id", "inc-7")
            self.assertEqual(again["revocation"]["id"], "inc-7")
            listed = self.run_command("revoke", "list")
            self.assertIn(f"blocked inc-7: issuer dev, subject {SUBJECT}\n", listed.stdout)
            self.assertIn(" by dev:repo:octo-org/777: INC-7\n", listed.stdout)
        finally:
            self.lift("inc-7")
        self.assertEqual(self.introspect(token), {"active": False})

    def test_revokes_one_token(self):
        token, other = obtain(subject=OTHER_SUBJECT), obtain(subject=OTHER_SUBJECT)
        jti = self.introspect(token)["jti"]
        answer = self.answer("revoke", "--token", jti, "--reason", "INC-8")
        self.assertEqual(answer["affected"]["tokens"], 1)
        self.assertEqual(self.introspect(token), {"active": False})
        self.assertTrue(self.introspect(other)["active"])
        unknown = self.run_command("revoke", "--token", "unknown", "--reason", "INC-8")
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("error: the broker refused: not_found: no live token has this id", unknown.stderr)

    def test_says_who_may_not_administer(self):
        done = self.run_command("revoke", "--all", "--dry-run", repository=broker.RESOURCE_SERVER)
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: not authorized to administer this broker: the broker refused: invalid_target", done.stderr)

    def test_refuses_an_id_of_another_revocation(self):
        conditions = ("--kid", "no-such-key", "--reason", "x", "--id", "conflict-1")
        self.answer("revoke", *conditions)
        done = self.run_command("revoke", "--kid", "another-key", "--reason", "x", "--id", "conflict-1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: the broker refused: conflict: another revocation has this id", done.stderr)
        self.assertIn("hint: choose another --id", done.stderr)


if __name__ == "__main__":
    unittest.main()
