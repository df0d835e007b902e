//! The one thing that outlives a request: the loaded bundle.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use vouchsafe_policy::{Decider, folder};
use vouchsafe_types::{Environment, PolicyError};

/// Where the host mounts the bundle.
const FOLDER: &str = "/policies";
/// Where it mounts the credentials that issuer files name.
const CREDENTIALS: &str = "/credentials";

thread_local! {
    // The bundle of this instance, with the environment it was checked against: at most one, for
    // the instance's life, because a mounted bundle does not change under an instance. It holds
    // nothing of any request.
    static LOADED: RefCell<Option<(Environment, Rc<Decider>)>> = const { RefCell::new(None) };
}

/// The bundle for `environment`: read and checked on the first call, kept from then on.
///
/// A bundle that does not load is not remembered, and one that was loaded for another environment
/// is checked again.
pub fn load(environment: Environment, seals: Option<&str>) -> Result<Rc<Decider>, PolicyError> {
    let kept = LOADED.with_borrow(|loaded| {
        let (of, bundle) = loaded.as_ref()?;
        (of == &environment).then(|| Rc::clone(bundle))
    });
    if let Some(bundle) = kept {
        return Ok(bundle);
    }
    let files = folder::read(Path::new(FOLDER))
        .map_err(|finding| PolicyError::InvalidBundle(finding.to_string()))?;
    let bundle = Decider::load(&files, &environment, seals)
        .map_err(|invalid| PolicyError::InvalidBundle(invalid.to_string()))?;
    let bundle = Rc::new(bundle);
    LOADED.set(Some((environment, Rc::clone(&bundle))));
    Ok(bundle)
}

/// Reads the credential on each call, so that replacing the file rotates it.
pub fn read_credential(name: &str) -> Result<String, PolicyError> {
    folder::read_credential(Path::new(CREDENTIALS), name)
        .map_err(PolicyError::CredentialUnavailable)
}

/// The bundle that `digest` names, which must be the loaded one.
pub fn loaded(digest: &str) -> Result<Rc<Decider>, PolicyError> {
    LOADED.with_borrow(|loaded| match loaded {
        Some((_, bundle)) if bundle.digest() == digest => Ok(Rc::clone(bundle)),
        _ => Err(PolicyError::StaleDigest),
    })
}
