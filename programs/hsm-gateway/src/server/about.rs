//! What a refused request was about, for the log: in the caller's words, which nobody has believed.

use serde_json::Value;
use vouchsafe_gateway::{Refusal, claimed_decision_id};
use vouchsafe_json::{Json, JsonObject};

/// Members of requests that are no secret.
const NAMES: [&str; 9] = [
    "act",
    "algorithm",
    "epoch_start",
    "from",
    "generation",
    "group",
    "key",
    "share",
    "version",
];
/// Names are not longer, and what is longer is cut.
const WORD_CHARS_MAX: usize = 64;

/// Members for the line of a refusal.
pub type About = Vec<(&'static str, Value)>;

/// A refusal, and what it was about.
pub struct Refused {
    pub refusal: Refusal,
    pub about: About,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let about = About::new();
        Self { refusal, about }
    }
}

/// What can be told of a request with this body.
pub fn about(body: &[u8]) -> About {
    let Ok(object) = JsonObject::parse(body) else {
        return About::new();
    };
    let word = |name| match object.get(name)? {
        Json::Integer(number) => u64::try_from(*number).ok().map(Value::from),
        Json::Text(text) => Some(text.chars().take(WORD_CHARS_MAX).collect::<String>().into()),
        _ => None,
    };
    let named = NAMES.iter().filter_map(|name| Some((*name, word(name)?)));
    let input = object.get("signing_input").and_then(Json::as_text);
    let decision = input.and_then(claimed_decision_id);
    named
        .chain(decision.map(|id| ("decision_id", id.into())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::about;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(body: &Value, expected: Value) {
        let found: serde_json::Map<_, _> = about(body.to_string().as_bytes())
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(Value::Object(found), expected);
    }

    #[test]
    fn tells_names_and_numbers_and_cuts_what_is_long() {
        let seed = json!({ "group": "default", "generation": 1, "algorithm": "ES256", "epoch_start": 3600 });
        check(&seed, seed.clone());
        check(
            &json!({ "key": "k".repeat(65) }),
            json!({ "key": "k".repeat(64) }),
        );
        check(&json!({ "key": ["deploy"], "secret": "s" }), json!({}));
        check(&json!([]), json!({}));
    }

    #[test]
    fn tells_the_decision_id_that_a_token_claims_and_no_more_of_it() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"jti":"a1","sub":"somebody"}"#);
        let sign = |input: String| json!({ "key": "deploy", "signing_input": input });
        check(
            &sign(format!("e30.{payload}")),
            json!({ "key": "deploy", "decision_id": "a1" }),
        );
        check(&sign("e30.e30".to_owned()), json!({ "key": "deploy" }));
        check(&sign(payload), json!({ "key": "deploy" }));
    }
}
