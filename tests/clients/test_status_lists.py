"""The packages of clients/ check status lists (draft-ietf-oauth-status-list), and reject every attack on them."""

import base64
import json
import pathlib
import subprocess
import sys
import time
import unittest
import zlib

import jwt

from broker import REPO
from test_packages import KeyServer
from test_verifiers import ANOTHER_KEY, NODE, PRIVATE_KEYS, public_jwk

sys.path.insert(0, str(REPO / "clients/python/src"))
import vouchsafe  # noqa: E402
import vouchsafe.status  # noqa: E402
from vouchsafe.keys import Keys  # noqa: E402
from vouchsafe.signatures import Signatures  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = json.loads((REPO / "clients/status-list-vectors.json").read_text())["vectors"]
# Nobody listens there.
ISSUER = "http://127.0.0.1:9"
URI = f"{ISSUER}/status/1790000000-7"
INFLATED_BYTES_MAX = 1024 * 1024


def lst(content):
    return base64.urlsafe_b64encode(zlib.compress(content, 9)).decode().rstrip("=")


# Two bytes in which only the token at index 3 is revoked.
LIST = {"bits": 1, "lst": lst(b"\x08\0")}


def document(header=None, key="ES256", **changes):
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": URI, "iat": now, "exp": now + 60, "ttl": 2, "status_list": LIST, **changes}
    claims = {name: now + value["in"] if isinstance(value, dict) and "in" in value else value for name, value in claims.items()}
    header = {"alg": "ES256", "kid": "ES256", "typ": "statuslist+jwt", **(header or {})}
    claims = {name: value for name, value in claims.items() if value is not None}
    parts = [jwt.utils.base64url_encode(json.dumps(part).encode()) for part in (header, claims)]
    private = ANOTHER_KEY if key == "stranger" else PRIVATE_KEYS["ES256"]
    signature = jwt.get_algorithm_by_name("ES256").sign(b".".join(parts), private)
    return b".".join([*parts, jwt.utils.base64url_encode(signature)]).decode()


def status(index=0, uri=URI):
    return {"status": {"status_list": {"idx": index, "uri": uri}}}


def in_python(requests):
    results = []
    for request in requests:
        signatures = Signatures(request["issuer"], Keys(request["jwksUri"]), None, 5)
        lists = vouchsafe.status.StatusLists(request["issuer"], signatures, 5)
        accepted = []
        for text in request["documents"]:
            try:
                lists.store(request["uri"], text)
                accepted.append(True)
            except vouchsafe.InvalidToken:
                accepted.append(False)
        try:
            lists.check(request["claims"])
            checked = "valid"
        except (vouchsafe.InvalidToken, vouchsafe.RevocationsUnavailable) as error:
            checked = type(error).__name__
        results.append({"accepted": accepted, "checked": checked})
    return results


def in_typescript(requests):
    command = [NODE, HERE / "verify_status_lists.mjs"]
    done = subprocess.run(command, input=json.dumps(requests), capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return json.loads(done.stdout)


class Table(unittest.TestCase):
    """What the tests of crates/verifier say of the Rust crate."""

    def each(self, cases):
        """Of each case: its name, documents, claims of the token, which documents are accepted, and the outcome."""
        with KeyServer([public_jwk("ES256")]) as server:
            requests = [
                {"issuer": ISSUER, "jwksUri": server.url, "uri": URI, "documents": documents, "claims": claims}
                for _, documents, claims, _, _ in cases
            ]
            for package, check in {"python": in_python, "typescript": in_typescript}.items():
                for (name, _, _, accepted, checked), result in zip(cases, check(requests), strict=True):
                    with self.subTest(f"{package}: {name}"):
                        self.assertEqual(result, {"accepted": accepted, "checked": checked})

    def test_vectors_of_the_draft(self):
        cases = []
        for vector in VECTORS:
            listed = document(status_list={"bits": vector["bits"], "lst": vector["lst"]})
            # Each case has a list of its own, so only some of 256.
            for index in [*map(int, list(vector["nonzero"])[::32]), 1, 2, vector["entries"] - 2]:
                expected = "InvalidToken" if str(index) in vector["nonzero"] else "valid"
                cases.append((f"{index} of {vector['bits']}", [listed], status(index), [True], expected))
            cases.append((f"end of {vector['bits']}", [listed], status(vector["entries"]), [True], "RevocationsUnavailable"))
        self.each(cases)

    def test_accept_only_lists_of_the_broker(self):
        refused = [
            ("another key", document(key="stranger")),
            ("another type", document(header={"typ": "at+jwt"})),
            ("another algorithm", document(header={"alg": "RS256"})),
            ("another issuer", document(iss="https://other.example")),
            ("another list", document(sub=f"{ISSUER}/status/1790000000-8")),
            ("no list", document(sub=None)),
            ("expired", document(iat={"in": -30}, exp={"in": -6})),
            ("valid for too long", document(exp={"in": 61})),
            ("no end", document(exp=None)),
            ("in the future", document(iat={"in": 60}, exp={"in": 70})),
            ("no statuses", document(status_list=None)),
            ("three bits", document(status_list={**LIST, "bits": 3})),
            ("bits as text", document(status_list={**LIST, "bits": "1"})),
            ("no zlib stream", document(status_list={**LIST, "lst": "AAAA"})),
            ("truncated", document(status_list={**LIST, "lst": LIST["lst"][:-4]})),
            ("wrong checksum", document(status_list={**LIST, "lst": LIST["lst"][:-4] + "AAAA"})),
            ("too long once inflated", document(status_list={**LIST, "lst": lst(bytes(INFLATED_BYTES_MAX + 1))})),
            ("zlib bomb", document(status_list={**LIST, "lst": lst(bytes(40 * INFLATED_BYTES_MAX))})),
            ("too long", document(pad="a" * 64 * 1024)),
            ("no JWT", "x"),
        ]
        cases = [(name, [text], status(), [False], "RevocationsUnavailable") for name, text in refused]
        largest = document(status_list={**LIST, "lst": lst(bytes(INFLATED_BYTES_MAX))})
        self.each([*cases, ("largest", [largest], status(), [True], "valid")])

    def test_refuse_tokens_by_their_index(self):
        listed = [document()]
        cases = [(f"index {index}", listed, status(index), [True], "valid") for index in (0, 2, 4, 15)]
        cases.append(("revoked", listed, status(3), [True], "InvalidToken"))
        cases.append(("beyond the list", listed, status(16), [True], "RevocationsUnavailable"))
        for index in (-1, 1.5, "3", None, [3], True):
            cases.append((f"index {index!r}", listed, status(index), [True], "InvalidToken"))
        for uri in ("http://127.0.0.1:9/status/", "http://127.0.0.1:9/status/../token", "http://127.0.0.1:99/status/1-1", f"{URI}?a", None):
            cases.append((f"list {uri}", listed, status(0, uri), [True], "InvalidToken"))
        for claims in ({}, {"status": None}, {"status": []}, {"status": {"status_list": 1}}):
            cases.append((f"claims {claims}", listed, claims, [True], "InvalidToken"))
        self.each(cases)

    def test_lists_never_go_back(self):
        before = document(iat={"in": -5}, exp={"in": 55}, status_list={**LIST, "lst": lst(b"\0\0")})
        self.each([("older", [document(), before, document()], status(3), [True, False, True], "InvalidToken")])


if __name__ == "__main__":
    unittest.main()
