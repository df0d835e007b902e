//! The clock moves across epochs.

use super::*;

/// The key ids that must be served at `now`, derived here one by one.
fn kids_expected(now: u64) -> Vec<String> {
    let current = now / EPOCH_SECONDS * EPOCH_SECONDS;
    let config = Config::parse(&variables()).unwrap();
    let root = Root::parse(&variables()).unwrap();
    let mut kids = Vec::new();
    for start in [current - EPOCH_SECONDS, current, current + EPOCH_SECONDS, current + 2 * EPOCH_SECONDS] {
        for algorithm in Algorithm::ALL {
            let epoch = Epoch::containing(UnixSeconds(start), EPOCH_SECONDS).unwrap();
            let key = root.key(&config, algorithm, epoch, &vouchsafe_crypto::Software).unwrap();
            kids.push(key.kid().to_owned());
        }
    }
    kids
}

fn kids_served(signer: &mut Signer, now: u64) -> Vec<String> {
    let keys = keys_of(&signer.public_keys(0, UnixSeconds(now)).unwrap());
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn serves_exactly_the_published_epochs() {
    let mut signer = signer();
    for epoch in 0..5 {
        let start = EPOCH_START + epoch * EPOCH_SECONDS;
        for now in [start, start + 1, start + EPOCH_SECONDS - 1] {
            assert_eq!(kids_served(&mut signer, now), kids_expected(now), "at {now}");
            assert_eq!(signer.keys_held(), 8);
        }
    }
    // The clock is set back: future keys are dropped too.
    assert_eq!(kids_served(&mut signer, EPOCH_START), kids_expected(EPOCH_START));
    assert_eq!(signer.keys_held(), 8);
}

/// Every token verifies at each second of its lifetime, except for the 60 s of clock skew.
#[test]
fn no_token_outlives_its_key() {
    let mut signer = signer();
    for step in 0..16 {
        for (offset, skew) in [(0, 0), (1, -15), (899, 15), (899, 0), (885, 15), (884, 15), (0, -15), (14, -15)] {
            let now = EPOCH_START + step * 900 + offset;
            for algorithm in ["ES256", "EdDSA"] {
                let mut request = request(algorithm, UnixSeconds(now.checked_add_signed(skew).unwrap()));
                request.lifetime_seconds = 3540;
                let token = signer.sign(&request, UnixSeconds(now), &entropy()).unwrap();
                check_life(&mut signer, &token, now);
            }
        }
    }
}

fn check_life(signer: &mut Signer, token: &SignedToken, now: u64) {
    let version: u64 = token.key_version.parse().unwrap();
    let withdrawal = version + 2 * EPOCH_SECONDS;
    assert!(token.expires_at <= withdrawal - 60, "token of {now}");
    for moment in [now, token.expires_at - 1, token.expires_at + 59] {
        let keys = signer.public_keys(0, UnixSeconds(moment)).unwrap();
        assert!(verified(&token.jwt, &keys).is_some(), "token of {now} at {moment}");
    }
    let keys = signer.public_keys(0, UnixSeconds(withdrawal - 1)).unwrap();
    assert!(verified(&token.jwt, &keys).is_some());
    let keys = signer.public_keys(0, UnixSeconds(withdrawal)).unwrap();
    assert!(verified(&token.jwt, &keys).is_none());
}

#[test]
fn uses_epoch_of_later_of_iat_and_clock() {
    let mut signer = signer();
    let next = EPOCH_START + EPOCH_SECONDS;
    for (now, issued_at, version) in [
        (EPOCH_START, EPOCH_START, EPOCH_START),
        (EPOCH_START, EPOCH_START - 15, EPOCH_START),
        (next - 1, next - 1, EPOCH_START),
        (next - 1, next, next),
        (next - 16, next - 1, EPOCH_START),
        (next, next - 1, next),
    ] {
        let token = signer.sign(&request("EdDSA", UnixSeconds(issued_at)), UnixSeconds(now), &entropy()).unwrap();
        assert_eq!(token.key_version, version.to_string(), "now {now}, iat {issued_at}");
    }
}

/// A token depends on the key and the entropy, and on nothing else in an instance.
#[test]
fn another_instance_makes_the_same_token() {
    for algorithm in ["ES256", "EdDSA"] {
        let request = request(algorithm, NOW);
        let [first, second] =
            [signer().sign(&request, NOW, &entropy()).unwrap(), signer().sign(&request, NOW, &entropy()).unwrap()];
        assert!(first == second);
    }
}

/// A fault in one of two signatures with one nonce would reveal the key.
#[test]
fn entropy_gives_each_signature_its_own_nonce() {
    for algorithm in ["ES256", "EdDSA"] {
        let request = request(algorithm, NOW);
        let mut signer = signer();
        let keys = signer.public_keys(0, NOW).unwrap();
        let mut nonces = std::collections::BTreeSet::new();
        let mut inputs = std::collections::BTreeSet::new();
        for byte in 0..32_usize {
            // One bit of any byte is enough.
            let mut bytes = [7; ENTROPY_BYTES];
            bytes[byte] ^= 1;
            let entropy = Entropy::from_bytes(bytes);
            let token = signer.sign(&request, NOW, &entropy).unwrap().jwt;
            assert!(verified(&token, &keys).is_some(), "{algorithm} {byte}");
            let (input, signature) = token.rsplit_once('.').unwrap();
            // `r` of ECDSA, `R` of EdDSA.
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            nonces.insert(signature[..32].to_vec());
            inputs.insert(input.to_owned());
        }
        assert_eq!((nonces.len(), inputs.len()), (32, 1), "{algorithm}");
    }
}

#[test]
fn entropy_does_not_replace_the_secret_nonce() {
    use ed25519_dalek::Signer as _;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    use sha2::Digest as _;
    let entropy = Entropy::from_bytes([0; ENTROPY_BYTES]);
    let epoch = Epoch::containing(NOW, EPOCH_SECONDS).unwrap();
    let seed = Seed::from_bytes([9; SEED_BYTES]);
    let secret = |algorithm| seed.expand(algorithm, |candidate| Some(*candidate)).unwrap();
    let sign = |algorithm, message: &[u8]| {
        let key = EpochKey::from_seed(&seed, algorithm, epoch, &vouchsafe_crypto::Software).unwrap();
        key.sign(message, &entropy).unwrap()
    };
    // The nonce depends on the message and on the key.
    for algorithm in Algorithm::ALL {
        assert_ne!(sign(algorithm, b"a")[..32], sign(algorithm, b"b")[..32]);
    }
    let key = ed25519_dalek::SigningKey::from_bytes(&secret(Algorithm::EdDsa));
    let (hedged, plain) = (sign(Algorithm::EdDsa, b"a"), key.sign(b"a").to_bytes());
    assert_ne!(hedged[..32], plain[..32]);
    let key = p256::ecdsa::SigningKey::from_slice(&secret(Algorithm::Es256)).unwrap();
    let digest = sha2::Sha256::digest(b"a");
    let plain: p256::ecdsa::Signature = key.sign_prehash(&digest).unwrap();
    assert_ne!(sign(Algorithm::Es256, b"a")[..32], plain.to_bytes()[..32]);
}

#[test]
fn new_generation_has_new_keys() {
    let old = kids_served(&mut signer(), NOW.0);
    let new = kids_served(&mut signer_with(|variables| variables.signer_generation = "2".into()), NOW.0);
    assert!(old.iter().all(|kid| !new.contains(kid)));
}

#[test]
fn publishes_no_keys_of_a_past_generation() {
    let mut signer = signer_with(|variables| variables.signer_generation = "2".into());
    let superseded = Superseded { generation: 2, latest: 3 };
    assert_eq!(superseded.to_string(), "generation 2 of the signer is below 3, which this database has seen");
    for (known, expected) in [(0, Ok(())), (2, Ok(())), (3, Err(Error::Superseded(superseded)))] {
        let keys = signer.public_keys(known, NOW);
        assert_eq!(keys.map(drop), expected, "{known}");
    }
}

#[test]
fn extreme_times_do_not_panic() {
    let mut signer = signer();
    for now in [0, 1, 3599, 3600, u64::MAX - 1, u64::MAX] {
        let keys = signer.public_keys(0, UnixSeconds(now));
        assert!(keys.is_ok(), "{now}");
        let signed = signer.sign(&request("EdDSA", UnixSeconds(now)), UnixSeconds(now), &entropy());
        assert_eq!(signed.err(), (now > 3600).then_some(Error::Refused(Ceiling::Lifetime)), "{now}");
    }
}
