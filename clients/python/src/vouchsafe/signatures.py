"""Whether a JWT of the broker has a valid signature."""

import re

import jwt

from vouchsafe.errors import InvalidToken

COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)


class Signatures:
    """Verifies JWTs of one type with the broker's keys, which the root must have certified if there is one."""

    def __init__(self, issuer, keys, root, leeway_seconds):
        self._issuer, self._keys, self._root, self._leeway = issuer, keys, root, leeway_seconds

    def verify(self, token, typ, algorithms, bytes_max, required, **expected):
        """The claims and the `kid`. Raises `InvalidToken` or `KeysUnavailable`."""
        # ORDER: the length first, and the header before the key.
        if not isinstance(token, str) or len(token) > bytes_max or not COMPACT.fullmatch(token):
            raise InvalidToken("malformed, or too long")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise InvalidToken("malformed") from error
        if header.get("typ") != typ:
            raise InvalidToken(f"`typ` is not {typ}")
        if header.get("alg") not in algorithms:
            raise InvalidToken("the algorithm is not allowed")
        if "crit" in header or not isinstance(header.get("kid"), str):
            raise InvalidToken("the header has `crit`, or no `kid`")
        key = self._key(header)
        options = {"require": required, "strict_aud": True, "verify_aud": "audience" in expected}
        try:
            claims = jwt.decode(
                token, key, algorithms=list(algorithms), issuer=self._issuer, leeway=self._leeway, options=options,
                **expected,
            )  # fmt: skip
        except (jwt.PyJWTError, OverflowError, ValueError, TypeError) as error:
            raise InvalidToken(f"the token is not valid: {type(error).__name__}") from error
        return claims, header["kid"]

    def _key(self, header):
        jwk = self._keys.get(header["kid"])
        try:
            key = jwt.PyJWK(jwk, algorithm=header["alg"])
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise InvalidToken("the key is not for this algorithm") from error
        if jwk.get("alg") != header["alg"] or jwk.get("use") != "sig":
            raise InvalidToken("the key is not for this algorithm")
        if self._root:
            self._root.check(jwk, key.key, self._issuer)
        return key
