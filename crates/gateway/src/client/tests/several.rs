//! Several gateways, one of which is behind, has another clock or a failing HSM.

use super::*;

const FRESH: u64 = GENERATION_FRESH_SECONDS;

/// Both tiers sign with the correct gateway. The other one is asked again only together with the keys.
#[test]
fn skips_gateway_with_wrong_clock() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.ahead.borrow_mut().push('a');
    for tier in [Tier::Delegated, Tier::Hsm, Tier::Hsm] {
        sign(&signer, &gateways, tier).map(drop).unwrap();
    }
    run(signer.public_keys(0, &gateways)).unwrap();
    assert_eq!(
        gateways.take_asked(),
        ["a /v1/keys", "b /v1/keys", "b /v1/epoch-seed", "b /v1/sign-token", "b /v1/sign-token"]
    );
    gateways.now.set(NOON + KEYS_FRESH_SECONDS - 1);
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["b /v1/sign-token"]);
}

/// Its keys were fetched while its clock was right.
#[test]
fn gateway_whose_clock_drifts_is_skipped_later() {
    let (signer, gateways) = (signer(), Gateways::new());
    for tier in [Tier::Hsm, Tier::Delegated] {
        sign(&signer, &gateways, tier).map(drop).unwrap();
    }
    gateways.take_asked();
    gateways.ahead.borrow_mut().push('a');
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/sign-token", "b /v1/sign-token"]);
    gateways.ahead.borrow_mut().push('b');
    assert_eq!(
        sign(&signer, &gateways, Tier::Hsm).map(drop),
        Err(Error::Unavailable),
        "it is nobody's fault but the clocks'"
    );
    assert_eq!(
        sign(&signer, &gateways, Tier::Delegated).map(drop),
        Err(Error::Unavailable),
        "and nothing is signed here either"
    );
}

#[test]
fn takes_seed_from_gateway_with_same_clock() {
    let (signer, gateways) = (signer(), Gateways::new());
    run(signer.public_keys(0, &gateways)).unwrap();
    gateways.take_asked();
    gateways.ahead.borrow_mut().push('a');
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/epoch-seed", "b /v1/epoch-seed"]);
}

/// Gateways learn of an emergency within a second of each other.
#[test]
fn skips_gateway_with_older_generation() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.generation.set(2);
    let second = kid_of(sign(&signer, &gateways, Tier::Delegated));
    gateways.behind.borrow_mut().push('a');
    gateways.now.set(NOON + FRESH);
    gateways.take_asked();
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), second);
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "b /v1/keys"]);
}

/// A seed may be requested while the first gateway that knows of it derives it.
#[test]
fn ignores_new_seed_from_gateway_left_behind() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    gateways.generation.set(2);
    gateways.behind.borrow_mut().push('b');
    gateways.broken.borrow_mut().push("a /v1/epoch-seed");
    gateways.now.set(NOON + FRESH);
    assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
    gateways.broken.borrow_mut().clear();
    let second = kid_of(sign(&signer, &gateways, Tier::Delegated));
    assert_ne!(second, first);
}

/// A busy HSM must not delay an emergency rotation.
#[test]
fn failing_hsm_delays_no_emergency() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    *gateways.broken.borrow_mut() = vec!["a /v1/sign-token", "b /v1/sign-token"];
    gateways.generation.set(2);
    for second in 1..=FRESH {
        gateways.now.set(NOON + second);
        assert_eq!(sign(&signer, &gateways, Tier::Hsm).map(drop), Err(Error::Unavailable));
    }
    assert_ne!(kid_of(sign(&signer, &gateways, Tier::Delegated)), first);
}

/// The generation is kept even if a wrong clock makes the signer drop its keys.
#[test]
fn wrong_clock_restores_no_generation() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.generation.set(2);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    gateways.skew.set(31);
    gateways.now.set(NOON + FRESH);
    assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
    gateways.skew.set(0);
    gateways.generation.set(1);
    assert_eq!(sign(&signer, &gateways, Tier::Delegated).map(drop), Err(Error::Unavailable));
    gateways.generation.set(2);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
}

/// The signer's own clock is set back, within the gateway's tolerance.
#[test]
fn backward_clock_makes_nothing_fresh() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    gateways.take_asked();
    gateways.now.set(NOON - 20);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/keys"]);
}

/// The first gateway in the list, by mistake or by attack.
#[test]
fn skips_gateway_with_foreign_keys() {
    type Hosts = fn(&Gateways) -> &std::cell::RefCell<Vec<char>>;
    let differs = Error::Misconfigured { variable: Variable::Issuer, fault: Fault::DiffersFromGateway };
    let cases: [(Hosts, Option<Error>); 2] =
        [(|it| &it.foreign, Some(differs)), (|it| &it.late, Some(Error::Unavailable))];
    for (hosts, told_if_all_are) in cases {
        let (signer, gateways) = (signer(), Gateways::new());
        hosts(&gateways).borrow_mut().push('a');
        for tier in [Tier::Delegated, Tier::Hsm] {
            sign(&signer, &gateways, tier).map(drop).unwrap();
        }
        hosts(&gateways).borrow_mut().push('b');
        gateways.now.set(NOON + KEYS_FRESH_SECONDS);
        let signer = self::signer();
        let outcome = sign(&signer, &gateways, Tier::Delegated).map(drop);
        assert_eq!(outcome.err(), told_if_all_are);
    }
}

/// Two roots in one list are a mistake. Still, only published keys sign.
#[test]
fn skips_seed_of_another_root() {
    let (signer, gateways) = (signer(), Gateways::new());
    run(signer.public_keys(0, &gateways)).unwrap();
    gateways.rootless.borrow_mut().push('a');
    gateways.take_asked();
    let kid = kid_of(sign(&signer, &gateways, Tier::Delegated));
    assert_eq!(kid, local_kid(START));
    assert_eq!(gateways.take_asked(), ["a /v1/epoch-seed", "b /v1/epoch-seed"]);
}

/// A number without keys is not accepted as a generation.
#[test]
fn ignores_generation_without_a_key() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    gateways.generation.set(9);
    *gateways.late.borrow_mut() = vec!['a', 'b'];
    gateways.now.set(NOON + FRESH);
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), first);
    gateways.generation.set(1);
    gateways.late.borrow_mut().clear();
    gateways.now.set(NOON + KEYS_FRESH_SECONDS);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
}

/// A generation that the store knows from another broker is fetched at once, and then once a second.
#[test]
fn publishes_no_keys_of_a_past_generation() {
    let (signer, gateways) = (signer(), Gateways::new());
    run(signer.public_keys(1, &gateways)).unwrap();
    gateways.now.set(NOON + 1);
    gateways.generation.set(2);
    let second = run(signer.public_keys(2, &gateways)).unwrap();
    assert_eq!(run(signer.public_keys(0, &gateways)), Ok(second));
    gateways.take_asked();
    gateways.now.set(NOON + 2);
    let superseded = Error::Superseded(Superseded { generation: 2, latest: 3 });
    for asked in [["a /v1/keys"].as_slice(), &[]] {
        let keys = run(signer.public_keys(3, &gateways));
        assert_eq!(keys, Err(superseded));
        assert_eq!(gateways.take_asked(), asked);
    }
    // The other gateways do have it.
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    *gateways.down.borrow_mut() = vec!['a', 'b'];
    gateways.now.set(NOON + 10);
    assert_eq!(run(signer.public_keys(3, &gateways)), Err(superseded));
}
