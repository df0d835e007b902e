//! A probe: what a version signs to show that it can, and that verifiers know it. Nobody can take it for
//! a token.

use serde_json::json;

use crate::rules::KeyRule;

/// The header's `typ` of a probe, which no token has.
pub const PROBE_TYP: &str = "vouchsafe-probe+jws";
/// The `aud` of a probe, which no API is.
pub const PROBE_AUDIENCE: &str = "urn:vouchsafe:probe";

/// What the version `kid` of a key signs: of another type, for nobody, about nobody, and over before it
/// is made. `nonce` makes each another one.
#[must_use]
pub fn probe_input(rule: &KeyRule, kid: &str, nonce: &str, now: u64) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = vouchsafe_signer::header(rule.algorithm.name(), kid, PROBE_TYP);
    let claims = json!({
        "iss": rule.issuer,
        "aud": PROBE_AUDIENCE,
        "iat": now,
        "exp": now.saturating_sub(PROBE_EXPIRED_SECONDS),
        "jti": nonce,
    });
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    )
}

/// How long ago a probe expired when it is made: more than any leeway.
const PROBE_EXPIRED_SECONDS: u64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::rules;
    use crate::token::SigningInput;
    use crate::wire::SignRequest;

    #[test]
    fn never_signs_a_probe_as_token() {
        let rules = rules("");
        let rule = rules.keys().next().unwrap();
        let input = probe_input(rule, "kid", "nonce", 1_800_000_000);
        let request = SignRequest {
            key: "deploy".into(),
            signing_input: input,
            workload: None,
        };
        assert!(SigningInput::check(request, rule, |_| true, 1_800_000_000).is_err());
    }
}
