//! Every slug that the broker can answer with is reached over HTTP by some test.

use crate::exchange::{
    chaining, claims, client_address, deadline, delegation, denial_limit, jws_header, jwt_syntax, proofs, requests,
    views,
};
use crate::hsm::ops::emergency_rotation;
use crate::hsm::tiers;
use crate::issuers::unavailable;
use crate::policy::providers;
use crate::revocation::{administrators, bound_tokens};
use crate::store::{records, single_use};
use std::collections::BTreeSet;
use vouchsafe_harness::broker::repository;

/// Slugs that no request to `vouchsafe serve` can cause, with the reason. This list may only shrink.
const UNREACHED: [(&str, &str); 2] = [
    ("internal", "no input causes it, only a bug or a host without randomness"),
    (
        "policy.unavailable",
        "`serve` does not start with a bundle that does not load, see `policy/loading.rs`; Spin would",
    ),
];

/// The slugs in the broker's list of refusals.
fn slugs() -> BTreeSet<String> {
    let sources = ["crates/exchange/src/refusal.rs", "crates/types/src/proof.rs", "crates/types/src/token.rs"];
    let read = |path| std::fs::read_to_string(repository().join(path)).expect("a list of refusals");
    let text = sources.map(read).concat();
    let arms = text.split("=> \"").skip(1).filter_map(|rest| rest.split_once('"'));
    arms.map(|(slug, _)| slug.to_owned()).collect()
}

#[test]
fn reaches_or_excuses_every_slug() {
    let tokens =
        [jwt_syntax::cases(), jws_header::cases(), claims::cases()].into_iter().flatten().map(|case| case.want);
    let requests = requests::cases().into_iter().map(|case| case.want);
    let wants = tokens
        .chain(requests)
        .chain(client_address::wants())
        .chain(chaining::wants())
        .chain(delegation::wants())
        .chain(denial_limit::wants())
        .chain(proofs::wants())
        .chain(views::wants())
        .chain(deadline::wants())
        .chain(tiers::wants())
        .chain(emergency_rotation::wants())
        .chain(unavailable::wants())
        .chain(providers::wants())
        .chain(administrators::wants())
        .chain(bound_tokens::wants())
        .chain(records::wants())
        .chain(single_use::wants());
    let reached: BTreeSet<_> = wants.filter_map(|want| want.slug()).map(str::to_owned).collect();
    let excused: BTreeSet<_> = UNREACHED.iter().map(|(slug, _)| (*slug).to_owned()).collect();
    let slugs = slugs();
    assert!(slugs.len() > 30, "implausible list of refusals: {slugs:?}");
    let missing: Vec<_> = slugs.difference(&reached).filter(|slug| !excused.contains(*slug)).collect();
    assert!(missing.is_empty(), "no case reaches {missing:?}");
    let needless: Vec<_> = excused.iter().filter(|slug| reached.contains(*slug) || !slugs.contains(*slug)).collect();
    assert!(needless.is_empty(), "needless exceptions: {needless:?}");
    let strange: Vec<_> = reached.difference(&slugs).collect();
    assert!(strange.is_empty(), "not in the list of refusals: {strange:?}");
}
