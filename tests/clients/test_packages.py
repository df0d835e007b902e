"""The packages of clients/ accept a broker's tokens, and reject every attack on them."""

import base64
import datetime
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker import REPO
from test_verifiers import ANOTHER_KEY, API, BROKER, DEV_ISSUER, NODE, PRIVATE_KEYS, Issuer, public_jwk

sys.path.insert(0, str(REPO / "clients/python/src"))
import vouchsafe  # noqa: E402
import vouchsafe.keys  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
DAY = datetime.timedelta(days=1)
REFUSALS = (vouchsafe.InvalidToken, vouchsafe.MissingScope, vouchsafe.KeysUnavailable, vouchsafe.RevocationsUnavailable)
INVALID, SCOPE, KEYS = "InvalidToken", "MissingScope", "KeysUnavailable"


def in_python(options, tokens, scopes=("read",), root=None):
    verifier = vouchsafe.Verifier(**options, root=root and root.encode())

    def verify(token):
        try:
            return verifier.verify(token, scopes=list(scopes)).subject
        except REFUSALS as error:
            assert len(token) < 40 or token[-20:] not in str(error)
            return type(error).__name__

    return [verify(token) for token in tokens]


def in_typescript(options, tokens, scopes=("read",), root=None):
    options = {{"jwks_uri": "jwksUri"}.get(name, name): value for name, value in options.items()}
    request = json.dumps({"options": options, "tokens": list(tokens), "scopes": list(scopes), "root": root})
    done = subprocess.run(
        [NODE, HERE / "verify_package.mjs"], input=request, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


PACKAGES = {"python": in_python, "typescript": in_typescript}


class KeyServer:
    """Serves `answer` as the JWK Set, and counts requests."""

    def __init__(self, keys=(), status=200, headers=None, body=None):
        self.status, self.headers, self.requests = status, headers or {}, 0
        self.body = body or json.dumps({"keys": list(keys)}).encode()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                service.requests += 1
                self.send_response(service.status)
                for name, value in {"content-length": str(len(service.body)), **service.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(service.body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/.well-known/jwks.json"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class Packages(unittest.TestCase):
    def setUp(self):
        self.issuer = self.enterContext(Issuer())
        self.options = {"issuer": self.issuer.url, "audience": API}

    def each(self, tokens, expected, scopes=("read",), root=None, **changes):
        for name, verify in PACKAGES.items():
            found = verify({**self.options, **changes}, tokens, scopes, root)
            for number, (result, wanted) in enumerate(zip(found, expected, strict=True)):
                with self.subTest(f"{name} {number}"):
                    self.assertEqual(result, wanted)

    def test_accept_the_brokers_token(self):
        subject = requests.post(f"{DEV_ISSUER}/mint", json={"aud": BROKER}, timeout=10).json()["token"]
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": subject, "audience": API, "scope": "read",
        }  # fmt: skip
        token = requests.post(f"{BROKER}/token", data=form, timeout=10).json()["access_token"]
        expected = ["dev:repo:octo-org/octo-repo:ref:refs/heads/main"]
        self.each([token], expected, issuer=BROKER)
        self.each([token], [SCOPE], issuer=BROKER, scopes=("write",))
        self.each([token], [INVALID], issuer=BROKER, audience="https://deploy.example")

    def test_reject_every_wrong_token(self):
        wrong = self.issuer.wrong_tokens()
        scopes = {"scope", "no scope"}
        expected = ["workload", *(SCOPE if what in scopes else INVALID for what in wrong)]
        self.each([self.issuer.token(), *wrong.values()], expected)

    def test_reject_what_is_no_access_token_of_this_api(self):
        token = self.issuer.token
        signed = token()
        head, payload, signature = signed.split(".")
        header = {"alg": "ES256", "typ": "at+jwt", "kid": "ES256"}
        attacks = [
            token(aud=[API]), token(aud=[API, "https://deploy.example"]), token(aud=f"{API}/"), token(iss=f"{self.issuer.url}/"),
            token(typ="AT+JWT"), token(typ="application/at+jwt"), token(typ=None), token(without=["sub"]), token(without=["jti"]),
            token(sub=1), token(jti=1), token(iat=int(time.time()) + 3600), token(nbf=int(time.time()) + 3600),
            token(exp="never"), token(exp=None), token(without=["iat"]),
            f"{segment({**header, 'crit': ['b64'], 'b64': True})}.{payload}.{signature}",
            f"{segment({'alg': 'ES256', 'typ': 'at+jwt'})}.{payload}.{signature}",
            f"{segment({**header, 'kid': 1})}.{payload}.{signature}",
            f"{segment({**header, 'kid': 'EdDSA'})}.{payload}.{signature}",
            f"{segment({**header, 'jwk': public_jwk('ES256'), 'kid': 'own'})}.{payload}.{signature}",
            f"{head}.{segment({'iss': self.issuer.url})}.{signature}",
            f"{head}.{payload}.", f"{head}.{payload}", f"{signed}.x", f" {signed}", f"{signed}\n", "", ".", "..", "ä", "a" * 20,
        ]  # fmt: skip
        self.each(attacks, [INVALID] * len(attacks))

    def test_length_is_limited(self):
        def of_length(length):
            padding, token = length // 2, ""
            while len(token := self.issuer.token(x="a" * padding)) < length:
                padding += max(1, (length - len(token)) * 3 // 4)
            return token

        limit = 16 * 1024
        longest = of_length(limit - 2)
        self.assertLessEqual(len(longest), limit)
        self.each([longest, of_length(limit + 1), "a." * 5_000_000], ["workload", INVALID, INVALID])

    def test_leeway_covers_a_few_seconds(self):
        now = int(time.time())
        tokens = [self.issuer.token(nbf=now + 3, iat=now + 3), self.issuer.token(exp=now - 60)]
        self.each(tokens, ["workload", INVALID])

    def test_scopes_are_whole_words(self):
        tokens = [self.issuer.token(scope=scope) for scope in ("read write", "read-all", "READ", "", " read", ["read"])]
        self.each(tokens, ["workload", SCOPE, SCOPE, SCOPE, "workload", SCOPE])
        self.each([self.issuer.token(without=["scope"])], ["workload"], scopes=())

    def test_algorithms_are_chosen_by_the_api(self):
        tokens = [self.issuer.token(algorithm) for algorithm in PRIVATE_KEYS]
        self.each(tokens, ["workload", INVALID, INVALID], algorithms=["EdDSA"])
        self.each(tokens, ["workload"] * 3, algorithms=list(PRIVATE_KEYS))
        for algorithms in (["none"], ["HS256"], ["ES256", "HS256"], []):
            for name, verify in PACKAGES.items():
                with self.subTest(f"{name} {algorithms}"), self.assertRaisesRegex(ValueError, "algorithms must be some of"):
                    verify({**self.options, "algorithms": algorithms}, [])

    def test_keys_come_over_tls(self):
        for name, verify in PACKAGES.items():
            with self.subTest(name), self.assertRaisesRegex(ValueError, "is not https"):
                verify({"issuer": "http://broker.example", "audience": API}, [])


class KeySets(unittest.TestCase):
    def setUp(self):
        self.issuer = self.enterContext(Issuer())

    def each(self, server, tokens, expected, requests_expected=None):
        for name, verify in PACKAGES.items():
            server.requests = 0
            with self.subTest(name):
                found = verify({"issuer": self.issuer.url, "audience": API, "jwks_uri": server.url}, tokens)
                self.assertEqual(found, expected)
                if requests_expected is not None:
                    self.assertEqual(server.requests, requests_expected)

    def test_many_unknown_kids_cause_one_fetch(self):
        tokens = [self.issuer.token(kid=f"stranger-{number}", key=ANOTHER_KEY) for number in range(20)]
        with KeyServer([public_jwk("ES256")]) as server:
            self.each(server, [self.issuer.token(), *tokens, self.issuer.token()], ["workload", *[INVALID] * 20, "workload"], 1)

    def test_unreachable_keys_are_not_a_wrong_token(self):
        with KeyServer(status=503) as server:
            self.each(server, [self.issuer.token()] * 3, [KEYS] * 3, 1)

    def test_redirects_are_not_followed(self):
        with KeyServer([public_jwk("ES256")]) as other:
            with KeyServer(status=302, headers={"location": other.url}) as server:
                self.each(server, [self.issuer.token()], [KEYS])
            self.assertEqual(other.requests, 0)

    def test_sets_that_are_wrong_are_not_used(self):
        jwk = public_jwk("ES256")
        for body in [
            b"<html>", b"[]", b'{"keys":{}}', b'{"keys":[1]}', json.dumps({"keys": [jwk, jwk]}).encode(),
            json.dumps({"keys": [jwk], "x": "a" * 300_000}).encode(),
        ]:  # fmt: skip
            with KeyServer(body=body) as server, self.subTest(body[:40]):
                self.each(server, [self.issuer.token()], [KEYS])

    def test_keys_for_another_use_are_not_used(self):
        jwk = public_jwk("ES256")
        ed = {**public_jwk("EdDSA"), "kid": "ES256"}
        for changed in [{**jwk, "use": "enc"}, {**jwk, "alg": "ES384"}, ed, {**ed, "alg": "ES256"}, {**jwk, "crv": "P-384"}]:
            with KeyServer([changed]) as server, self.subTest(changed):
                self.each(server, [self.issuer.token()], [INVALID])

    def test_previous_set_is_used_while_the_broker_is_away(self):
        # Of the Python package, whose clock can be set here.
        clock = mock.Mock(return_value=1000.0)
        with mock.patch.object(vouchsafe.keys.time, "monotonic", clock), KeyServer([public_jwk("ES256")]) as server:
            verifier = vouchsafe.Verifier(self.issuer.url, API, jwks_uri=server.url)
            for seconds, status, requests_expected in [
                (0, 200, 1), (299, 503, 1), (300, 503, 2), (309, 503, 2), (310, 503, 3), (3599, 503, 4),
            ]:  # fmt: skip
                clock.return_value, server.status = 1000.0 + seconds, status
                self.assertEqual(verifier.verify(self.issuer.token()).subject, "workload", seconds)
                self.assertEqual(server.requests, requests_expected, seconds)
            clock.return_value = 1000.0 + 3600
            with self.assertRaises(vouchsafe.KeysUnavailable):
                verifier.verify(self.issuer.token())
            clock.return_value, server.status = 1000.0 + 3610, 200
            self.assertEqual(verifier.verify(self.issuer.token()).subject, "workload")

    def test_new_keys_are_found(self):
        clock = mock.Mock(return_value=1000.0)
        with mock.patch.object(vouchsafe.keys.time, "monotonic", clock), KeyServer([public_jwk("EdDSA")]) as server:
            verifier = vouchsafe.Verifier(self.issuer.url, API, jwks_uri=server.url)
            with self.assertRaises(vouchsafe.InvalidToken):
                verifier.verify(self.issuer.token())
            server.body = json.dumps({"keys": [public_jwk("ES256")]}).encode()
            clock.return_value += 9
            with self.assertRaises(vouchsafe.InvalidToken):
                verifier.verify(self.issuer.token())
            clock.return_value += 1
            self.assertEqual(verifier.verify(self.issuer.token()).subject, "workload")


class Roots(unittest.TestCase):
    """Keys with certificates, as those of a broker with an HSM."""

    def setUp(self):
        self.issuer = self.enterContext(Issuer())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.root = self.certificate(self.key, subject="root", authority=True, names=())
        self.pem = self.root.public_bytes(serialization.Encoding.PEM).decode()

    def certificate(self, key, signer=None, subject="leaf", issuer="root", authority=False, names=None, days=(-1, 1), extended=False):
        names = [x509.UniformResourceIdentifier(self.issuer.url)] if names is None else names
        now = datetime.datetime.now(datetime.timezone.utc)

        def name(text):
            return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).serial_number(1)
        builder = builder.not_valid_before(now + days[0] * DAY).not_valid_after(now + days[1] * DAY).public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(authority, 0 if authority else None), critical=True)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"), False
        )
        usage = x509.KeyUsage(**usage, digital_signature=not authority, key_cert_sign=authority)
        builder = builder.add_extension(usage, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if extended:
            builder = builder.add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(signer or self.key, hashes.SHA256())

    def check(self, expected, x5c="leaf", **changes):
        leaf = self.certificate(**{"key": PRIVATE_KEYS["ES256"], **changes})
        encoded = base64.b64encode(leaf.public_bytes(serialization.Encoding.DER)).decode()
        jwk = {**public_jwk("ES256"), **({"x5c": [encoded]} if x5c == "leaf" else x5c)}
        with KeyServer([jwk]) as server:
            for name, verify in PACKAGES.items():
                with self.subTest(f"{name}: {changes or x5c}"):
                    options = {"issuer": self.issuer.url, "audience": API, "jwks_uri": server.url}
                    self.assertEqual(verify(options, [self.issuer.token()], root=self.pem), [expected])

    def test_certified_key_is_accepted(self):
        self.check("workload")

    def test_other_keys_are_not(self):
        other = x509.UniformResourceIdentifier("https://other.example")
        own = x509.UniformResourceIdentifier(self.issuer.url)
        for changes in [
            {"signer": ANOTHER_KEY}, {"issuer": "another root"}, {"key": ANOTHER_KEY}, {"days": (-2, -1)}, {"days": (1, 2)},
            {"authority": True}, {"extended": True}, {"names": ()}, {"names": (other,)}, {"names": (own, other)},
            {"names": (x509.DNSName("broker.example"),)},
        ]:  # fmt: skip
            self.check(INVALID, **changes)
        for x5c in ({}, {"x5c": []}, {"x5c": ["AAAA"]}, {"x5c": "AAAA"}, {"x5c": [1]}):
            self.check(INVALID, x5c=x5c)

    def test_root_must_be_an_authority(self):
        leaf = self.certificate(PRIVATE_KEYS["ES256"]).public_bytes(serialization.Encoding.PEM).decode()
        for name, verify in PACKAGES.items():
            with self.subTest(name), self.assertRaisesRegex(ValueError, "does not belong to an authority"):
                verify({"issuer": self.issuer.url, "audience": API}, [], root=leaf)


class Headers(unittest.TestCase):
    def test_token_of_an_authorization_header(self):
        self.assertEqual(vouchsafe.bearer("Bearer a.b.c"), "a.b.c")
        self.assertEqual(vouchsafe.bearer("bearer a.b.c"), "a.b.c")
        for header in (None, "", "Bearer", "Bearer ", "Basic a", "a.b.c"):
            with self.assertRaises(vouchsafe.InvalidToken):
                vouchsafe.bearer(header)


if __name__ == "__main__":
    unittest.main()
