//! The messages between signer and gateway, in strict JSON. Unknown members are rejected.
//!
//! `POST /v1/epoch-seed`, `POST /v1/sign-token`, `GET /v1/keys`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use vouchsafe_json::{Json, JsonObject};
use vouchsafe_signer::{PublicJwk, SEED_BYTES, Seed};
use zeroize::Zeroizing;

use crate::canary::Workload;
use crate::jwk;

pub const KEYS_PATH: &str = "/v1/keys";
pub const SEED_PATH: &str = "/v1/epoch-seed";
pub const SIGN_PATH: &str = "/v1/sign-token";

/// Largest request.
pub const REQUEST_BYTES_MAX: usize = 32 * 1024;
/// Largest answer.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A message that its route doesn't accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

/// Requests the seed of one epoch and algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedRequest {
    pub group: String,
    pub generation: u64,
    pub algorithm: String,
    /// Unix seconds.
    pub epoch_start: u64,
}

impl SeedRequest {
    /// # Errors
    /// [`Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let members = Members::parse(body, 4)?;
        Ok(Self {
            group: members.text("group")?,
            generation: members.number("generation")?,
            algorithm: members.text("algorithm")?,
            epoch_start: members.number("epoch_start")?,
        })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "group": self.group,
            "generation": self.generation,
            "algorithm": self.algorithm,
            "epoch_start": self.epoch_start,
        })
        .to_string()
    }
}

/// The answer to a [`SeedRequest`].
pub fn seed_answer(seed: &Seed) -> Zeroizing<String> {
    let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(seed.expose()));
    Zeroizing::new(format!(r#"{{"seed":"{}"}}"#, *text))
}

/// Reads the answer that [`seed_answer`] writes.
///
/// # Errors
/// [`Malformed`].
pub fn parse_seed(body: &[u8]) -> Result<Seed, Malformed> {
    let text = Zeroizing::new(Members::parse(body, 1)?.text("seed")?);
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text.as_bytes()).map_err(|_| Malformed)?);
    let seed: [u8; SEED_BYTES] = bytes.as_slice().try_into().map_err(|_| Malformed)?;
    Ok(Seed::from_bytes(seed))
}

/// Requests a signature by an HSM key. The signing input is almost a credential, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// The key's name.
    pub key: String,
    /// `BASE64URL(header) . BASE64URL(payload)` (RFC 7515 §5.1), with the `kid` of a published version.
    pub signing_input: String,
    /// The workload that the token is for; without one, no canary signs.
    pub workload: Option<Workload>,
}

impl std::fmt::Debug for SignRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignRequest({}, ..)", self.key)
    }
}

impl SignRequest {
    /// # Errors
    /// [`Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let members = Members::Whole(JsonObject::parse(body).map_err(|_| Malformed)?);
        let object = members.object().get("workload");
        let workload = match object {
            None => None,
            Some(object) => Some(parse_workload(object)?),
        };
        members.only(if workload.is_some() { 3 } else { 2 })?;
        Ok(Self { key: members.text("key")?, signing_input: members.text("signing_input")?, workload })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        let mut message = json!({ "key": self.key, "signing_input": self.signing_input });
        if let (Some(workload), Some(members)) = (&self.workload, message.as_object_mut()) {
            let workload = json!({ "issuer": workload.issuer, "principal": workload.principal });
            members.insert("workload".to_owned(), workload);
        }
        message.to_string()
    }
}

fn parse_workload(object: &Json) -> Result<Workload, Malformed> {
    let members = Members::Part(object.as_object().ok_or(Malformed)?);
    members.only(2)?;
    let (issuer, principal) = (members.text("issuer")?, members.text("principal")?);
    Workload::new(&issuer, &principal).ok_or(Malformed)
}

/// The answer to a [`SignRequest`]: a JWS signature by the version that the gateway chose. The signed header has that
/// version's `kid`; everything else is signed as sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub kid: String,
    pub version: u64,
    pub signature: Vec<u8>,
}

impl Signature {
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({
            "kid": self.kid,
            "version": self.version,
            "signature": URL_SAFE_NO_PAD.encode(&self.signature),
        })
        .to_string()
    }

    /// # Errors
    /// [`Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let members = Members::parse(body, 3)?;
        let signature = members.text("signature")?;
        Ok(Self {
            kid: members.text("kid")?,
            version: members.number("version")?,
            signature: URL_SAFE_NO_PAD.decode(signature).map_err(|_| Malformed)?,
        })
    }
}

/// The public key of one epoch and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicEpochKey {
    pub generation: u64,
    pub epoch_start: u64,
    pub algorithm: String,
    pub kid: String,
    /// The JWK, in JSON.
    pub jwk: String,
}

/// The public key of one version of an HSM key, and the audiences that it signs for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicTokenKey {
    pub name: String,
    pub version: u64,
    /// False for a version that does not sign yet or no longer signs.
    pub signs: bool,
    pub algorithm: String,
    pub audiences: Vec<String>,
    pub kid: String,
    /// The JWK, in JSON.
    pub jwk: String,
}

/// The public keys of one key group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKeys {
    pub name: String,
    pub issuer: String,
    pub epoch_seconds: u64,
    pub epoch_keys: Vec<PublicEpochKey>,
    pub token_keys: Vec<PublicTokenKey>,
}

