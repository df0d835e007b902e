"""Why a token is not accepted. No message contains a part of the token."""


class InvalidToken(Exception):
    """The token is not valid for this API: answer with 401."""


class MissingScope(Exception):
    """The token is valid, but doesn't have a scope that is needed: answer with 403."""


class KeysUnavailable(Exception):
    """The broker's keys can't be fetched now: answer with 503."""


class RevocationsUnavailable(Exception):
    """No recent list of revocations is available: answer with 503."""
