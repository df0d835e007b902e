// Why a token is not accepted. No message contains a part of the token.

/** The token is not valid for this API: answer with 401. */
export class InvalidToken extends Error {
  override name = "InvalidToken";
}

/** The token is valid, but doesn't have a scope that is needed: answer with 403. */
export class MissingScope extends Error {
  override name = "MissingScope";
}

/** The broker's keys can't be fetched now: answer with 503. */
export class KeysUnavailable extends Error {
  override name = "KeysUnavailable";
}

/** No recent list of revocations is available: answer with 503. */
export class RevocationsUnavailable extends Error {
  override name = "RevocationsUnavailable";
}
