use super::*;
use crate::rules::tests::{ISSUER, rules};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What the HSM does.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3600;

fn root() -> [u8; 32] {
    std::array::from_fn(|index| u8::try_from(index).unwrap())
}

fn groups() -> Vec<Group> {
    rules("").groups().filter(|it| it.name == "default").cloned().collect()
}

/// Lets a software HSM derive whatever is missing at `now`, and returns how often it was used.
fn serve(keyring: &mut EpochKeyring, now: u64) -> usize {
    let now = UnixSeconds(now);
    keyring.turn_to(now);
    let missing = keyring.missing(now).unwrap();
    for derivation in missing.clone() {
        let seed = hmac_sha256(&root(), &derivation.label);
        keyring.learn(derivation, seed, now).unwrap();
    }
    assert_eq!(keyring.missing(now), Ok(vec![]));
    for key in keyring.uncertified() {
        keyring.certify(key, b"a certificate");
    }
    missing.len()
}

fn keyring() -> EpochKeyring {
    EpochKeyring::new(groups(), 1)
}

#[track_caller]
fn check(keyring: &EpochKeyring, start: u64, now: u64, expected: Result<(), Refusal>) {
    let group = &groups()[0];
    let found = keyring.hand_out(group, 1, "ES256", start, UnixSeconds(now));
    assert_eq!(found.map(drop), expected, "the epoch of {start} at {now}");
}

/// `docs/epoch-keys.md`, first table.
#[test]
fn hands_out_the_published_seeds() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    let group = &groups()[0];
    for (algorithm, expected) in [
        ("ES256", "79f768130fa3ec60473e2b230c4d000b5b009fca912c0224918f0c9832cd83f2"),
        ("EdDSA", "fb772c98a973c1af58775028f26480729161736e8918d280b90fc9d97ce8bfdc"),
    ] {
        let seed = keyring.hand_out(group, 1, algorithm, START, UnixSeconds(START)).unwrap();
        let hex: String = seed.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
    let kids: Vec<_> = keyring.published(group).into_iter().map(|key| key.kid).collect();
    assert!(kids.contains(&"4oazcEnfedU8UZsOdS2GAUyGX45U9SFfJYNsR4K6N1E".to_owned()));
    assert!(kids.contains(&"x93njDmtZnlMdKMBfBM0ddFN-zzv1pQSFUqrW59zxco".to_owned()));
    assert_eq!(group.issuer, ISSUER);
}

#[test]
fn hands_out_seed_only_within_its_window() {
    for (now, expected) in [
        (START - 61, Err(Refusal::SeedWindow)),
        (START - 60, Ok(())),
        (START, Ok(())),
        (START + HOUR - 1, Ok(())),
        (START + HOUR, Ok(())),
        (START + HOUR + 59, Ok(())),
        (START + HOUR + 60, Err(Refusal::SeedWindow)),
        (START + 2 * HOUR, Err(Refusal::SeedWindow)),
        (START - HOUR, Err(Refusal::SeedWindow)),
    ] {
        let mut keyring = keyring();
        serve(&mut keyring, now);
        check(&keyring, START, now, expected);
    }
}

#[test]
fn rejects_epochs_of_another_length() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    check(&keyring, START + 1, START, Err(Refusal::SeedEpoch));
    check(&keyring, START + HOUR / 2, START, Err(Refusal::SeedEpoch));
    check(&keyring, 0, START, Err(Refusal::SeedWindow));
    check(&keyring, u64::MAX / HOUR * HOUR, START, Err(Refusal::SeedWindow));
    let group = &groups()[0];
    let ask = |generation, algorithm: &str| {
        keyring.hand_out(group, generation, algorithm, START, UnixSeconds(START)).map(drop)
    };
    for algorithm in ["RS256", "es256", "", "none"] {
        assert_eq!(ask(1, algorithm), Err(Refusal::SeedAlgorithm), "{algorithm}");
    }
    for generation in [0, 2, u64::MAX] {
        assert_eq!(ask(generation, "ES256"), Err(Refusal::SeedGeneration));
    }
}

