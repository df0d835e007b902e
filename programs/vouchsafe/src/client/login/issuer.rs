//! The OIDC issuer where a person signs in.

use super::secrets::Login;
use crate::client::base64url;
use crate::client::http::{Http, is_loopback, origin};
use crate::client::text::sanitize;
use serde::Deserialize;
use serde_json::Value;
use vouchsafe_cli::Failure;

const WELL_KNOWN: &str = "/.well-known/openid-configuration";

/// An issuer whose metadata has the requested URL (OpenID Connect Discovery 1.0 §4.3).
#[derive(Debug, Deserialize)]
pub struct OidcIssuer {
    pub issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    /// RFC 9207 §3.
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub names_itself: bool,
}

/// An authorization code, and where it arrived.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
}

#[derive(Deserialize)]
struct TokenResponse {
    id_token: Option<String>,
    #[serde(default)]
    error: String,
    error_description: Option<String>,
}

impl OidcIssuer {
    pub fn discover(http: &Http, url: &str) -> Result<Self, Failure> {
        let wrong = |reason: &str| Failure::usage(format!("--login `{}` {reason}", sanitize(url)));
        if !is_secure(url) || url.contains(['?', '#']) {
            return Err(wrong("is not an https URL").hint("plain http is accepted for loopback only"));
        }
        let reply = http.get(&format!("{}{WELL_KNOWN}", url.trim_end_matches('/')), None)?;
        let found: Option<Self> = reply.json().filter(|_| reply.is_success());
        let found = found.ok_or_else(|| wrong(&format!("has no OpenID Connect metadata (status {})", reply.status)))?;
        // INVARIANT: exact comparison, so that no other issuer gets the code (OpenID Connect Discovery 1.0 §4.3).
        if found.issuer != url {
            return Err(wrong(&format!("names itself `{}`", sanitize(&found.issuer))));
        }
        for endpoint in [&found.authorization_endpoint, &found.token_endpoint] {
            if !is_secure(endpoint) || endpoint.contains('#') {
                return Err(wrong(&format!("has an endpoint that is not https: `{}`", sanitize(endpoint))));
            }
        }
        Ok(found)
    }

    /// The URL that the browser opens (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core 1.0 §3.1.2.1).
    pub fn authorization_url(&self, login: &Login, redirect_uri: &str) -> String {
        let challenge = login.challenge();
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", login.client_id.as_str()),
                ("redirect_uri", redirect_uri),
                ("scope", "openid"),
                ("state", login.state.as_str()),
                ("nonce", login.nonce.as_str()),
                ("code_challenge", challenge.as_str()),
                ("code_challenge_method", "S256"),
            ])
            .finish();
        let joint = if self.authorization_endpoint.contains('?') { '&' } else { '?' };
        format!("{}{joint}{query}", self.authorization_endpoint)
    }

    /// Exchanges the code for an ID token (RFC 6749 §4.1.3). It is sent once: a code is used once.
    pub fn redeem(&self, http: &Http, login: &Login, code: Code<'_>) -> Result<String, Failure> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.code),
            ("redirect_uri", code.redirect_uri),
            ("client_id", login.client_id.as_str()),
            ("code_verifier", login.verifier.as_str()),
        ];
        let reply = http.post_form(&self.token_endpoint, &form, None).map_err(|unanswered| unanswered.failure)?;
        let Some(response) = reply.json::<TokenResponse>() else {
            return Err(reply.unexpected(&self.token_endpoint));
        };
        match response.id_token.filter(|_| reply.is_success()) {
            Some(token) => Ok(token),
            None if response.error.is_empty() => Err(reply.unexpected(&self.token_endpoint)),
            None => Err(refused(&response.error, response.error_description.as_deref())),
        }
    }

    /// What OpenID Connect Core 1.0 §3.1.3.7 requires of a token that came from the token endpoint itself. The broker
    /// verifies its signature.
    pub fn check(&self, token: &str, login: &Login, now: u64) -> Result<(), &'static str> {
        let payload = token.split('.').nth(1).and_then(base64url::decode).ok_or("it is not a JWT")?;
        let claims: Value = serde_json::from_slice(&payload).map_err(|_| "its claims are not JSON")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(&self.issuer) {
            return Err("`iss` is another issuer");
        }
        if text("nonce") != Some(&login.nonce) {
            return Err("`nonce` is another one");
        }
        let audiences = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        if !audiences.iter().any(|audience| audience.as_str() == Some(&login.client_id)) {
            return Err("`aud` is another client");
        }
        match claims.get("exp").and_then(Value::as_f64) {
            Some(exp) if exp > now as f64 => Ok(()),
            _ => Err("it has expired"),
        }
    }
}

