"""Verifies access tokens of a Vouchsafe broker: PyJWT, with every check that an API must make."""

from vouchsafe.errors import InvalidToken, KeysUnavailable, MissingScope, RevocationsUnavailable
from vouchsafe.verifier import Token, Verifier, bearer

__all__ = ["InvalidToken", "KeysUnavailable", "MissingScope", "RevocationsUnavailable", "Token", "Verifier", "bearer"]
