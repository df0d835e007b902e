//! The text of proofs.

use super::*;

fn proof() -> (Proof, Checkpoint) {
    let log = Signer::new(1, "log.example/a", KeyKind::Ed25519);
    let checkpoint = Checkpoint { origin: "log.example/a".into(), size: 3, root: tree(3).root() };
    let text = checkpoint.to_string();
    let note = Note::parse(&format!("{text}\n{}", log.line(&text))).unwrap();
    let hashes = vec![leaf(0), leaf(2)];
    (Proof { extra: b"entry".to_vec(), index: 1, hashes, note }, checkpoint)
}

#[test]
fn written_proofs_are_read_back() {
    let (proof, checkpoint) = proof();
    let text = proof.to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra ZW50cnk=\nindex 1\n"), "{text}");
    assert_eq!(Proof::parse(&text), Ok(proof.clone()));
    let without = Proof { extra: vec![], ..proof.clone() };
    assert_eq!(Proof::parse(&without.to_string()), Ok(without));
    assert!(proof.includes(&leaf(1), &checkpoint));
    assert!(!proof.includes(&leaf(2), &checkpoint));
}

#[test]
fn refuses_malformed_proofs() {
    let text = proof().0.to_string();
    let malformed = |why| Err(ProofError::Malformed(why));
    for (from, to, expected) in [
        ("@v1", "@v2", malformed("its first line is another one")),
        ("ZW50cnk=", "ZW50cnk", malformed("its extra data is empty, too long or not Base64")),
        ("ZW50cnk=", "", malformed("its extra data is empty, too long or not Base64")),
        ("index 1", "index 01", malformed("it has no index")),
        ("index 1", "index -1", malformed("it has no index")),
        ("index 1\n", "index 1\nAAAA\n", malformed("a line is no hash, or there are too many")),
        ("\n\n", "\n", malformed("it has no empty line")),
    ] {
        let wrong = text.replacen(from, to, if from == "\n\n" { 9 } else { 1 });
        assert_eq!(Proof::parse(&wrong), expected, "{from} {to}");
    }
    let hashes = |count: usize| Proof { hashes: vec![leaf(0); count], ..proof().0 }.to_string();
    assert!(Proof::parse(&hashes(PATH_MAX)).is_ok());
    assert_eq!(Proof::parse(&hashes(PATH_MAX + 1)), malformed("a line is no hash, or there are too many"));
    assert_eq!(Proof::parse(&"a".repeat(PROOF_BYTES_MAX + 1)), Err(ProofError::TooLong));
    let extra = |bytes: usize| Proof::parse(&Proof { extra: vec![0; bytes], ..proof().0 }.to_string());
    assert!(extra(EXTRA_BYTES_MAX).is_ok());
    assert_eq!(extra(EXTRA_BYTES_MAX + 1), malformed("its extra data is empty, too long or not Base64"));
}
