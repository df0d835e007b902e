"""Token Status Lists (draft-ietf-oauth-status-list): a signed document with one bit for each of many tokens."""

import base64
import binascii
import dataclasses
import re
import threading
import time
import urllib.error
import zlib

from vouchsafe.errors import InvalidToken, KeysUnavailable, RevocationsUnavailable
from vouchsafe.fetch import Resource

TYP = "statuslist+jwt"
# Those of the broker's epoch keys, whatever the algorithm of its tokens.
ALGORITHMS = ("ES256", "EdDSA")
DOCUMENT_BYTES_MAX = 64 * 1024
INFLATED_BYTES_MAX = 1024 * 1024
LIFETIME_SECONDS_MAX = 60
POLL_SECONDS = 2
# Short, because callers wait: the previous list bridges a few failures.
TIMEOUT_SECONDS = 1
# A broker fills one list after the other.
LISTS_MAX = 64
NAME = re.compile(r"[0-9-]+", re.ASCII)


@dataclasses.dataclass(frozen=True)
class StatusList:
    issued_at: int
    expires_at: int
    bits: int
    statuses: bytes

    def get(self, index):
        """The status at `index`; the first one is in the lowest bits of a byte. None if there is no such index."""
        byte, shift = divmod(index * self.bits, 8)
        if not 0 <= byte < len(self.statuses):
            return None
        return self.statuses[byte] >> shift & (1 << self.bits) - 1


class Followed:
    """The latest list at one URL. Threads share one, and wait for its fetch."""

    def __init__(self, uri):
        self.document = Resource(uri, DOCUMENT_BYTES_MAX, TIMEOUT_SECONDS)
        self.lock = threading.Lock()
        self.list = self.etag = None
        self.attempted = float("-inf")


class StatusLists:
    """The latest lists of one broker."""

    def __init__(self, base, signatures, leeway_seconds):
        self._prefix, self._signatures, self._leeway = f"{base}/status/", signatures, leeway_seconds
        self._lock = threading.Lock()
        self._followed = {}

    def check(self, claims):
        """Raises `InvalidToken` if the token is revoked or names no list, `RevocationsUnavailable` without a recent list."""
        uri, index = self._reference(claims)
        followed = self._follow(uri)
        with followed.lock:
            if time.monotonic() - followed.attempted >= POLL_SECONDS:
                followed.attempted = time.monotonic()
                self._fetch(uri, followed)
            latest = followed.list
        if latest is None or time.time() >= latest.expires_at + self._leeway:
            raise RevocationsUnavailable("there is no status list that is recent enough")
        status = latest.get(index)
        if status is None:
            raise RevocationsUnavailable("the status list has no such index")
        if status != 0:
            raise InvalidToken("the token is revoked")

    def _reference(self, claims):
        """Where the status is. Only lists of the broker itself count, so nothing in a token has another server asked."""
        status = claims.get("status")
        reference = status.get("status_list") if isinstance(status, dict) else None
        uri, index = (reference.get("uri"), reference.get("idx")) if isinstance(reference, dict) else (None, None)
        is_uri = isinstance(uri, str) and uri.startswith(self._prefix) and NAME.fullmatch(uri[len(self._prefix) :])
        if not is_uri or type(index) is not int or index < 0:
            raise InvalidToken("the token names no status list of its issuer")
        return uri, index

    def _follow(self, uri):
        with self._lock:
            if uri not in self._followed and len(self._followed) >= LISTS_MAX:
                del self._followed[min(self._followed, key=lambda uri: self._followed[uri].attempted)]
            return self._followed.setdefault(uri, Followed(uri))

    def _fetch(self, uri, followed):
        try:
            known = {"If-None-Match": followed.etag} if followed.etag else {}
            body, headers = followed.document.fetch(Accept=f"application/{TYP}", **known)
            self.store(uri, body.decode("ascii"), followed)
            followed.etag = headers["etag"]
        except urllib.error.HTTPError as error:
            # 304 too: the list is still the latest one.
            error.close()
        except (InvalidToken, KeysUnavailable, OSError, ValueError):
            # The previous list stays until it expires.
            return

    def store(self, uri, document, followed=None):
        """Takes over a document, unless it is not valid or older than the one before."""
        followed = followed or self._follow(uri)
        claims, _ = self._signatures.verify(
            document, TYP, ALGORITHMS, DOCUMENT_BYTES_MAX, ["iss", "sub", "iat", "exp", "status_list"]
        )
        latest = parse(claims, uri)
        if followed.list is not None and latest.issued_at < followed.list.issued_at:
            raise InvalidToken("the status list is older than the one before")
        followed.list = latest


def parse(claims, uri):
    if claims["sub"] != uri:
        raise InvalidToken("the status list is of another URL")
    issued_at, expires_at, statuses = claims["iat"], claims["exp"], claims["status_list"]
    if type(issued_at) is not int or type(expires_at) is not int:
        raise InvalidToken("a claim of the status list has another type")
    if expires_at - issued_at > LIFETIME_SECONDS_MAX:
        raise InvalidToken("the status list is valid for too long")
    if not isinstance(statuses, dict) or type(statuses.get("bits")) is not int or statuses["bits"] not in (1, 2, 4, 8):
        raise InvalidToken("`bits` is missing or invalid")
    return StatusList(issued_at, expires_at, statuses["bits"], inflate(statuses.get("lst")))


def inflate(text):
    """The bytes of `lst`. However well they are compressed, they take no more memory than `INFLATED_BYTES_MAX`."""
    if not isinstance(text, str) or not re.fullmatch(r"[\w-]+", text, re.ASCII):
        raise InvalidToken("`lst` is missing or invalid")
    try:
        compressed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        stream = zlib.decompressobj()
        inflated = stream.decompress(compressed, INFLATED_BYTES_MAX + 1)
    except (binascii.Error, zlib.error) as error:
        raise InvalidToken("`lst` is not a zlib stream") from error
    if len(inflated) > INFLATED_BYTES_MAX or not stream.eof:
        raise InvalidToken("`lst` inflates to more than 1 MiB, or is incomplete")
    return inflated
