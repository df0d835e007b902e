"""The packages of clients/ follow a broker's list of revocations, and reject every attack on it."""

import json
import pathlib
import subprocess
import sys
import time
import unittest
from unittest import mock

import jwt
import requests

from broker import REPO
from test_packages import KeyServer, PACKAGES
from test_revocation import BROKER, obtain
from test_verifiers import ANOTHER_KEY, API, NODE, PRIVATE_KEYS, Issuer, public_jwk

sys.path.insert(0, str(REPO / "clients/python/src"))
import vouchsafe  # noqa: E402
import vouchsafe.revocations  # noqa: E402
from vouchsafe.keys import Keys  # noqa: E402
from vouchsafe.signatures import Signatures  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
CASES = json.loads((REPO / "clients/revocation-cases.json").read_text())
TIMES = ("iat", "exp", "since", "until", "began_at")
ISSUER = "https://broker.example"
SUBJECT = "repo:octo-org/followed"


def timed(members):
    """The members with their times, which are seconds from now."""

    def value(name, value):
        if name in TIMES and type(value) is int:
            return int(time.time()) + value
        if isinstance(value, dict) and "exactly" in value:
            return value["exactly"]
        if name == "rules" and isinstance(value, list):
            return [timed(rule) if isinstance(rule, dict) else rule for rule in value]
        return value

    return {name: value(name, it) for name, it in members.items()}


def document(case, claims):
    if "raw" in case:
        return case["raw"]
    header = {"alg": "ES256", "kid": "ES256", "typ": "vouchsafe-revocations+jwt", **case.get("header", {})}
    header = {name: value for name, value in header.items() if value is not None}
    parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (header, timed(claims))]
    key = ANOTHER_KEY if case.get("key") == "stranger" else PRIVATE_KEYS["ES256"]
    algorithm = jwt.get_algorithm_by_name("ES256")
    signature = jwt.utils.base64url_encode(algorithm.sign(b".".join(parts), key))
    return b".".join([*parts, signature]).decode()


def claims(**changes):
    return {"iss": ISSUER, "iat": 0, "exp": 15, "began_at": -3600, "seq": 1, "rules": [], "tokens": [], **changes}


def in_python(requests_):
    results = []
    for request in requests_:
        signatures = Signatures(request["issuer"], Keys(request["jwksUri"]), None, 5)
        revocations = vouchsafe.revocations.Revocations("http://127.0.0.1:9/revocations", signatures, 5)
        accepted = []
        for text in request["documents"]:
            try:
                revocations.store(text)
                accepted.append(True)
            except vouchsafe.InvalidToken:
                accepted.append(False)
        checked = None
        if request.get("claims"):
            try:
                revocations.check(request["claims"], request["kid"])
                checked = "valid"
            except (vouchsafe.InvalidToken, vouchsafe.RevocationsUnavailable) as error:
                checked = type(error).__name__
        results.append({"accepted": accepted, "checked": checked})
    return results


