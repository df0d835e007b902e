//! The key of the log of audit records.

use vouchsafe_crypto::{Crypto as _, PublicNumbers, Software};
use vouchsafe_tlog::{Checkpoint, Note, VerifierKey};

use super::*;

const LOG: u64 = 1_800_000_000;
const ROOT_HASH: [u8; 32] = [5; 32];

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let key = Software.verifying_key(PublicNumbers::Ed25519(key));
    key.is_some_and(|key| key.verifies(message, signature))
}

#[test]
fn checkpoint_verifies_under_the_key_of_its_log() {
    let signer = signer();
    let note = Note::parse(&signer.sign_checkpoint(LOG, 7, &ROOT_HASH, &entropy()).unwrap()).unwrap();
    let key = VerifierKey::parse(&signer.log_key(LOG).unwrap()).unwrap();
    assert_eq!(key.name(), "broker.example/log/1800000000");
    assert_eq!(note.signed_by(&key, &verify), Ok(Some(0)));
    let expected = Checkpoint { origin: key.name().to_owned(), size: 7, root: ROOT_HASH };
    assert_eq!(Checkpoint::parse(note.text()), Ok(expected));
    let another = VerifierKey::parse(&signer.log_key(LOG + 1).unwrap()).unwrap();
    assert_eq!(note.signed_by(&another, &verify), Ok(None));
}

#[test]
fn key_depends_on_issuer_group_generation_and_root() {
    let key = |change: fn(&mut Variables)| {
        let key = VerifierKey::parse(&signer_with(change).log_key(LOG).unwrap()).unwrap();
        *key.key()
    };
    let changes: [fn(&mut Variables); 5] = [
        |_| {},
        |variables| variables.issuer = "https://other.example".into(),
        |variables| variables.signer_group = "other".into(),
        |variables| variables.signer_generation = "2".into(),
        |variables| variables.signer_root = Zeroizing::new("B".repeat(42) + "A"),
    ];
    let keys = changes.map(key);
    for (place, one) in keys.iter().enumerate() {
        assert!(!keys[..place].contains(one), "{place}");
    }
    assert_eq!(key(|variables| variables.signer_epoch = "7200".into()), keys[0], "it outlives epochs");
}

/// Keys of tokens are published; that of the log is not among them.
#[test]
fn log_key_is_no_key_of_tokens() {
    let mut signer = signer();
    let key = VerifierKey::parse(&signer.log_key(LOG).unwrap()).unwrap();
    for jwk in keys_of(&signer.public_keys(1, NOW).unwrap()) {
        assert_ne!(bytes_of(&jwk["x"]), key.key());
    }
}

#[test]
fn signs_no_checkpoint_without_leaves() {
    let signer = signer();
    let size = |size| signer.sign_checkpoint(LOG, size, &ROOT_HASH, &entropy()).err();
    assert_eq!([size(0), size(1)], [Some(Error::Internal), None]);
    assert_eq!([size(vouchsafe_tlog::SIZE_MAX), size(vouchsafe_tlog::SIZE_MAX + 1)], [None, Some(Error::Internal)]);
    let root = |bytes: usize| signer.sign_checkpoint(LOG, 1, &vec![5; bytes], &entropy()).err();
    assert_eq!([root(31), root(32), root(33)], [Some(Error::Internal), None, Some(Error::Internal)]);
}
