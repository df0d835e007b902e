//! Several gateways, of which one is behind, has another clock, or an HSM that fails.

use super::*;

const FRESH: u64 = GENERATION_FRESH_SECONDS;

/// Both tiers sign, by the gateway that is right; the other is asked again only when the keys are.
#[test]
fn a_gateway_whose_clock_is_wrong_is_passed_over() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.ahead.borrow_mut().push('a');
    for tier in [Tier::Delegated, Tier::Hsm, Tier::Hsm] {
        sign(&signer, &gateways, tier).map(drop).unwrap();
    }
    run(signer.public_keys(&gateways)).unwrap();
    assert_eq!(
        gateways.take_asked(),
        [
            "a /v1/keys",
            "b /v1/keys",
            "b /v1/epoch-seed",
            "b /v1/sign-token",
            "b /v1/sign-token"
        ]
    );
    gateways.now.set(NOON + KEYS_FRESH_SECONDS - 1);
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["b /v1/sign-token"]);
}

/// Its keys were fetched while its clock was right.
#[test]
fn a_gateway_whose_clock_goes_wrong_signs_nothing_and_refuses_nothing() {
    let (signer, gateways) = (signer(), Gateways::new());
    for tier in [Tier::Hsm, Tier::Delegated] {
        sign(&signer, &gateways, tier).map(drop).unwrap();
    }
    gateways.take_asked();
    gateways.ahead.borrow_mut().push('a');
    sign(&signer, &gateways, Tier::Hsm).map(drop).unwrap();
    assert_eq!(
        gateways.take_asked(),
        ["a /v1/sign-token", "b /v1/sign-token"]
    );
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
fn a_seed_is_taken_from_the_gateway_whose_clock_is_ours() {
    let (signer, gateways) = (signer(), Gateways::new());
    run(signer.public_keys(&gateways)).unwrap();
    gateways.take_asked();
    gateways.ahead.borrow_mut().push('a');
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert_eq!(
        gateways.take_asked(),
        ["a /v1/epoch-seed", "b /v1/epoch-seed"]
    );
}

/// Gateways learn of an emergency within a second of each other.
#[test]
fn a_gateway_that_is_behind_in_generations_is_passed_over() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.generation.set(2);
    let second = kid_of(sign(&signer, &gateways, Tier::Delegated));
    gateways.behind.borrow_mut().push('a');
    gateways.now.set(NOON + FRESH);
    gateways.take_asked();
    assert_eq!(kid_of(sign(&signer, &gateways, Tier::Delegated)), second);
    assert_eq!(gateways.take_asked(), ["a /v1/keys", "b /v1/keys"]);
}

/// A seed may be asked for while the gateway that learned first derives it.
#[test]
fn a_seed_of_the_new_generation_is_not_asked_of_who_is_behind_and_believed() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    gateways.generation.set(2);
    gateways.behind.borrow_mut().push('b');
    gateways.broken.borrow_mut().push("a /v1/epoch-seed");
    gateways.now.set(NOON + FRESH);
    assert_eq!(
        sign(&signer, &gateways, Tier::Delegated).map(drop),
        Err(Error::Unavailable)
    );
    gateways.broken.borrow_mut().clear();
    let second = kid_of(sign(&signer, &gateways, Tier::Delegated));
    assert_ne!(second, first);
}

/// Whoever keeps the HSM busy must not keep an emergency from being followed.
#[test]
fn an_hsm_that_fails_to_sign_delays_no_emergency() {
    let (signer, gateways) = (signer(), Gateways::new());
    let first = kid_of(sign(&signer, &gateways, Tier::Delegated));
    *gateways.broken.borrow_mut() = vec!["a /v1/sign-token", "b /v1/sign-token"];
    gateways.generation.set(2);
    for second in 1..=FRESH {
        gateways.now.set(NOON + second);
        assert_eq!(
            sign(&signer, &gateways, Tier::Hsm).map(drop),
            Err(Error::Unavailable)
        );
    }
    assert_ne!(kid_of(sign(&signer, &gateways, Tier::Delegated)), first);
}

/// The generation outlives what a wrong clock makes the signer forget.
#[test]
fn a_clock_that_was_wrong_brings_no_generation_back() {
    let (signer, gateways) = (signer(), Gateways::new());
    gateways.generation.set(2);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    gateways.skew.set(31);
    gateways.now.set(NOON + FRESH);
    assert_eq!(
        sign(&signer, &gateways, Tier::Delegated).map(drop),
        Err(Error::Unavailable)
    );
    gateways.skew.set(0);
    gateways.generation.set(1);
    assert_eq!(
        sign(&signer, &gateways, Tier::Delegated).map(drop),
        Err(Error::Unavailable)
    );
    gateways.generation.set(2);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
}

/// The signer's own clock is set back by less than the gateway minds.
#[test]
fn a_clock_that_goes_back_makes_nothing_fresh() {
    let (signer, gateways) = (signer(), Gateways::new());
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    gateways.take_asked();
    gateways.now.set(NOON - 20);
    sign(&signer, &gateways, Tier::Delegated).map(drop).unwrap();
    assert_eq!(gateways.take_asked(), ["a /v1/keys"]);
}
