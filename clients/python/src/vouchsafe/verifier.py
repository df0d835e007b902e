"""The checks of an API that accepts a broker's access tokens."""

import dataclasses
import re

import jwt

from vouchsafe.errors import InvalidToken, MissingScope
from vouchsafe.keys import Keys
from vouchsafe.root import Root

ALGORITHMS = frozenset(("ES256", "EdDSA", "RS256"))
TOKEN_BYTES_MAX = 16 * 1024
COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
LEEWAY_SECONDS = 5
TYP = "at+jwt"


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
    the PEM of a root certificate that must have certified the keys. Raises `ValueError` if an argument is wrong.
    """

    def __init__(self, issuer, audience, algorithms=("ES256",), root=None, jwks_uri=None, leeway_seconds=LEEWAY_SECONDS):
        if isinstance(algorithms, str) or not algorithms or not ALGORITHMS.issuperset(algorithms):
            raise ValueError(f"algorithms must be some of {', '.join(sorted(ALGORITHMS))}")
        if not isinstance(audience, str) or not audience:
            raise ValueError("audience must be one text")
        self._issuer, self._audience, self._algorithms = issuer, audience, list(algorithms)
        self._leeway = leeway_seconds
        self._keys = Keys(jwks_uri or f"{issuer.rstrip('/')}/.well-known/jwks.json")
        self._root = Root(root) if root else None

    def verify(self, token, scopes=()):
        """Returns the `Token`. Raises `InvalidToken`, `MissingScope` or `KeysUnavailable`."""
        if isinstance(scopes, str):
            raise ValueError("scopes must be a list")
        claims = self._claims(token)
        granted = claims.get("scope", "")
        granted = frozenset(granted.split(" ")) if isinstance(granted, str) else frozenset()
        for scope in scopes:
            if scope not in granted:
                raise MissingScope(f"the scope `{scope}` is missing")
        return Token(claims["sub"], granted - {""}, claims["jti"], claims)

    def _claims(self, token):
        # ORDER: the length first, and the header before the key.
        if not isinstance(token, str) or len(token) > TOKEN_BYTES_MAX or not COMPACT.fullmatch(token):
            raise InvalidToken("malformed, or too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise InvalidToken("malformed") from error
        jwk = self._keys.get(self._kid(header))
        try:
            key = jwt.PyJWK(jwk, algorithm=header["alg"])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidToken("the key is not for this algorithm") from error
        if jwk.get("alg") != header["alg"] or jwk.get("use") != "sig":
            raise InvalidToken("the key is not for this algorithm")
        if self._root:
            self._root.check(jwk, key.key, self._issuer)
        return self._verified(token, key)

    def _kid(self, header):
        if header.get("typ") != TYP:
            raise InvalidToken("not an access token: `typ` is not at+jwt")
        if header.get("alg") not in self._algorithms:
            raise InvalidToken("the algorithm is not allowed")
        if "crit" in header or not isinstance(header.get("kid"), str):
            raise InvalidToken("the header has `crit`, or no `kid`")
        return header["kid"]

    def _verified(self, token, key):
        options = {"require": ["exp", "iat", "iss", "aud", "sub", "jti"], "strict_aud": True}
        try:
            return jwt.decode(
                token, key, algorithms=self._algorithms, issuer=self._issuer, audience=self._audience,
                leeway=self._leeway, options=options,
            )  # fmt: skip
        except (jwt.PyJWTError, OverflowError, ValueError, TypeError) as error:
            raise InvalidToken(f"the token is not valid: {type(error).__name__}") from error


def bearer(header):
    """The token in the value of an `Authorization` header, or raises `InvalidToken`."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidToken("no bearer token")
    return token
