//! What the signer is asked for, and what it returns.

use vouchsafe_types::TokenType;

/// The JWS header's `typ` (RFC 7515 §4.1.9).
pub(crate) fn typ(token_type: TokenType) -> &'static str {
    match token_type {
        TokenType::AccessToken => "at+jwt",
        TokenType::Jwt => "JWT",
    }
}
