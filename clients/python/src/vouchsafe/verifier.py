"""The checks of an API that accepts a broker's access tokens."""

import dataclasses

from vouchsafe.errors import InvalidToken, MissingScope
from vouchsafe.keys import Keys
from vouchsafe.revocations import Revocations
from vouchsafe.root import Root
from vouchsafe.signatures import Signatures
from vouchsafe.status import StatusLists

ALGORITHMS = frozenset(("ES256", "EdDSA", "RS256"))
TOKEN_BYTES_MAX = 16 * 1024
LEEWAY_SECONDS = 5
TYP = "at+jwt"
REQUIRED = ["exp", "iat", "iss", "aud", "sub", "jti"]


@dataclasses.dataclass(frozen=True)
class Token:
    """What a valid token says."""

    subject: str
    scopes: frozenset
    #: The broker's decision id (`jti`), under which its operator finds why the token was issued.
    id: str
    claims: dict = dataclasses.field(repr=False)


class Verifier:
    """Verifies tokens of one broker for one API.

    `issuer` and `audience` are compared exactly. `algorithms` are those that your audience's file may name. `root` is
    the PEM of a root certificate that must have certified the keys. With `revocations`, tokens that the broker has revoked
    are refused, and all tokens without a recent list; it may be the URL of the list. With `status_lists`, which the
    audience must have, likewise, and tokens without a status too. Raises `ValueError` if an argument is wrong.
    """

    def __init__(
        self, issuer, audience, algorithms=("ES256",), root=None, jwks_uri=None, leeway_seconds=LEEWAY_SECONDS,
        revocations=False, status_lists=False,
    ):  # fmt: skip
        if isinstance(algorithms, str) or not algorithms or not ALGORITHMS.issuperset(algorithms):
            raise ValueError(f"algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
        if not isinstance(audience, str) or not audience:
            raise ValueError("audience must be one text")
        base = issuer.rstrip("/")
        self._audience, self._algorithms = audience, list(algorithms)
        keys = Keys(jwks_uri or f"{base}/.well-known/jwks.json")
        self._signatures = Signatures(issuer, keys, Root(root) if root else None, leeway_seconds)
        self._revocations = None
        if revocations:
            url = revocations if isinstance(revocations, str) else f"{base}/revocations"
            self._revocations = Revocations(url, self._signatures, leeway_seconds)
        self._status_lists = StatusLists(base, self._signatures, leeway_seconds) if status_lists else None

    def verify(self, token, scopes=()):
        """Returns the `Token`. Raises `InvalidToken`, `MissingScope`, `KeysUnavailable` or `RevocationsUnavailable`."""
        if isinstance(scopes, str):
            raise ValueError("scopes must be a list")
        claims, kid = self._signatures.verify(
            token, TYP, self._algorithms, TOKEN_BYTES_MAX, REQUIRED, audience=self._audience
        )
        if self._revocations:
            self._revocations.check(claims, kid)
        if self._status_lists:
            self._status_lists.check(claims)
        granted = claims.get("scope", "")
        granted = frozenset(granted.split(" ")) if isinstance(granted, str) else frozenset()
        for scope in scopes:
            if scope not in granted:
                raise MissingScope(f"the scope `{scope}` is missing")
        return Token(claims["sub"], granted - {""}, claims["jti"], claims)


def bearer(header):
    """The token in the value of an `Authorization` header, or raises `InvalidToken`."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("no bearer token")
    return token
