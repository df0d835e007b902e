"""`vouchsafe token`, `probe` and `dev-issuer`, run as a CI job would."""

import base64
import hashlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import jwt
import requests

from broker import VOUCHSAFE, Process
from fake_broker import FakeBroker, answer, issued

BROKER = os.environ["VOUCHSAFE_TEST_BROKER"]
DEV_ISSUER = os.environ["VOUCHSAFE_TEST_DEV_ISSUER"]
API = "https://api.example"
REFUSED, WRONG_USE, UNREACHABLE = 1, 2, 3


# Variables of CI systems, and those that the client reads.
NOT_INHERITED = ("ACTIONS_", "AWS_", "AZURE_", "GITHUB_", "GITLAB_", "GOOGLE_", "IDENTITY_", "SSL_CERT_", "VOUCHSAFE_", "XDG_")


def clean_environment(**changes):
    """Variables for a command. With `CI`, the virtual machine below doesn't offer its identity."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    inherited = {name: value for name, value in inherited.items() if not name.lower().endswith("_proxy")}
    return {**inherited, "CI": "true", **changes}


def run(*arguments, stdin=None, **environment):
    return subprocess.run(
        [VOUCHSAFE, *arguments], input=stdin, env=clean_environment(**environment), capture_output=True, text=True, timeout=60, check=False
    )


def mint(*arguments):
    done = run("dev-issuer", "mint", "--issuer", DEV_ISSUER, "--audience", BROKER, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def token(*arguments, broker=BROKER, stdin="aaa.bbb.ccc", **environment):
    return run("token", "--broker", broker, "--audience", API, "--subject-token-file", "-", *arguments, stdin=stdin, **environment)


class Token(unittest.TestCase):
    def fails(self, done, code, words):
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        self.assertIn(words, done.stderr)

    def test_prints_only_the_token(self):
        done = token(stdin=mint())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("."), 2)
        self.assertEqual(done.stderr, "note: the token has no scope, because none was requested with --scope\n")
        self.assertEqual(token("--scope", "read", stdin=mint()).stderr, "")

    def test_prints_json_and_shell_assignment(self):
        as_json = json.loads(token("--format", "json", stdin=mint()).stdout)
        self.assertEqual(as_json["token_type"], "Bearer")
        self.assertRegex(token("--format", "env", stdin=mint()).stdout, r"^export VOUCHSAFE_TOKEN=[\w.-]+\n$")

    def test_ignores_trailing_slash_of_broker_url(self):
        self.assertEqual(token(broker=f"{BROKER}/", stdin=mint()).returncode, 0)

    def test_prints_headers_of_a_bound_token(self):
        request = f"GET {API}/items?page=2"
        lines = token("--dpop", request, "--scope", "read", stdin=mint()).stdout.splitlines()
        self.assertEqual([line.split(" ")[0] for line in lines], ["Authorization:", "DPoP:"])
        scheme, bound = lines[0].removeprefix("Authorization: ").split(" ")
        proof = lines[1].removeprefix("DPoP: ")
        self.assertEqual(scheme, "DPoP")
        key = jwt.PyJWK.from_dict(jwt.get_unverified_header(proof)["jwk"] | {"alg": "ES256"})
        claims = jwt.decode(proof, key, algorithms=["ES256"])
        self.assertEqual((claims["htm"], claims["htu"]), ("GET", f"{API}/items"))
        digest = base64.urlsafe_b64encode(hashlib.sha256(bound.encode()).digest()).rstrip(b"=").decode()
        self.assertEqual(claims["ath"], digest)
        as_json = json.loads(token("--dpop", request, "--format", "json", stdin=mint()).stdout)
        self.assertEqual((as_json["token_type"], as_json["dpop"].count(".")), ("DPoP", 2))

    def test_refuses_what_cannot_be_bound(self):
        self.fails(token("--dpop", API), WRONG_USE, "must be a method and a URL")
        self.fails(token("--dpop", f"GET {API}", "--token-type", "jwt"), WRONG_USE, "--token-type")
        done = token("--dpop", f"GET {API}", "--format", "env")
        self.assertEqual((done.returncode, done.stdout), (WRONG_USE, "unset VOUCHSAFE_TOKEN; false\n"))

    def test_takes_no_bearer_token_for_a_bound_one(self):
        with FakeBroker(answers=[issued()]) as fake:
            self.fails(token("--dpop", f"GET {API}", broker=fake.url), REFUSED, "the broker issued a token of type `Bearer`")

    def test_reads_token_from_variable(self):
        done = run("token", "--broker", BROKER, "--audience", API, "--subject-token-env", "PROOF", PROOF=mint())
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_finds_github_service_and_masks_on_stderr(self):
        service = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{DEV_ISSUER}/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token"}
        done = run("token", "--broker", BROKER, "--audience", API, "--scope", "read", GITHUB_ACTIONS="true", **service)
        self.assertEqual(done.returncode, 0, done.stderr)
        masks = [line.removeprefix("::add-mask::") for line in done.stderr.splitlines()]
        self.assertEqual(len(masks), 2, done.stderr)
        self.assertEqual(masks[1], done.stdout.strip())
        service["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "another"
        self.fails(run("token", "--broker", BROKER, "--audience", API, **service), UNREACHABLE, "status 401")

    def test_reports_refusal_with_decision_id(self):
        other = mint("--claim", "repository_id=999")
        self.fails(token(stdin=other), REFUSED, "invalid_target")
        self.assertRegex(token(stdin=other).stderr, r"\(decision \S+\)")

    def test_hints_at_sources_of_subject_token(self):
        done = run("token", "--broker", BROKER, "--audience", API)
        self.fails(done, WRONG_USE, "hint: on CI platforms it is found automatically")
        done = run("token", "--broker", BROKER, "--audience", API, GITHUB_ACTIONS="true")
        self.fails(done, WRONG_USE, "id-token: write")

    def test_allows_plain_http_only_on_loopback(self):
        self.fails(token(broker="http://broker.example"), WRONG_USE, "is not https")

    def test_reports_unreachable_broker(self):
        self.fails(token("--retries", "0", broker="http://127.0.0.1:1"), UNREACHABLE, "no answer from")

    def test_sends_nothing_to_broker_with_another_issuer(self):
        table = [
            ({"issuer": "https://broker.example"}, WRONG_USE, "the broker's issuer is"),
            ({"token_endpoint": "http://127.0.0.1:1/token"}, REFUSED, "another origin"),
            ({"token_endpoint": "https://evil.example/token"}, REFUSED, "another origin"),
        ]
        for changes, code, words in table:
            with self.subTest(changes), FakeBroker(changes, [issued()]) as fake:
                self.fails(token(broker=fake.url), code, words)
                self.assertEqual(fake.forms, [])

    def test_hints_fit_the_refusal(self):
        wrong = run("dev-issuer", "mint", "--issuer", DEV_ISSUER, "--audience", f"{BROKER}/").stdout
        expired = mint("--expires-in", "-1h")
        table = [
            ((), wrong, f"hint: the token's `aud` is `{BROKER}/`, and this broker is `{BROKER}`"),
            ((), expired, "hint: get a fresh token just before the exchange"),
            (("--lifetime", "24h"), mint(), "hint: ask for less with --requested-expires-in"),
            (("--scope", "everything"), mint(), "hint: request only scopes that the audience offers"),
        ]
        for arguments, subject, words in table:
            with self.subTest(words):
                self.fails(token(*arguments, stdin=subject), REFUSED, words)

    def test_accepts_white_space_around_subject_token(self):
        self.assertEqual(token(stdin=f"\n {mint()}\r\n\n").returncode, 0)

    def test_says_what_is_wrong_with_subject_token(self):
        for stdin, words in [
            ("Bearer aaa.bbb.ccc", "begins with `Bearer `"),
            ("aaa.bbb\n.ccc", "has white space or a line break in it"),
            ('{"token":"aaa.bbb.ccc"}', "has characters that no token has"),
        ]:
            with self.subTest(words):
                self.fails(token(stdin=stdin), WRONG_USE, words)

    def test_takes_durations_of_bundles_and_seconds(self):
        for text, seconds in [("2m", 120), ("120s", 120), ("120", 120)]:
            with self.subTest(text), FakeBroker(answers=[issued()]) as fake:
                self.assertEqual(token("--lifetime", text, broker=fake.url).returncode, 0)
                self.assertIn(f"requested_expires_in={seconds}", fake.forms[0])
        self.fails(token("--requested-expires-in", "1d"), WRONG_USE, "must be a duration such as 30s, 15m or 1h")

    def test_reads_flags_from_variables(self):
        variables = {"VOUCHSAFE_BROKER": BROKER, "VOUCHSAFE_AUDIENCE": API, "VOUCHSAFE_SCOPE": "read"}
        done = run("token", "--subject-token-file", "-", "--format", "json", stdin=mint(), **variables)
        self.assertEqual(json.loads(done.stdout)["scope"], "read", done.stderr)
        done = run("keys", "list", VOUCHSAFE_GATEWAY="http://127.0.0.1:1", VOUCHSAFE_ADMIN_TOKEN_FILE="/nonexistent")
        self.fails(done, WRONG_USE, "/nonexistent: No such file")

    def test_shows_ids_for_the_operator(self):
        refusal = answer(400, {"error": "invalid_target", "error_description": "no (decision d1)", "decision_id": "d1"}, x_request_id="r1")
        with FakeBroker(answers=[refusal]) as fake:
            self.fails(token(broker=fake.url), REFUSED, "invalid_target: no (decision d1) (request r1)")

    def test_does_not_retry_refusal(self):
        with FakeBroker(answers=[answer(400, {"error": "invalid_request"})]) as fake:
            self.fails(token(broker=fake.url), REFUSED, "invalid_request")
            self.assertEqual(len(fake.forms), 1)

    def test_rejects_malformed_token_responses(self):
        table = [
            (200, {}, b"<html>"),
            (302, {"location": "/elsewhere"}, b""),
            (200, {}, b" " * (64 * 1024 + 1)),
            issued("aaa\n::set-output name=x::y"),
        ]
        for wrong in table:
            with self.subTest(wrong[2][:20]), FakeBroker(answers=[wrong]) as fake:
                self.fails(token(broker=fake.url), UNREACHABLE, "")

    def test_reads_response_of_exactly_64_kib(self):
        status, headers, body = issued()
        with FakeBroker(answers=[(status, headers, body.ljust(64 * 1024))]) as fake:
            self.assertEqual(token(broker=fake.url).returncode, 0)


class Verify(unittest.TestCase):
    def test_prints_issuer_audience_and_scope(self):
        jwt = token("--scope", "read", stdin=mint()).stdout
        done = run("verify", "--broker", BROKER, "--audience", API, "-", stdin=jwt)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in (f'issuer     "{BROKER}"', f'audience   "{API}"', 'scope      "read"'):
            self.assertIn(f"\n{line}\n", done.stdout)
        done = run("verify", "--broker", BROKER, "--audience", "https://other.example", "-", stdin=jwt)
        self.assertEqual((done.returncode, done.stdout), (REFUSED, ""))
        self.assertIn(f"`aud` is `{API}`, not `https://other.example`", done.stderr)

    def test_hints_at_input_from_a_file(self):
        done = run("verify", "--broker", BROKER, "--audience", API, __file__)
        self.assertEqual(done.returncode, WRONG_USE)
        self.assertIn(f"hint: to verify the token in it, write `- < {__file__}`", done.stderr)


class Probe(unittest.TestCase):
    def test_passes_sound_broker(self):
        done = run("probe", "--broker", BROKER, "--audience", API, "--scope", "read", "--dev-issuer", DEV_ISSUER, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([check["verdict"] for check in json.loads(done.stdout)["checks"]], ["passed"] * 5)

    def test_reports_checks_it_could_not_run(self):
        done = run("probe", "--broker", BROKER, "--audience", API, "--subject-token-file", "-", stdin=mint())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("not run"), 2)

    def test_fails_broker_that_grants_everything(self):
        with FakeBroker(answers=[issued()]) as fake:
            done = run("probe", "--broker", fake.url, "--audience", API, "--subject-token-file", "-", stdin=mint())
        self.assertEqual(done.returncode, REFUSED)
        self.assertEqual(done.stdout.count("FAILED"), 3, done.stdout)


class DevIssuer(unittest.TestCase):
    def test_refuses_requests_from_web_pages(self):
        url = f"{DEV_ISSUER}/.well-known/jwks.json"
        port = DEV_ISSUER.rsplit(":", 1)[1]
        table = [({}, 200), ({"host": f"localhost:{port}"}, 200), ({"host": "evil.example"}, 421), ({"host": "127.0.0.1"}, 421), ({"origin": DEV_ISSUER}, 403)]
        for headers, status in table:
            with self.subTest(headers):
                self.assertEqual(requests.get(url, headers=headers, timeout=10).status_code, status)

    def test_answers_304_for_cached_keys(self):
        url = f"{DEV_ISSUER}/.well-known/jwks.json"
        first = requests.get(url, timeout=10)
        self.assertEqual(first.headers["cache-control"], "public, max-age=60")
        again = requests.get(url, headers={"if-none-match": first.headers["etag"]}, timeout=10)
        self.assertEqual((again.status_code, again.content), (304, b""))

    def test_listens_only_on_loopback(self):
        done = run("dev-issuer", "--listen", "0.0.0.0:0")
        self.assertEqual(done.returncode, WRONG_USE)
        self.assertIn("not a loopback address", done.stderr)

    def test_publishes_old_key_until_next_rotation(self):
        # A separate one, because the broker needs the keys of the shared one.
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        issuer = Process(["dev-issuer", "--listen", "127.0.0.1:0"], folder / "log", folder)
        self.addCleanup(issuer.stop)

        def kids():
            return {key["kid"] for key in requests.get(f"{issuer.url}/.well-known/jwks.json", timeout=10).json()["keys"]}

        def rotate(query=""):
            self.assertEqual(requests.post(f"{issuer.url}/rotate{query}", timeout=30).status_code, 200)
            return kids()

        before = kids()
        after = rotate("?remove=true")
        self.assertEqual((len(after), after & before), (3, set()))
        both = rotate()
        self.assertTrue(both > after)
        self.assertEqual(rotate() & after, set())


    def test_keeps_keys_in_private_file_across_restarts(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        file = folder / "keys.json"

        def kids():
            issuer = Process(["dev-issuer", "--listen", "127.0.0.1:0", "--key-file", str(file)], folder / "log", folder)
            try:
                return [key["kid"] for key in requests.get(f"{issuer.url}/.well-known/jwks.json", timeout=10).json()["keys"]]
            finally:
                issuer.stop()

        self.assertEqual(kids(), kids())
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        file.write_text("{}")
        self.assertEqual(run("dev-issuer", "--listen", "127.0.0.1:0", "--key-file", str(file)).returncode, WRONG_USE)


if __name__ == "__main__":
    unittest.main()
