//! Tests through the public interface, and the published vectors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::*;

mod ceilings;
mod introspection;
mod log;
mod revocations;
mod status;
mod tokens;
mod vectors;
mod walk;

/// Start of an epoch of an hour.
const EPOCH_START: u64 = 1_800_000_000;
const EPOCH_SECONDS: u64 = 3600;
const NOW: UnixSeconds = UnixSeconds(EPOCH_START + 900);
const ISSUER: &str = "https://broker.example";
const AUDIENCE: &str = "https://deploy.example";

/// A root for tests: the bytes 0 to 31.
fn root() -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE_NO_PAD.encode((0..32).collect::<Vec<u8>>()))
}

pub(crate) fn variables() -> Variables {
    Variables {
        development: "false".into(),
        issuer: ISSUER.into(),
        signer_algorithms: "ES256 EdDSA".into(),
        signer_audiences: "*".into(),
        signer_epoch: "3600".into(),
        signer_generation: "1".into(),
        signer_group: "default".into(),
        signer_lifetime_max: "3540".into(),
        signer_root: root(),
        trusted_proxies: "10.0.0.0/8".into(),
        forwarded_header: "forwarded".into(),
        ..Variables::default()
    }
}

fn signer_with(change: impl FnOnce(&mut Variables)) -> Signer {
    let mut variables = variables();
    change(&mut variables);
    let root = Root::parse(&variables).unwrap();
    Signer::new(Config::parse(&variables).unwrap(), root, &vouchsafe_crypto::Software)
}

fn signer() -> Signer {
    signer_with(|_| {})
}

fn request(algorithm: &str, now: UnixSeconds) -> SigningRequest {
    SigningRequest {
        issuer: ISSUER.into(),
        view: None,
        subject: "github:repo:acme/app:ref:refs/heads/main".into(),
        audience: AUDIENCE.into(),
        tier: Tier::Delegated,
        algorithm: algorithm.into(),
        token_type: TokenType::AccessToken,
        issued_at: now.0,
        lifetime_seconds: 300,
        jti: "AAECAwQFBgcICQoLDA0ODw".into(),
        scopes: vec!["deploy:read".into(), "deploy:write".into()],
        extra_claims: vec![],
        key_thumbprint: None,
        actors: Vec::new(),
        txn: None,
        status: None,
        presented: None,
    }
}

/// The host's randomness.
fn entropy() -> Entropy {
    Entropy::from_bytes([7; ENTROPY_BYTES])
}

fn claim(name: &str, value: &str) -> ExtraClaim {
    ExtraClaim { name: name.into(), value: value.into() }
}

/// The keys of a JWK Set.
fn keys_of(set: &PublicKeySet) -> Vec<Value> {
    let document: Value = serde_json::from_str(&set.document).unwrap();
    document["keys"].as_array().unwrap().clone()
}

fn bytes_of(json: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(json.as_str().unwrap()).unwrap()
}

/// Verifies a token: finds the key by `kid`, checks the signature, and reads header and payload.
fn verified(jwt: &str, set: &PublicKeySet) -> Option<(Value, Value)> {
    let (signing_input, signature) = jwt.rsplit_once('.').unwrap();
    let (header, payload) = signing_input.split_once('.').unwrap();
    let decode = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (header, payload) = (decode(header), decode(payload));
    let key = keys_of(set).into_iter().find(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"])?;
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    signature_holds(&key, signing_input.as_bytes(), &signature).then_some((header, payload))
}

fn signature_holds(key: &Value, message: &[u8], signature: &[u8]) -> bool {
    use p256::ecdsa::signature::Verifier as _;
    match key["kty"].as_str().unwrap() {
        "EC" => {
            let point = [vec![4], bytes_of(&key["x"]), bytes_of(&key["y"])].concat();
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
            key.verify(message, &p256::ecdsa::Signature::from_slice(signature).unwrap()).is_ok()
        }
        "OKP" => {
            let key: [u8; 32] = bytes_of(&key["x"]).try_into().unwrap();
            let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
            let signature = ed25519_dalek::Signature::from_slice(signature).unwrap();
            key.verify_strict(message, &signature).is_ok()
        }
        other => panic!("unexpected key type {other}"),
    }
}