def in_typescript(requests_):
    command = [NODE, HERE / "verify_revocations.mjs"]
    done = subprocess.run(command, input=json.dumps(requests_), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


class Table(unittest.TestCase):
    """The cases that every verifier passes; those of Rust are in crates/verifier."""

    def each(self, cases, of_case, expected):
        with KeyServer([public_jwk("ES256")]) as server:
            requests_ = [{"issuer": ISSUER, "jwksUri": server.url, **of_case(case)} for case in cases]
            for name, check in {"python": in_python, "typescript": in_typescript}.items():
                for case, result in zip(cases, check(requests_), strict=True):
                    with self.subTest(f"{name}: {case['name']}"):
                        self.assertEqual(result, expected(case))

    def test_match_as_the_broker_does(self):
        def of_case(case):
            changes = {name: case[name] for name in ("rules", "tokens", "began_at") if name in case}
            token = timed({**CASES["token"], **case.get("token", {})})
            return {"documents": [document({}, claims(**changes))], "claims": token, "kid": token.pop("kid")}

        self.each(
            CASES["matching"], of_case,
            lambda case: {"accepted": [True], "checked": "InvalidToken" if case["revoked"] else "valid"},
        )  # fmt: skip

    def test_accept_only_documents_of_the_broker(self):
        def of_case(case):
            members = {**claims(), **case.get("claims", {})}
            members.pop(case.get("without"), None)
            token = timed(CASES["token"])
            return {"documents": [document(case, members)], "claims": token, "kid": token.pop("kid")}

        self.each(
            CASES["documents"], of_case,
            lambda case: {"accepted": [case["accepted"]], "checked": "valid" if case["accepted"] else "RevocationsUnavailable"},
        )  # fmt: skip

    def test_lists_never_go_back(self):
        def of_case(case):
            return {"documents": [document({}, claims(began_at=began_at, seq=seq)) for began_at, seq in case["lists"]]}

        self.each(CASES["sequences"], of_case, lambda case: {"accepted": case["accepted"], "checked": None})


class Following(unittest.TestCase):
    """Fetching, with keys and lists from a server of the test."""

    def setUp(self):
        self.issuer = self.enterContext(Issuer())
        self.token = self.issuer.token(sub="github:workload")

    def served(self, **changes):
        return KeyServer(body=document({}, {**claims(**changes), "iss": self.issuer.url}).encode())

    def check(self, server, expected, requests_expected=None):
        for name, verify in PACKAGES.items():
            server.requests = 0
            with self.subTest(name):
                options = {"issuer": self.issuer.url, "audience": API, "revocations": server.url}
                self.assertEqual(verify(options, [self.token] * 3), [expected] * 3)
                if requests_expected is not None:
                    self.assertEqual(server.requests, requests_expected)

    def test_list_is_fetched_once_for_many_tokens(self):
        with self.served() as server:
            self.check(server, "github:workload", 1)

    def test_revoked_tokens_are_refused(self):
        with self.served(tokens=["id"]) as server:
            self.check(server, "InvalidToken", 1)

    def test_nothing_is_accepted_without_a_list(self):
        for server in (KeyServer(status=503), KeyServer(status=404), KeyServer(body=b"<html>"), KeyServer(body=b"a" * (1024 * 1024 + 1))):
            with server:
                self.check(server, "RevocationsUnavailable", 1)
        with self.served() as other, KeyServer(status=302, headers={"location": other.url}) as server:
            self.check(server, "RevocationsUnavailable", 1)
            self.assertEqual(other.requests, 0)

    def test_lists_come_over_tls(self):
        for name, verify in PACKAGES.items():
            with self.subTest(name), self.assertRaisesRegex(ValueError, "is not https"):
                verify({"issuer": self.issuer.url, "audience": API, "revocations": "http://broker.example/revocations"}, [])

    def test_list_is_fetched_again_after_two_seconds(self):
        # Of the Python package, whose clocks can be set here.
        monotonic, wall = mock.Mock(return_value=1000.0), mock.Mock(return_value=time.time())
        with (
            mock.patch.object(vouchsafe.revocations.time, "monotonic", monotonic),
            mock.patch.object(vouchsafe.revocations.time, "time", wall),
            self.served() as server,
        ):
            server.headers["etag"] = '"1"'
            verifier = vouchsafe.Verifier(self.issuer.url, API, revocations=server.url)
            began = wall.return_value
            for seconds, status, requests_expected in [(0, 200, 1), (1.9, 200, 1), (2, 304, 2), (4, 503, 3), (19, 503, 4)]:
                monotonic.return_value, wall.return_value, server.status = 1000.0 + seconds, began + seconds, status
                self.assertEqual(verifier.verify(self.token).subject, "github:workload", seconds)
                self.assertEqual(server.requests, requests_expected, seconds)
            # 15 s and the leeway of 5 s have passed.
            monotonic.return_value, wall.return_value = 1021.0, began + 21
            with self.assertRaises(vouchsafe.RevocationsUnavailable):
                verifier.verify(self.token)


class Broker(unittest.TestCase):
    """The list of a real broker."""

    def verify(self, tokens):
        options = {"issuer": BROKER, "audience": API, "revocations": True}
        return {name: verify(options, tokens) for name, verify in PACKAGES.items()}

    def test_followers_refuse_what_its_holder_ended(self):
        ended, other = obtain(subject=SUBJECT), obtain(subject=SUBJECT)
        valid = f"dev:{SUBJECT}"
        self.assertEqual(self.verify([ended, other]), {name: [valid, valid] for name in PACKAGES})
        requests.post(f"{BROKER}/revoke", data={"token": ended}, timeout=10).raise_for_status()
        deadline = time.monotonic() + 30
        while (found := self.verify([ended, other])) != {name: ["InvalidToken", valid] for name in PACKAGES}:
            self.assertLess(time.monotonic(), deadline, found)

    def test_list_has_its_own_type(self):
        answer = requests.get(f"{BROKER}/revocations", timeout=10)
        self.assertEqual(answer.headers["content-type"], "application/jwt")
        self.assertEqual(jwt.get_unverified_header(answer.text)["typ"], "vouchsafe-revocations+jwt")
        keys = jwt.PyJWKClient(f"{BROKER}/.well-known/jwks.json")
        claims = jwt.decode(answer.text, keys.get_signing_key_from_jwt(answer.text), algorithms=["ES256"], issuer=BROKER)
        self.assertEqual(claims["exp"] - claims["iat"], 15)
        self.assertEqual(self.verify([answer.text]), {name: ["InvalidToken"] for name in PACKAGES})


if __name__ == "__main__":
    unittest.main()
