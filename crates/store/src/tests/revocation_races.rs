//! Revocations against tokens that are recorded at the same time, on several connections (I11).

use super::revocations::{by, of_subject};
use super::*;
use std::sync::Barrier;

const RECORDERS: usize = 4;
const TOKENS: usize = 40;

/// Records tokens on several connections while another one adds a revocation, and checks that each token was written
/// before the revocation or not at all: the count of matching tokens at the revocation is final.
fn check(revoke_after: usize) {
    let file = File::new();
    drop(file.open());
    let barrier = Barrier::new(RECORDERS + 1);
    let target = RevocationTarget::Blocked(of_subject("a"));
    let (written, counted) = std::thread::scope(|scope| {
        let recorders: Vec<_> = (0..RECORDERS)
            .map(|recorder| {
                let (file, barrier) = (&file, &barrier);
                scope.spawn(move || {
                    let store = file.open();
                    barrier.wait();
                    (0..TOKENS).filter(|number| released(&store, &format!("{recorder}-{number}"))).count()
                })
            })
            .collect();
        let store = file.open();
        barrier.wait();
        let recorded = || store.database().count("audit");
        while recorded() < revoke_after as u64 {
            std::thread::yield_now();
        }
        let added = done(store.add_revocation("r", target.clone(), by("ops"), NOW)).unwrap();
        assert!(matches!(added, Added::InForce(_)), "{added:?}");
        let counted = done(store.count_revoked(target.clone(), NOW)).unwrap().tokens;
        let written: usize = recorders.into_iter().map(|recorder| recorder.join().unwrap()).sum();
        (written as u64, counted)
    });
    let store = file.open();
    assert_eq!(written, counted, "no token was released after the revocation");
    assert_eq!(done(store.count_revoked(target, NOW)).unwrap().tokens, counted);
    assert!(written >= revoke_after as u64);
    let jtis = store.database().column("SELECT decision_id FROM audit");
    for jti in jtis {
        assert_eq!(done(store.active(std::slice::from_ref(&jti))), Ok(vec![false]), "{jti}");
    }
}

/// Whether the token may be released.
fn released(store: &Store<Rusqlite>, jti: &str) -> bool {
    let record = AuditRecord {
        decision_id: jti.to_owned(),
        decided_at_ms: NOW.0,
        issuer_name: "github".into(),
        subject: "a".into(),
        expires_at: NOW_SECONDS + 300,
        ..AuditRecord::default()
    };
    match done(store.record(record, NOW, &mut unlimited())).unwrap() {
        Recorded::Written => true,
        Recorded::Revoked => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_token_is_released_after_its_revocation() {
    for revoke_after in [0, 1, 10, RECORDERS * TOKENS / 2] {
        check(revoke_after);
    }
}