#[test]
fn asks_hsm_three_times_per_epoch_and_algorithm() {
    let mut keyring = keyring();
    assert_eq!(serve(&mut keyring, START + 100), 16, "two generations of four epochs and two algorithms");
    for epoch in 1..5 {
        let start = START + epoch * HOUR;
        for now in [start, start + 60, start + HOUR - 1] {
            let asked = serve(&mut keyring, now);
            assert_eq!(asked, if now == start { 6 } else { 0 }, "at {now}");
        }
    }
}

#[test]
fn derives_most_urgent_seed_first() {
    let keyring = keyring();
    let epochs: Vec<_> = keyring
        .missing(UnixSeconds(START))
        .unwrap()
        .into_iter()
        .map(|it| (it.id.generation, it.id.epoch.start()))
        .collect();
    let order = [START, START - HOUR, START + HOUR, START + 2 * HOUR];
    let expected: Vec<_> =
        [1, 2].into_iter().flat_map(|generation| order.map(|start| [(generation, start); 2])).flatten().collect();
    assert_eq!(epochs, expected);
}

#[test]
fn survives_hsm_outage_until_seeds_expire() {
    let mut keyring = keyring();
    serve(&mut keyring, START + 100);
    assert_eq!(keyring.seeds_until(UnixSeconds(START + 100)), Some(START + 2 * HOUR));
    for now in [START + HOUR, START + 2 * HOUR - 1] {
        keyring.turn_to(UnixSeconds(now));
        assert_eq!(keyring.seeds_until(UnixSeconds(now)), Some(START + 2 * HOUR));
        check(&keyring, START + HOUR, now, Ok(()));
    }
    let over = START + 2 * HOUR;
    keyring.turn_to(UnixSeconds(over));
    assert_eq!(keyring.seeds_until(UnixSeconds(over)), None);
    check(&keyring, over, over, Err(Refusal::HsmUnavailable));
}

#[test]
fn keeps_no_seed_whose_window_has_closed() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    let seeds = |keyring: &EpochKeyring| keyring.entries.values().filter(|entry| entry.seed.is_some()).count();
    // Previous (just over), current and next, of two algorithms.
    assert_eq!(seeds(&keyring), 6);
    keyring.turn_to(UnixSeconds(START + 60));
    assert_eq!(seeds(&keyring), 4);
    keyring.turn_to(UnixSeconds(START + 9 * HOUR));
    assert_eq!((seeds(&keyring), keyring.entries.len()), (0, 0));
}

/// I6.
#[test]
fn debug_shows_no_seed() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    assert_eq!(format!("{keyring:?}"), "EpochKeyring(generation 1, ..)");
}

#[test]
fn raised_generation_was_the_published_standby() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    let group = &groups()[0];
    let kids = |keyring: &EpochKeyring, generation| -> Vec<_> {
        let keys = keyring.published(group).into_iter();
        let keys = keys.filter(|key| key.generation == generation);
        keys.map(|key| key.kid).collect()
    };
    let (first, standby) = (kids(&keyring, 1), kids(&keyring, 2));
    assert_eq!((first.len(), standby.len()), (8, 8));
    assert!(!keyring.raise_to(1) && !keyring.raise_to(0));
    assert!(keyring.raise_to(2));
    check(&keyring, START, START, Err(Refusal::SeedGeneration));
    assert_eq!(kids(&keyring, 1), Vec::<String>::new(), "gone at once");
    assert_eq!(kids(&keyring, 2), standby);
    // Seeds of three epochs, the previous one's window being open, and a new standby.
    assert_eq!(serve(&mut keyring, START), 3 * 2 + 4 * 2);
    assert_eq!(kids(&keyring, 2), standby);
    let seed = keyring.hand_out(group, 2, "ES256", START, UnixSeconds(START));
    let epoch = Epoch::starting_at(START, HOUR).unwrap();
    let key = EpochKey::from_seed(seed.unwrap(), Algorithm::Es256, epoch, &vouchsafe_crypto::Software).unwrap();
    assert!(standby.contains(&key.kid().to_owned()));
    assert!(!keyring.raise_to(1), "a lower one does not come back");
}

