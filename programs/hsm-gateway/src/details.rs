//! Details of a refused request for the log, as sent by the caller and unverified.

use serde_json::Value;
use vouchsafe_gateway::{Refusal, claimed_decision_id};
use vouchsafe_json::{Json, JsonObject};

/// Members of requests that are not secret.
const NAMES: [&str; 9] = ["act", "algorithm", "epoch_start", "from", "generation", "group", "key", "share", "version"];
/// Longest text of a member; longer ones are truncated. Valid names are shorter.
const TEXT_CHARS_MAX: usize = 64;

/// Members of the log line of a refusal.
pub type Details = Vec<(&'static str, Value)>;

/// A refusal with the details of its request.
pub struct RefusedRequest {
    pub refusal: Refusal,
    pub details: Details,
}

impl From<Refusal> for RefusedRequest {
    fn from(refusal: Refusal) -> Self {
        let details = Details::new();
        Self { refusal, details }
    }
}

/// Extracts the details from the body of a request.
pub fn extract(body: &[u8]) -> Details {
    let Ok(object) = JsonObject::parse(body) else {
        return Details::new();
    };
    let value = |name| match object.get(name)? {
        Json::Integer(number) => u64::try_from(*number).ok().map(Value::from),
        Json::Text(text) => Some(text.chars().take(TEXT_CHARS_MAX).collect::<String>().into()),
        _ => None,
    };
    let named = NAMES.iter().filter_map(|name| Some((*name, value(name)?)));
    let input = object.get("signing_input").and_then(Json::as_text);
    let decision = input.and_then(claimed_decision_id);
    named.chain(decision.map(|id| ("decision_id", id.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::extract;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(body: &Value, expected: Value) {
        let found: serde_json::Map<_, _> =
            extract(body.to_string().as_bytes()).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(Value::Object(found), expected);
    }

    #[test]
    fn extracts_names_and_numbers_and_truncates() {
        let seed = json!({ "group": "default", "generation": 1, "algorithm": "ES256", "epoch_start": 3600 });
        check(&seed, seed.clone());
        check(&json!({ "key": "k".repeat(65) }), json!({ "key": "k".repeat(64) }));
        check(&json!({ "key": ["deploy"], "secret": "s" }), json!({}));
        check(&json!([]), json!({}));
    }

    #[test]
    fn extracts_only_decision_id_of_a_token() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"jti":"a1","sub":"somebody"}"#);
        let sign = |input: String| json!({ "key": "deploy", "signing_input": input });
        check(&sign(format!("e30.{payload}")), json!({ "key": "deploy", "decision_id": "a1" }));
        check(&sign("e30.e30".to_owned()), json!({ "key": "deploy" }));
        check(&sign(payload), json!({ "key": "deploy" }));
    }
}
