//! Handles of the identity component for what was checked and parsed before: see the caches of [`crate::ports`].

use crate::bindings::verification;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::limits::KEY_SETS_IN_MEMORY_MAX;
use vouchsafe_types::{IssuerRecord, KeySet};

thread_local! {
    /// Keyed by `iss`.
    static CHECKED_ISSUERS: RefCell<BTreeMap<String, Rc<verification::TrustedIssuer>>> =
        const { RefCell::new(BTreeMap::new()) };
    /// Keyed by `iss` and the digest of the key set; the oldest is evicted first.
    static PARSED_KEYS: RefCell<Vec<(String, String, Rc<verification::TrustedKeys>)>> =
        const { RefCell::new(Vec::new()) };
}

/// The identity component's handle for `issuer`, checked once per bundle.
pub fn checked_issuer(issuer: &IssuerRecord) -> Result<Rc<verification::TrustedIssuer>, Failure> {
    if let Some(checked) = CHECKED_ISSUERS.with_borrow(|known| known.get(&issuer.issuer).cloned()) {
        return Ok(checked);
    }
    let checked = Rc::new(verification::TrustedIssuer::check(issuer)?);
    CHECKED_ISSUERS.with_borrow_mut(|known| known.insert(issuer.issuer.clone(), Rc::clone(&checked)));
    Ok(checked)
}

/// The identity component's handle for `keys`, parsed once per fetch.
pub fn parsed_keys(
    issuer: &IssuerRecord,
    checked: &verification::TrustedIssuer,
    keys: &KeySet,
) -> Result<Rc<verification::TrustedKeys>, Failure> {
    let parsed = PARSED_KEYS.with_borrow(|sets| {
        let known = sets.iter().find(|(iss, digest, _)| *iss == issuer.issuer && *digest == keys.digest);
        known.map(|(_, _, parsed)| Rc::clone(parsed))
    });
    if let Some(parsed) = parsed {
        return Ok(parsed);
    }
    let parsed = Rc::new(verification::TrustedKeys::parse(checked, keys)?);
    PARSED_KEYS.with_borrow_mut(|sets| {
        if sets.len() >= KEY_SETS_IN_MEMORY_MAX {
            sets.remove(0);
        }
        sets.push((issuer.issuer.clone(), keys.digest.clone(), Rc::clone(&parsed)));
    });
    Ok(parsed)
}
