//! The loaded bundle: the only state that outlives a request.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use vouchsafe_policy::{Decider, folder};
use vouchsafe_types::{Environment, PolicyError};

/// Where the host mounts the bundle.
const FOLDER: &str = "/policies";
/// Where the host mounts the credentials that issuer files name.
const CREDENTIALS: &str = "/credentials";

thread_local! {
    // The bundle of this instance, with the environment that it was validated against: at most one, for the instance's
    // lifetime, because a mounted bundle does not change under an instance. Contains no request data.
    static LOADED: RefCell<Option<(Environment, Rc<Decider>)>> = const { RefCell::new(None) };
}

/// The bundle for `environment`, loaded and validated on the first call and kept afterwards.
///
/// A bundle that fails to load is not remembered, and a different environment causes a new validation.
pub fn load(environment: Environment, seals: Option<&str>) -> Result<Rc<Decider>, PolicyError> {
    let kept = LOADED.with_borrow(|loaded| {
        let (of, bundle) = loaded.as_ref()?;
        (of == &environment).then(|| Rc::clone(bundle))
    });
    if let Some(bundle) = kept {
        return Ok(bundle);
    }
    let files = folder::read(Path::new(FOLDER)).map_err(|finding| PolicyError::InvalidBundle(finding.to_string()))?;
    let bundle = Decider::load(&files, &environment, seals)
        .map_err(|invalid| PolicyError::InvalidBundle(invalid.to_string()))?;
    let bundle = Rc::new(bundle);
    LOADED.set(Some((environment, Rc::clone(&bundle))));
    Ok(bundle)
}

/// Reads the credential on each call, so that replacing the file rotates it.
pub fn read_credential(name: &str) -> Result<String, PolicyError> {
    folder::read_credential(Path::new(CREDENTIALS), name).map_err(PolicyError::CredentialUnavailable)
}

/// The loaded bundle, which must have this `digest`.
pub fn loaded(digest: &str) -> Result<Rc<Decider>, PolicyError> {
    LOADED.with_borrow(|loaded| match loaded {
        Some((_, bundle)) if bundle.digest() == digest => Ok(Rc::clone(bundle)),
        _ => Err(PolicyError::StaleDigest),
    })
}
