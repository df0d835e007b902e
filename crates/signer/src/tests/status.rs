//! Status lists, and the tokens that name their place in them.

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use serde_json::json;
use vouchsafe_types::{STATUS_LIST_INDEXES, View};

use super::*;

const NAME: &str = "1790000000-7";

fn list(name: &str, revoked: &[u32]) -> StatusList {
    StatusList { name: name.into(), revoked: revoked.to_vec() }
}

fn sign(signer: &mut Signer, list: &StatusList, issued_at: u64) -> Result<String, Error> {
    signer.sign_status_list(list, issued_at, 0, NOW, &entropy())
}

#[test]
fn list_has_its_own_type_and_a_bit_for_each_index() {
    for (algorithms, algorithm) in [("ES256 EdDSA", "ES256"), ("EdDSA", "EdDSA")] {
        let mut signer = signer_with(|variables| variables.signer_algorithms = algorithms.into());
        let jwt = sign(&mut signer, &list(NAME, &[0, 9]), NOW.0).unwrap();
        let (header, mut payload) = verified(&jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
        assert_eq!((&header["typ"], &header["alg"]), (&json!("statuslist+jwt"), &json!(algorithm)));
        let lst = payload["status_list"]["lst"].take();
        let expected = json!({
            "iss": ISSUER, "sub": format!("{ISSUER}/status/{NAME}"), "iat": NOW.0, "exp": NOW.0 + 15, "ttl": 2,
            "status_list": { "bits": 1, "lst": null },
        });
        assert_eq!(payload, expected);
        let compressed = URL_SAFE_NO_PAD.decode(lst.as_str().unwrap()).unwrap();
        let bits = decompress_to_vec_zlib_with_limit(&compressed, 4096).unwrap();
        assert_eq!((bits.len(), bits[0], bits[1], bits[2..].iter().all(|byte| *byte == 0)), (2048, 1, 2, true));
    }
}

#[test]
fn signs_only_lists_of_its_own() {
    let mut signer = signer();
    let refused = Err(Error::Refused(Ceiling::Status));
    for name in ["", "1", "-", "1-", "1-2-3", "1-x", "../token", &"1".repeat(42)] {
        assert_eq!(sign(&mut signer, &list(name, &[]), NOW.0).map(drop), refused, "{name}");
    }
    assert_eq!(sign(&mut signer, &list(NAME, &[STATUS_LIST_INDEXES - 1]), NOW.0).map(drop), Ok(()));
    assert_eq!(sign(&mut signer, &list(NAME, &[STATUS_LIST_INDEXES]), NOW.0).map(drop), refused);
    for (issued_at, expected) in [
        (NOW.0 + 15, Ok(())),
        (NOW.0 + 16, Err(Error::Refused(Ceiling::IssuedAt))),
        (NOW.0 - 16, Err(Error::Refused(Ceiling::IssuedAt))),
    ] {
        assert_eq!(sign(&mut signer, &list(NAME, &[]), issued_at).map(drop), expected, "{issued_at}");
    }
    let superseded = signer.sign_status_list(&list(NAME, &[]), NOW.0, 9, NOW, &entropy());
    assert!(matches!(superseded, Err(Error::Superseded(_))), "{superseded:?}");
}

#[test]
fn token_names_its_place_in_a_list() {
    let mut signer = signer();
    let status = |list: &str, index: u32| Some(StatusReference { list: list.into(), index });
    let with = |status, view| SigningRequest { status, view, ..request("ES256", NOW) };
    let token = signer.sign(&with(status(NAME, 3), None), NOW, &entropy()).unwrap();
    let (_, payload) = verified(&token.jwt, &signer.public_keys(0, NOW).unwrap()).unwrap();
    let expected = json!({ "status_list": { "idx": 3, "uri": format!("{ISSUER}/status/{NAME}") } });
    assert_eq!(payload["status"], expected);
    let refused = Err(Error::Refused(Ceiling::Status));
    for (status, view, expected) in [
        (status(NAME, STATUS_LIST_INDEXES - 1), None, Ok(())),
        (status(NAME, STATUS_LIST_INDEXES), None, refused),
        (status("1-2/../../token", 3), None, refused),
        (status("", 3), None, refused),
        (status(NAME, 3), Some(View::Aws), refused),
    ] {
        let outcome = signer.sign(&with(status.clone(), view), NOW, &entropy()).map(drop);
        assert_eq!(outcome, expected, "{status:?}");
    }
}

#[test]
fn nonces_are_those_of_the_root_and_epoch() {
    let nonces = |signer: &mut Signer, now: UnixSeconds| signer.proof_nonces(now).unwrap();
    let (mut one, mut two) = (signer(), signer());
    assert_eq!(nonces(&mut one, NOW), nonces(&mut two, NOW));
    let mut other = signer_with(|variables| variables.signer_group = "other".into());
    assert_ne!(nonces(&mut one, NOW)[0], nonces(&mut other, NOW)[0]);
    let next = UnixSeconds(EPOCH_START + 3600);
    assert_ne!(nonces(&mut one, UnixSeconds(EPOCH_START))[0], nonces(&mut one, next)[0]);
}
