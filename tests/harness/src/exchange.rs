//! Requests to the token endpoint, and checks of the responses.

use crate::broker::Broker;
use crate::bundle::API;
use crate::http::{Request, Response};
use crate::jwt::Issued;
use serde_json::Value;

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const GRANT_JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub const TYPE_ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
pub const TYPE_ID: &str = "urn:ietf:params:oauth:token-type:id_token";
pub const TYPE_JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters of an exchange.
#[derive(Debug, Clone)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The minimal request for a token for [`API`].
    pub fn of(token: &str) -> Self {
        let pairs =
            [("grant_type", GRANT), ("subject_token_type", TYPE_JWT), ("audience", API), ("subject_token", token)];
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
    }

    /// The same request by the JWT bearer grant.
    #[must_use]
    pub fn as_assertion(self) -> Self {
        let token = self.get("subject_token");
        let form = self.without("subject_token").without("subject_token_type");
        form.set("grant_type", GRANT_JWT_BEARER).and("assertion", &token)
    }

    /// Adds a parameter, which may repeat an existing one.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If it is missing.
    pub fn get(&self, name: &str) -> String {
        let pair = self.0.iter().find(|(known, _)| known == name);
        pair.map(|(_, value)| value.clone()).expect("the parameter")
    }

    /// Replaces a parameter.
    #[must_use]
    pub fn set(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    pub fn body(&self) -> String {
        let pairs: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        pairs.join("&")
    }

    pub fn request(&self) -> Request {
        Request::post("/token", FORM, self.body())
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// The expected response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Issued,
    Refused { status: u16, error: &'static str, slug: &'static str },
}

impl Want {
    pub const fn slug(self) -> Option<&'static str> {
        match self {
            Self::Issued => None,
            Self::Refused { slug, .. } => Some(slug),
        }
    }
}

/// 400 `invalid_request`, the most common refusal.
pub const fn bad(slug: &'static str) -> Want {
    refused(400, "invalid_request", slug)
}

pub const fn refused(status: u16, error: &'static str, slug: &'static str) -> Want {
    Want::Refused { status, error, slug }
}

pub const fn unavailable(slug: &'static str) -> Want {
    refused(503, "temporarily_unavailable", slug)
}

/// How often a request is sent again if the store timed out: that is the fault of a busy machine and not what a
/// case tests.
const STORE_TRIES_MAX: usize = 5;

/// Sends `request` to a broker that nobody else uses, and compares response and log line with `want`. The subject
/// token, `secret`, must appear in neither.
pub fn check(broker: &Broker, request: &Request, secret: &str, want: Want) -> Result<Response, String> {
    const BUSY: &str = "store.unavailable";
    let mut tries = 1;
    let (response, line) = loop {
        let (response, line) = (broker.send(request), broker.line("token"));
        if line["slug"] != BUSY || want.slug() == Some(BUSY) || tries == STORE_TRIES_MAX {
            break (response, line);
        }
        tries += 1;
    };
    check_answer(&response, Some(&line), request.method == "HEAD", want)?;
    for part in secret.split('.').filter(|part| part.len() > 16) {
        if response.text().contains(part) || line.to_string().contains(part) {
            return Err("the subject token is in the response or in the log".to_owned());
        }
    }
    Ok(response)
}

/// Compares a response with `want`; there is no log line if the host answered itself.
pub fn check_answer(response: &Response, line: Option<&Value>, head_only: bool, want: Want) -> Result<(), String> {
    let (status, error, slug) = match want {
        Want::Issued => (200, None, "issued"),
        Want::Refused { status, error, slug } => (status, Some(error), slug),
    };
    let body = response.json();
    let context = format!("{} {} {}", response.status, response.text(), line.unwrap_or(&Value::Null));
    let expect = |holds: bool, what: &str| {
        if holds { Ok(()) } else { Err(format!("{what}: {context}")) }
    };
    expect(response.status == status, &format!("not {status}"))?;
    if let Some(line) = line {
        expect(line["slug"] == slug, &format!("not `{slug}`"))?;
        expect(line["status"] == status, "the log has another status")?;
        expect(
            head_only || line["decision_id"] == body["decision_id"] || want == Want::Issued,
            "the log has another decision id",
        )?;
    }
    expect(response.header("cache-control") == Some("no-store"), "cache-control")?;
    expect(response.header("content-type") == Some("application/json"), "content-type")?;
    expect(response.header("content-length").is_some(), "content-length")?;
    if let Some(line) = line {
        let id = line["request_id"].as_str().unwrap_or_default();
        expect(id.len() == 22 && response.header("x-request-id") == Some(id), "x-request-id")?;
        expect(head_only || response.body.ends_with(b"}\n"), "no line feed at the end")?;
    }
    if head_only {
        return Ok(());
    }
    match error {
        Some(error) => {
            let id = |kind: &str| Some(format!(" ({kind} {})", line?[format!("{kind}_id")].as_str()?));
            let suffix = id("decision").or_else(|| id("request")).unwrap_or_default();
            let description = body["error_description"].as_str().unwrap_or_default();
            expect(description.ends_with(&suffix), "the description does not end with an id")?;
            check_refusal(response, error)
        }
        None => {
            let jwt = body["access_token"].as_str().unwrap_or_default();
            expect(jwt.split('.').count() == 3, "no token")?;
            expect(line.is_none_or(|line| line["decision_id"] == Issued::parse(jwt).claims["jti"]), "jti")
        }
    }
}

/// Checks the body of a refusal (RFC 6749 §5.2).
fn check_refusal(response: &Response, error: &str) -> Result<(), String> {
    let body = response.json();
    let description = body["error_description"].as_str().unwrap_or_default();
    let legal = |byte: u8| matches!(byte, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let retry_after = response.header("retry-after").is_some();
    let fault = if body["error"] != error {
        format!("not `{error}`")
    } else if description.is_empty() || !description.bytes().all(legal) {
        "error_description".to_owned()
    } else if matches!(response.status, 429 | 503) != retry_after {
        "retry-after".to_owned()
    } else if body.get("access_token").is_some() {
        "a token in a refusal".to_owned()
    } else {
        return Ok(());
    };
    Err(format!("{fault}: {} {}", response.status, response.text()))
}
