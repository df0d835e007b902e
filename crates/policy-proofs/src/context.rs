//! The symbolic request of a scene: what the schema allows, less what the broker never sends.

use cedar_policy::EntityUid;
use cedar_policy_symcc::bitvec::BitVec;
use cedar_policy_symcc::term::{Term, TermPrim, TermVar};
use cedar_policy_symcc::term_factory as make;
use cedar_policy_symcc::term_type::TermType;
use cedar_policy_symcc::{SymEnv, type_abbrevs::Attr};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

const MILLISECONDS: u128 = 1000;
/// Enough for the year 9999, and few enough that milliseconds cannot overflow.
const SECONDS_BITS: u32 = 38;

/// Fixes the audience, and restricts the parts of the context that Cedar's own language cannot describe: the time has
/// whole seconds, and the client address is not a network.
pub(crate) fn restricted(mut symenv: SymEnv, audience: &EntityUid) -> SymEnv {
    symenv.request.resource = Term::Prim(TermPrim::Entity(audience.clone()));
    let whole = symenv.request.context.clone();
    let TermType::Record { rty } = whole.type_of() else {
        return symenv;
    };
    let mut members: BTreeMap<Attr, Term> =
        rty.keys().map(|name| (name.clone(), make::record_get(whole.clone(), name))).collect();
    if let Some(now) = members.get_mut("now")
        && let Some(whole_seconds) = whole_seconds()
    {
        *now = whole_seconds;
    }
    if let Some(address) = members.get_mut("client_ip") {
        *address = single_address(address);
    }
    symenv.request.context = Term::Record(Arc::new(members));
    symenv
}

/// A `datetime` with whole seconds from 1970 on.
fn whole_seconds() -> Option<Term> {
    let (all_bits, bits) = (NonZeroU32::new(64)?, NonZeroU32::new(SECONDS_BITS)?);
    let seconds = Term::Var(TermVar { id: "now_seconds".into(), ty: TermType::Bitvec { n: bits } });
    let seconds = make::zero_extend(all_bits.get().saturating_sub(bits.get()), seconds);
    let thousand = Term::Prim(TermPrim::Bitvec(BitVec::of_u128(all_bits, MILLISECONDS)));
    Some(make::ext_datetime_of_bitvec(make::bvmul(seconds, thousand)))
}

/// `address` if it has no prefix length, else absent.
fn single_address(address: &Term) -> Term {
    let ip = make::option_get(address.clone());
    let v4 = make::is_none(make::ext_ipaddr_prefix_v4(ip.clone()));
    let v6 = make::is_none(make::ext_ipaddr_prefix_v6(ip.clone()));
    let single = make::ite(make::ext_ipaddr_is_v4(ip.clone()), v4, v6);
    let absent = make::none_of(ip.type_of());
    make::ite(make::and(make::is_some(address.clone()), single), address.clone(), absent)
}
