"""The broker's JWK Set, fetched as rarely as its operator expects."""

import json
import threading
import time

from vouchsafe.errors import InvalidToken, KeysUnavailable
from vouchsafe.fetch import Resource

# How long a set is used, as its `cache-control` says.
FRESH_SECONDS = 300
# How long after its fetch a set is used while the broker can't be reached.
STALE_SECONDS_MAX = 3600
# Strangers can send any `kid`, so each can't cause a fetch.
ATTEMPT_SECONDS_MIN = 10
SET_BYTES_MAX = 256 * 1024
TIMEOUT_SECONDS = 10


class Keys:
    """Keys by `kid`. Threads share one, and wait for its fetch."""

    def __init__(self, url):
        self._set = Resource(url, SET_BYTES_MAX, TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._keys = None
        self._fetched = self._attempted = float("-inf")

    def get(self, kid):
        with self._lock:
            if time.monotonic() - self._fetched >= FRESH_SECONDS:
                self._fetch()
            if self._keys is not None and kid not in self._keys:
                self._fetch()
            if self._keys is None or time.monotonic() - self._fetched >= STALE_SECONDS_MAX:
                raise KeysUnavailable("the broker's keys cannot be fetched")
            if kid not in self._keys:
                raise InvalidToken("the broker has no key with this kid")
            return self._keys[kid]

    def _fetch(self):
        now = time.monotonic()
        if now - self._attempted < ATTEMPT_SECONDS_MIN:
            return
        self._attempted = now
        try:
            self._keys = parse(self._set.fetch()[0])
            self._fetched = now
        except (OSError, ValueError):
            # The previous set stays for a while.
            return


def parse(text):
    """Keys by `kid`. A set with two keys of one `kid` is invalid: which one counts must not be a matter of chance."""
    keys = {}
    for jwk in members(json.loads(text), "keys", list):
        kid = members(jwk, "kid", str)
        if kid in keys:
            raise ValueError("two keys have the same kid")
        keys[kid] = jwk
    return keys


def members(value, name, kind):
    if not isinstance(value, dict) or not isinstance(value.get(name), kind):
        raise ValueError(f"`{name}` is missing or has another type")
    return value[name]