#[test]
fn no_seed_of_the_standby_is_held() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    let standby = keyring.entries.iter().filter(|(it, _)| it.generation == 2);
    assert!(standby.into_iter().all(|(_, entry)| entry.seed.is_none()));
}

#[test]
fn last_generation_has_no_standby() {
    let mut keyring = EpochKeyring::new(groups(), u64::MAX);
    assert_eq!(serve(&mut keyring, START), 8);
}

/// A published key has a certificate, and keeps it when its seed is derived again.
#[test]
fn publishes_key_only_once_certified() {
    let (mut keyring, now) = (keyring(), UnixSeconds(START));
    for derivation in keyring.missing(now).unwrap() {
        let seed = hmac_sha256(&root(), &derivation.label);
        keyring.learn(derivation, seed, now).unwrap();
    }
    let group = &groups()[0];
    assert_eq!(keyring.published(group), vec![]);
    assert_eq!(keyring.seeds_until(now), None, "nobody could use it");
    let uncertified = keyring.uncertified();
    assert_eq!(uncertified.len(), 2 * 4 * 2);
    assert!(uncertified[0].generation() == 1 && uncertified[0].group() == "default");
    serve(&mut keyring, START);
    assert_eq!(keyring.published(group).len(), 2 * 4 * 2);
    assert!(keyring.seeds_until(now).is_some());
    // One epoch later, two generations get one more epoch in two algorithms.
    let later = UnixSeconds(START + HOUR);
    keyring.turn_to(later);
    for derivation in keyring.missing(later).unwrap() {
        let seed = hmac_sha256(&root(), &derivation.label);
        keyring.learn(derivation, seed, later).unwrap();
    }
    assert_eq!(keyring.uncertified().len(), 2 * 2);
}

/// An emergency: with its seeds at hand, no request waits for the HSM.
#[test]
fn all_seeds_of_a_generation_can_become_current() {
    let mut keyring = keyring();
    serve(&mut keyring, START + 1800);
    let now = UnixSeconds(START + 1800);
    let wanted = keyring.seeds_of(2, now).unwrap();
    assert_eq!(wanted.len(), 4, "two epochs, two algorithms");
    keyring.raise_to(2);
    for derivation in wanted {
        let seed = hmac_sha256(&root(), &derivation.label);
        keyring.learn(derivation, seed, now).unwrap();
    }
    assert_eq!(keyring.seeds_until(now), Some(START + 2 * HOUR));
    let published = keyring.published(&groups()[0]);
    let current = published.iter().filter(|key| key.generation == 2);
    assert_eq!(current.count(), 8, "and no published key was lost");
}

/// The HSM is faulty or was replaced, but verifiers have the published key.
#[test]
fn never_replaces_a_published_key() {
    let mut keyring = keyring();
    serve(&mut keyring, START);
    let now = UnixSeconds(START + HOUR);
    keyring.turn_to(now);
    for derivation in keyring.missing(now).unwrap() {
        let id = &derivation.id;
        // Its public key is published, and its seed is requested again.
        let is_known = id.generation == 1 && id.epoch.start() == START + 2 * HOUR;
        let expected = if is_known { Err(Error::Internal) } else { Ok(()) };
        let outcome = keyring.learn(derivation.clone(), [9; 32], now);
        assert_eq!(outcome, expected, "{derivation:?}");
    }
    assert_eq!(keyring.seeds_until(now), Some(START + 2 * HOUR));
}
