//! Webhooks, signed as Standard Webhooks 1.0 says: `v1`, HMAC-SHA256 over id, timestamp and body.

use super::super::signals::Signal;
use crate::client::http::Http;
use crate::client::moment;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::json;
use std::path::Path;
use vouchsafe_cli::{Failure, files};
use zeroize::Zeroizing;

/// Largest file of secrets.
const SECRET_BYTES_MAX: u64 = 1024;
const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets at once.
const SECRETS_MAX: usize = 2;

/// The secrets that sign. Two of them while receivers change over.
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_secret(path, SECRET_BYTES_MAX)?;
        let wrong = || Failure::file(path, "not one or two lines with `whsec_` and base64 of 24 to 64 bytes each");
        let key = |line: &str| {
            let bytes = Zeroizing::new(STANDARD.decode(line.trim().strip_prefix(PREFIX)?).ok()?);
            BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        let keys: Option<Vec<hmac::Key>> = text.lines().map(key).collect();
        let keys = keys.filter(|keys| (1..=SECRETS_MAX).contains(&keys.len()));
        keys.map(Self).ok_or_else(wrong)
    }

    /// The value of `webhook-signature`.
    fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signature = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, signed.as_bytes())));
        self.0.iter().map(signature).collect::<Vec<_>>().join(" ")
    }
}

pub struct Receiver {
    url: String,
    secrets: Secrets,
    http: Http,
}

impl Receiver {
    pub fn new(url: &str, secrets: Secrets, http: Http) -> Self {
        Self { url: url.to_owned(), secrets, http }
    }

    pub fn send(&self, signal: &Signal, now: u64) -> Result<(), Failure> {
        let id = message_id(signal);
        let body = json!({
            "type": signal.kind,
            "timestamp": moment::show_ms(signal.at_ms),
            "data": signal.data,
        });
        let body = body.to_string();
        let timestamp = now.to_string();
        let signature = self.secrets.sign(&id, now, &body);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ];
        let reply = self.http.post_once(&self.url, &headers, body)?;
        // A redirect is a failure too.
        if reply.is_success() { Ok(()) } else { Err(reply.unexpected(&self.url)) }
    }
}

/// The same whenever the same event is sent, and without characters that a header can't have.
fn message_id(signal: &Signal) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{} {}", signal.kind, signal.id).as_bytes());
    let hex: String = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn read(text: &str, mode: u32) -> Result<Secrets, String> {
        let path = std::env::temp_dir().join(format!("vouchsafe-webhook-{}-{}", std::process::id(), text.len()));
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
        let read = Secrets::read(&path).map_err(|failure| failure.message);
        std::fs::remove_file(&path).expect("removes");
        read
    }

    fn secret(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
    }

    /// The example of the specification's libraries.
    #[test]
    fn signs_as_the_specification_says() {
        let secrets = read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0o600).expect("a secret");
        let body = r#"{"test": 2432232314}"#;
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body), expected);
    }

    #[test]
    fn takes_one_or_two_secrets_of_24_to_64_bytes() {
        let count = |text: String| read(&text, 0o600).map(|secrets| secrets.0.len()).ok();
        for (bytes, expected) in [(23, None), (24, Some(1)), (64, Some(1)), (65, None)] {
            assert_eq!(count(secret(bytes)), expected, "{bytes}");
        }
        assert_eq!(count(format!("{}\n{}\n", secret(24), secret(32))), Some(2));
        assert_eq!(count(format!("{0}\n{0}\n{0}\n", secret(24))), None);
        assert_eq!(count(String::new()), None);
        assert_eq!(count(secret(24).replace("whsec_", "")), None);
        assert!(read(&secret(24), 0o644).is_err(), "others can read it");
    }

    #[test]
    fn same_event_has_the_same_id() {
        let signal = |id: &str| Signal { kind: "a", id: id.to_owned(), at_ms: 0, data: serde_json::Value::Null };
        assert_eq!(message_id(&signal("x")), message_id(&signal("x")));
        assert_ne!(message_id(&signal("x")), message_id(&signal("y")));
    }
}
