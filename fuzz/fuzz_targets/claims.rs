//! Claims, rightly signed, as a token of each provider: a principal within the limits, or a refusal.
//!
//! The first byte chooses the provider, the rest is the payload.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a fuzz target fails by a panic"
)]
#![no_main]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use vouchsafe_identity::{ParsedKeys, SUB_BYTES_MAX, TrustedIssuer, verify};
use vouchsafe_jose::KeyUse;
use vouchsafe_providers::{PROVIDERS, Profile};
use vouchsafe_types::{
    AttributeValue, ClaimType, DeclaredClaim, IssuerRecord, KeySet, KeySource, ReplayMode, UnixSeconds,
};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn record(at: usize) -> IssuerRecord {
    let provider = PROVIDERS[at % PROVIDERS.len()];
    let spiffe = provider.profile == Profile::JwtSvid;
    let issuer = if spiffe { "spiffe://example.org" } else { "https://issuer.example" };
    let declared = [
        ClaimType::Boolean,
        ClaimType::Integer,
        ClaimType::Text,
        ClaimType::TextMap,
        ClaimType::TextOrSet,
        ClaimType::TextSet,
    ];
    let names = ["a", "b", "c", "d", "e", "f"];
    let declared = names.into_iter().zip(declared).map(|(name, claim_type)| DeclaredClaim {
        name: name.to_owned(),
        claim_type,
        required: false,
    });
    IssuerRecord {
        name: "idp".to_owned(),
        issuer: issuer.to_owned(),
        provider: provider.name.to_owned(),
        audiences: vec!["b".to_owned()],
        algorithms: vec!["EdDSA".to_owned()],
        keys: KeySource::Discovery,
        keys_max_age_seconds: 300,
        max_token_age_seconds: 600,
        leeway_seconds: 30,
        claims: if provider.declares_claims() { declared.collect() } else { Vec::new() },
        require: Vec::new(),
        subject_template: None,
        allow_act: false,
        development: false,
        stale_keys_max_seconds: 0,
        replay: ReplayMode::Allow,
        authenticated: false,
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((choice, payload)) = data.split_first() else {
        return;
    };
    let record = record(usize::from(*choice));
    let (provider, iss) = (record.provider.clone(), record.issuer.clone());
    let issuer = TrustedIssuer::try_from(record).expect("a record");
    let key = SigningKey::from_bytes(&[7; 32]);
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"{}","x":"{}"}}]}}"#,
        if issuer.key_use() == KeyUse::JwtSvid { "jwt-svid" } else { "sig" },
        encode(key.verifying_key().as_bytes())
    );
    let digest = Sha256::digest(jwk.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let set = KeySet { digest, document: jwk, trusted_until: NOW.0 + 1, etag: None };
    let keys = ParsedKeys::parse(&set, issuer.key_use(), &vouchsafe_crypto::Software)
        .expect("a key set")
        .trusted_until(UnixSeconds(NOW.0 + 1));
    let input = format!("{}.{}", encode(br#"{"alg":"EdDSA","kid":"k"}"#), encode(payload));
    let token = format!("{input}.{}", encode(&key.sign(input.as_bytes()).to_bytes()));
    let Ok(verified) = verify(&token, &issuer, &keys, NOW) else {
        return;
    };
    let subject = verified.subject();
    assert_eq!(subject.iss, iss);
    assert!((1..=SUB_BYTES_MAX).contains(&subject.principal.id.len()));
    assert!(!subject.name.chars().any(char::is_control));
    assert!(subject.exp + 30 > NOW.0);
    assert!(subject.iat.is_some() || provider == "spiffe");
    let table = vouchsafe_providers::Provider::named(&provider).expect("known").claims;
    for claim in table.iter().filter(|claim| claim.required) {
        let found = subject.principal.attributes.iter().find(|one| one.name == claim.name);
        let value = &found.expect("a required claim is there").value;
        assert_ne!(value, &AttributeValue::Text(String::new()));
    }
});
