//! Probes: messages that a version signs to show that it can sign and that verifiers know it. A probe can't be mistaken
//! for a token.

use serde_json::json;

use crate::rules::KeyRule;

/// `typ` in the header of a probe; no token has it.
pub const PROBE_TYP: &str = "vouchsafe-probe+jws";
/// `aud` of a probe; no API has it.
pub const PROBE_AUDIENCE: &str = "urn:vouchsafe:probe";

/// The signing input of a probe by the version `kid`. It has its own type, no real audience and no subject, and is already
/// expired. `nonce` makes each probe unique.
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
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// How long a new probe has been expired: longer than any leeway.
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
        let request = SignRequest { key: "deploy".into(), signing_input: input, workload: None };
        assert!(SigningInput::check(request, rule, |_| true, 1_800_000_000).is_err());
    }
}