/// The answer to `GET /v1/keys`: everything that a signer needs for its JWK Set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The gateway's clock, in Unix seconds.
    pub now: u64,
    pub generation: u64,
    /// How long delegated tokens can be signed without the HSM.
    pub seconds_left: u64,
    /// The key groups that the caller may use.
    pub groups: Vec<GroupKeys>,
}

impl Keys {
    #[must_use]
    pub fn to_json(&self) -> String {
        let groups: Vec<_> = self.groups.iter().map(group_json).collect();
        format!(
            r#"{{"now":{},"generation":{},"seconds_left":{},"groups":[{}]}}"#,
            self.now,
            self.generation,
            self.seconds_left,
            groups.join(",")
        )
    }

    /// # Errors
    /// [`Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let members = Members::parse(body, 4)?;
        Ok(Self {
            now: members.number("now")?,
            generation: members.number("generation")?,
            seconds_left: members.number("seconds_left")?,
            groups: members.each("groups", parse_group)?,
        })
    }
}

fn group_json(group: &GroupKeys) -> String {
    let epoch_keys: Vec<_> = group
        .epoch_keys
        .iter()
        .map(|key| {
            format!(r#"{{"generation":{},"epoch_start":{},"jwk":{}}}"#, key.generation, key.epoch_start, key.jwk)
        })
        .collect();
    let token_keys: Vec<_> = group
        .token_keys
        .iter()
        .map(|key| {
            let (name, audiences) = (json!(key.name), json!(key.audiences));
            format!(
                r#"{{"name":{name},"version":{},"signs":{},"audiences":{audiences},"jwk":{}}}"#,
                key.version, key.signs, key.jwk
            )
        })
        .collect();
    let (name, issuer) = (json!(group.name), json!(group.issuer));
    format!(
        r#"{{"name":{name},"issuer":{issuer},"epoch_seconds":{},"epoch_keys":[{}],"token_keys":[{}]}}"#,
        group.epoch_seconds,
        epoch_keys.join(","),
        token_keys.join(",")
    )
}

fn parse_group(members: &Members<'_>) -> Result<GroupKeys, Malformed> {
    members.only(5)?;
    Ok(GroupKeys {
        name: members.text("name")?,
        issuer: members.text("issuer")?,
        epoch_seconds: members.number("epoch_seconds")?,
        epoch_keys: members.each("epoch_keys", |members| {
            members.only(3)?;
            let jwk = members.jwk()?;
            Ok(PublicEpochKey {
                generation: members.number("generation")?,
                epoch_start: members.number("epoch_start")?,
                algorithm: jwk.algorithm().to_owned(),
                kid: jwk.kid().to_owned(),
                jwk: jwk.to_json(),
            })
        })?,
        token_keys: members.each("token_keys", |members| {
            members.only(5)?;
            let jwk = members.jwk()?;
            Ok(PublicTokenKey {
                name: members.text("name")?,
                version: members.number("version")?,
                signs: members.truth("signs")?,
                algorithm: jwk.algorithm().to_owned(),
                audiences: members.texts("audiences")?,
                kid: jwk.kid().to_owned(),
                jwk: jwk.to_json(),
            })
        })?,
    })
}

/// Members of an object, read by name.
enum Members<'j> {
    Whole(JsonObject),
    Part(&'j JsonObject),
}

impl Members<'_> {
    /// Parses an object of exactly `count` members.
    fn parse(body: &[u8], count: usize) -> Result<Self, Malformed> {
        let members = Self::Whole(JsonObject::parse(body).map_err(|_| Malformed)?);
        members.only(count)?;
        Ok(members)
    }

    fn object(&self) -> &JsonObject {
        match self {
            Self::Whole(object) => object,
            Self::Part(object) => object,
        }
    }

    /// Checks that there are `count` members. If that many are read by name, no unknown one remains.
    fn only(&self, count: usize) -> Result<(), Malformed> {
        (self.object().len() == count).then_some(()).ok_or(Malformed)
    }

    fn text(&self, name: &str) -> Result<String, Malformed> {
        let text = self.object().get(name).and_then(Json::as_text);
        text.map(str::to_owned).ok_or(Malformed)
    }

    fn number(&self, name: &str) -> Result<u64, Malformed> {
        match self.object().get(name) {
            Some(Json::Integer(number)) => u64::try_from(*number).map_err(|_| Malformed),
            Some(_) | None => Err(Malformed),
        }
    }

    fn truth(&self, name: &str) -> Result<bool, Malformed> {
        match self.object().get(name) {
            Some(Json::Boolean(truth)) => Ok(*truth),
            Some(_) | None => Err(Malformed),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Malformed> {
        let items = self.object().get(name).and_then(Json::as_array);
        let text = |item: &Json| item.as_text().map(str::to_owned).ok_or(Malformed);
        items.ok_or(Malformed)?.iter().map(text).collect()
    }

    fn each<T>(&self, name: &str, parse: impl Fn(&Members<'_>) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let items = self.object().get(name).and_then(Json::as_array);
        let part = |item: &Json| parse(&Members::Part(item.as_object().ok_or(Malformed)?));
        items.ok_or(Malformed)?.iter().map(part).collect()
    }

    fn jwk(&self) -> Result<PublicJwk, Malformed> {
        let object = self.object().get("jwk").and_then(Json::as_object);
        jwk::parse(object.ok_or(Malformed)?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
