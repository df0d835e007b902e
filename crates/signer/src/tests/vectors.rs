//! `docs/epoch-keys.md`: every value that it publishes.

use super::*;
use vouchsafe_crypto::{Crypto, Native, PrivateNumbers, Software};

const PAGE: &str = include_str!("../../../../docs/epoch-keys.md");

struct Vector {
    root: Vec<u8>,
    scope: KeyDerivationInfo<'static>,
    length: u64,
    start: u64,
    algorithm: Algorithm,
    label: Option<&'static str>,
    seed: &'static str,
    private: &'static str,
    public: &'static [&'static str],
    kid: &'static str,
}

const DEFAULT: KeyDerivationInfo<'static> = KeyDerivationInfo { issuer: ISSUER, group: "default", generation: 1 };
const CI: KeyDerivationInfo<'static> =
    KeyDerivationInfo { issuer: "http://127.0.0.1:3000", group: "ci-2", generation: 7 };

fn vectors() -> Vec<Vector> {
    let first = (0..32).collect::<Vec<u8>>();
    let second = (0xc0..=0xff).rev().collect::<Vec<u8>>();
    vec![
        Vector {
            root: first.clone(),
            scope: DEFAULT,
            length: 3600,
            start: EPOCH_START,
            algorithm: Algorithm::Es256,
            label: Some(
                "00000012766f756368736166652d65706f63682d76310000001668747470733a2f2f62726f6b65722e6578616d706c650000000764656661756c74000000080000000000000001000000054553323536000000080000000000000e1000000008000000006b49d200",
            ),
            seed: "79f768130fa3ec60473e2b230c4d000b5b009fca912c0224918f0c9832cd83f2",
            private: "f3375a035718922d7e5ef590e650ee3d75fbf3fdf7639269d45de3f272468bfe",
            public: &["m81JpfEoB5lD5z1uH_LxVC3Uohjn0vCOYJdFnY-emAg", "2Ez5GZxmt_sF3oyOOwBAtFtlpCGIwoEriTlpf0VZR-E"],
            kid: "4oazcEnfedU8UZsOdS2GAUyGX45U9SFfJYNsR4K6N1E",
        },
        Vector {
            root: first,
            scope: DEFAULT,
            length: 3600,
            start: EPOCH_START,
            algorithm: Algorithm::EdDsa,
            label: Some(
                "00000012766f756368736166652d65706f63682d76310000001668747470733a2f2f62726f6b65722e6578616d706c650000000764656661756c74000000080000000000000001000000054564445341000000080000000000000e1000000008000000006b49d200",
            ),
            seed: "fb772c98a973c1af58775028f26480729161736e8918d280b90fc9d97ce8bfdc",
            private: "3a2c0581159347c19891b92aa1a39626905e94d02a9dcb172eee307bd9170b09",
            public: &["wxfG8MyCneGg-NV8dqGno_GmXFbQdS8yFbiqwbRWwTY"],
            kid: "x93njDmtZnlMdKMBfBM0ddFN-zzv1pQSFUqrW59zxco",
        },
        Vector {
            root: second.clone(),
            scope: CI,
            length: 900,
            start: 1_799_999_100,
            algorithm: Algorithm::Es256,
            label: None,
            seed: "528e7a80548be044ea7e77607c84e92ca9c77458d2dba89c8ce40a46bde5049b",
            private: "c3a93410c81fa69c4b366e6b10601028d98f0ffc6b3dd3ca4ffa688bbc675c72",
            public: &["MgKeM22BQQ5jIe_7F77u-1pbYLTpZPp4K9OhyItdjSs", "yNOIPWsmwLyDye8SVAda3SvYFZQMMuIVucOIPI0jA0M"],
            kid: "0iqWSIm5cHSt00ZEbmos-Kdiplm7AsFVuZ1kBDkvXjo",
        },
        Vector {
            root: second,
            scope: CI,
            length: 900,
            start: 1_799_999_100,
            algorithm: Algorithm::EdDsa,
            label: None,
            seed: "e4161629af83e40e570878767de836711c05ddc184fa668637789b7b649d654d",
            private: "d4fc35d5544f18b2ee0e0783a2ccff9b413fdd1b37e14d3520aa12cad60047be",
            public: &["WxibJSfw3nuwDjNGNgaHUOTbkuuid1mt_sI_hgktGiw"],
            kid: "J-CMrz8hU99Qtchp7IBPpTbPmrTrfTwq37KtnSBzIKE",
        },
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn derives_the_published_keys() {
    for vector in vectors() {
        let epoch = Epoch::containing(UnixSeconds(vector.start), vector.length).unwrap();
        assert_eq!(epoch.start(), vector.start);
        if let Some(expected) = vector.label {
            assert_eq!(hex(&label(vector.scope, vector.algorithm, epoch).unwrap()), expected);
        }
        let seed = Seed::derive(&vector.root, vector.scope, vector.algorithm, epoch).unwrap();
        assert_eq!(hex(seed.expose()), vector.seed);
        let private = seed.expand(vector.algorithm, |candidate| Some(*candidate)).unwrap();
        assert_eq!(hex(&private), vector.private);
        for crypto in [&Software as &dyn Crypto, &Native] {
            let key = EpochKey::from_seed(&seed, vector.algorithm, epoch, crypto).unwrap();
            assert_eq!(key.kid(), vector.kid);
            for coordinate in vector.public {
                assert!(key.public_jwk().contains(&format!("\"{coordinate}\"")), "{coordinate}");
            }
        }
    }
}

#[test]
fn the_page_publishes_these_vectors() {
    for vector in vectors() {
        let values = [vector.seed, vector.private, vector.kid];
        for value in values.iter().chain(vector.public).chain(&vector.label) {
            assert!(PAGE.contains(&format!("`{value}`")), "{value}");
        }
    }
}

/// Both edges of `[1, n-1]` for the order of P-256.
#[test]
fn accepts_only_scalars_in_range() {
    let mut order = [0; 32];
    let hex = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    for (index, byte) in order.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
    }
    let ending_in = |byte: u8| {
        let mut scalar = order;
        scalar[31] = byte;
        scalar
    };
    let mut one = [0; 32];
    one[31] = 1;
    let scalars =
        [([0; 32], false), (one, true), (ending_in(0x50), true), (ending_in(0x51), false), ([0xff; 32], false)];
    for (scalar, expected) in scalars {
        for crypto in [&Software as &dyn Crypto, &Native] {
            assert_eq!(crypto.signing_key(PrivateNumbers::P256(&scalar)).is_some(), expected);
        }
    }
}

#[test]
fn tries_further_candidates_then_gives_up() {
    let epoch = Epoch::containing(NOW, EPOCH_SECONDS).unwrap();
    let seed = Seed::derive(&[7; 32], DEFAULT, Algorithm::Es256, epoch).unwrap();
    let candidates = std::cell::RefCell::new(Vec::new());
    let refuse = |left: usize| {
        let candidates = &candidates;
        move |candidate: &[u8; 32]| {
            candidates.borrow_mut().push(*candidate);
            (candidates.borrow().len() > left).then_some(*candidate)
        }
    };
    let third = seed.expand(Algorithm::Es256, refuse(2)).unwrap();
    assert_eq!(candidates.borrow().len(), 3);
    assert_eq!(candidates.borrow()[2], third);
    assert_ne!(candidates.borrow()[0], candidates.borrow()[1]);
    assert_ne!(candidates.borrow()[1], candidates.borrow()[2]);
    candidates.borrow_mut().clear();
    assert_eq!(seed.expand(Algorithm::Es256, refuse(100)), Err(Error::Internal));
    assert_eq!(candidates.borrow().len(), 8);
}

/// Fields can't run into each other, and each one matters.
#[test]
fn every_field_changes_the_seed() {
    let epoch = |start, length| Epoch::containing(UnixSeconds(start), length).unwrap();
    let base = epoch(EPOCH_START, 3600);
    let scope = |issuer, group, generation| KeyDerivationInfo { issuer, group, generation };
    let seeds = [
        Seed::derive(&[7; 32], scope("a", "bc", 1), Algorithm::Es256, base),
        Seed::derive(&[8; 32], scope("a", "bc", 1), Algorithm::Es256, base),
        Seed::derive(&[7; 32], scope("ab", "c", 1), Algorithm::Es256, base),
        Seed::derive(&[7; 32], scope("a", "bc", 2), Algorithm::Es256, base),
        Seed::derive(&[7; 32], scope("a", "bc", 1), Algorithm::EdDsa, base),
        Seed::derive(&[7; 32], scope("a", "bc", 1), Algorithm::Es256, epoch(EPOCH_START, 1800)),
        Seed::derive(&[7; 32], scope("a", "bc", 1), Algorithm::Es256, epoch(EPOCH_START + 3600, 3600)),
    ];
    let distinct: std::collections::BTreeSet<_> = seeds.iter().map(|seed| *seed.as_ref().unwrap().expose()).collect();
    assert_eq!(distinct.len(), seeds.len());
}
