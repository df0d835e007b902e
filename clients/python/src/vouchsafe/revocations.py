"""The list of what the broker has revoked: a signed document that lives for seconds."""

import base64
import dataclasses
import hashlib
import threading
import time
import urllib.error

from vouchsafe.errors import InvalidToken, KeysUnavailable, RevocationsUnavailable
from vouchsafe.fetch import Resource

TYP = "vouchsafe-revocations+jwt"
# Those of the broker's epoch keys, whatever the algorithm of its tokens.
ALGORITHMS = ("ES256", "EdDSA")
DOCUMENT_BYTES_MAX = 1024 * 1024
LIFETIME_SECONDS_MAX = 60
POLL_SECONDS = 2
# Short, because callers wait: the previous list bridges a few failures.
TIMEOUT_SECONDS = 1
CONDITIONS = ("issuer", "subject", "audience", "kid")


@dataclasses.dataclass(frozen=True)
class RevocationList:
    #: Since when the broker knows what is revoked, then the number of its latest operation.
    order: tuple
    expires_at: int
    rules: list
    tokens: frozenset

    def revokes(self, claims, kid):
        """Whether the token is revoked. One that lacks what a rule could ask for counts as revoked."""
        issuer, colon, subject = claims["sub"].partition(":")
        issued_at = claims["iat"]
        if not colon or type(issued_at) is not int:
            return True
        shown = dict(zip(CONDITIONS, map(hashed, (issuer, subject, claims["aud"], kid))))
        return (
            issued_at < self.order[0]
            or claims["jti"] in self.tokens
            or any(matches(rule, shown, issued_at) for rule in self.rules)
        )


class Revocations:
    """The latest list. Threads share one, and wait for its fetch."""

    def __init__(self, url, signatures, leeway_seconds):
        self._document = Resource(url, DOCUMENT_BYTES_MAX, TIMEOUT_SECONDS)
        self._signatures, self._leeway = signatures, leeway_seconds
        self._lock = threading.Lock()
        self._list = self._etag = None
        self._attempted = float("-inf")

    def check(self, claims, kid):
        """Raises `InvalidToken` if the token is revoked, `RevocationsUnavailable` without a recent list."""
        with self._lock:
            if time.monotonic() - self._attempted >= POLL_SECONDS:
                self._attempted = time.monotonic()
                self._fetch()
            latest = self._list
        if latest is None or time.time() >= latest.expires_at + self._leeway:
            raise RevocationsUnavailable("there is no list of revocations that is recent enough")
        if latest.revokes(claims, kid):
            raise InvalidToken("the token is revoked")

    def _fetch(self):
        try:
            body, headers = self._document.fetch(**({"If-None-Match": self._etag} if self._etag else {}))
            self.store(body.decode("ascii"))
            self._etag = headers["etag"]
        except urllib.error.HTTPError as error:
            # 304 too: the list is still the latest one.
            error.close()
        except (InvalidToken, KeysUnavailable, OSError, ValueError):
            # The previous list stays until it expires.
            return

    def store(self, document):
        """Takes over a document, unless it is not valid or older than the one before."""
        claims, _ = self._signatures.verify(
            document, TYP, ALGORITHMS, DOCUMENT_BYTES_MAX, ["iss", "iat", "exp", "began_at", "seq", "rules", "tokens"]
        )
        latest = parse(claims)
        if self._list is not None and latest.order < self._list.order:
            raise InvalidToken("the list of revocations is older than the one before")
        self._list = latest


def parse(claims):
    numbers = [claims[name] for name in ("iat", "exp", "began_at", "seq")]
    if not all(map(is_number, numbers)):
        raise InvalidToken("a claim of the list of revocations has another type")
    issued_at, expires_at, began_at, sequence = numbers
    if expires_at - issued_at > LIFETIME_SECONDS_MAX:
        raise InvalidToken("the list of revocations is valid for too long")
    rules, tokens = claims["rules"], claims["tokens"]
    if not isinstance(rules, list) or not all(map(is_rule, rules)):
        raise InvalidToken("`rules` has another type")
    if not isinstance(tokens, list) or not all(isinstance(jti, str) for jti in tokens):
        raise InvalidToken("`tokens` has another type")
    return RevocationList((began_at, sequence), expires_at, rules, frozenset(tokens))


def is_number(value):
    return type(value) is int and value >= 0


def is_rule(rule):
    return (
        isinstance(rule, dict)
        and all(isinstance(rule[name], str) for name in CONDITIONS if name in rule)
        and all(is_number(rule[name]) for name in ("since", "until") if name in rule)
    )


def matches(rule, shown, issued_at):
    """Conditions of a later version are ignored: without them, a rule matches more."""
    return (
        all(rule[name] == shown[name] for name in CONDITIONS if name in rule)
        and rule.get("since", 0) <= issued_at
        and issued_at <= rule.get("until", issued_at)
    )


def hashed(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