/// The issuer refuses (RFC 6749 §4.1.2.1 and §5.2).
pub fn refused(error: &str, description: Option<&str>) -> Failure {
    let detail = description.map_or_else(String::new, |text| format!(": {}", sanitize(text)));
    Failure::refused(format!("the issuer refused the login: {}{detail}", sanitize(error)))
}

fn is_secure(url: &str) -> bool {
    origin(url).is_some_and(|(scheme, _)| scheme == "https" || (scheme == "http" && is_loopback(url)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 1_800_000_000;

    fn issuer() -> OidcIssuer {
        OidcIssuer {
            issuer: "https://login.example".to_owned(),
            authorization_endpoint: "https://login.example/auth".to_owned(),
            token_endpoint: "https://login.example/token".to_owned(),
            names_itself: true,
        }
    }

    /// The values of RFC 7636, appendix B.
    fn login() -> Login {
        Login {
            client_id: "vouchsafe".to_owned(),
            state: "s1".to_owned(),
            nonce: "n1".to_owned(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        }
    }

    #[test]
    fn url_has_challenge_state_and_nonce() {
        let expected = "https://login.example/auth?response_type=code&client_id=vouchsafe\
            &redirect_uri=http%3A%2F%2F127.0.0.1%3A7%2Fcallback&scope=openid&state=s1&nonce=n1\
            &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        assert_eq!(issuer().authorization_url(&login(), "http://127.0.0.1:7/callback"), expected);
        let with_query = OidcIssuer { authorization_endpoint: "https://login.example/auth?p=1".to_owned(), ..issuer() };
        let url = with_query.authorization_url(&login(), "http://127.0.0.1:7/callback");
        assert!(url.starts_with("https://login.example/auth?p=1&response_type=code&"), "{url}");
    }

    #[test]
    fn accepts_the_token_of_this_login_only() {
        let check = |claims: Value| {
            let token = format!("e30.{}.c2ln", base64url::encode(claims.to_string().as_bytes()));
            issuer().check(&token, &login(), NOW)
        };
        let good = json!({ "iss": "https://login.example", "aud": "vouchsafe", "nonce": "n1", "exp": NOW + 1 });
        assert_eq!(check(good.clone()), Ok(()));
        for (name, value, expected) in [
            ("aud", json!(["other", "vouchsafe"]), Ok(())),
            ("aud", json!("other"), Err("`aud` is another client")),
            ("aud", Value::Null, Err("`aud` is another client")),
            ("iss", json!("https://login.example/"), Err("`iss` is another issuer")),
            ("nonce", json!("n2"), Err("`nonce` is another one")),
            ("nonce", Value::Null, Err("`nonce` is another one")),
            ("exp", json!(NOW), Err("it has expired")),
            ("exp", Value::Null, Err("it has expired")),
        ] {
            let mut claims = good.clone();
            claims[name] = value.clone();
            assert_eq!(check(claims), expected, "{name} {value}");
        }
        for token in ["", "a", "a.%.b", "e30.bm90IGpzb24.c"] {
            assert!(issuer().check(token, &login(), NOW).is_err(), "{token}");
        }
    }
}
