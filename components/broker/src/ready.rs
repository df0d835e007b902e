//! `/readyz`: whether every component can be used, and what operators should change.
//!
//! Documented caches, per instance (I7): conflicts between bundle and signer, for `CONFLICTS_SECONDS`; the warnings that
//! were logged last.

use crate::ports::{self, Wasm};
use crate::respond::{self, Reply};
use serde_json::{Value, json};
use std::cell::RefCell;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::ports::{Policy, Signer};
use vouchsafe_exchange::root;
use vouchsafe_types::{BackendStatus, BundleInfo};

/// How long conflicts are kept: anyone can ask, and only the keys of an HSM change them.
const CONFLICTS_SECONDS: u64 = 5;
/// Most conflicts that are reported.
const CONFLICTS_MAX: usize = 20;

thread_local! {
    /// With the Unix second in which they were found.
    static CONFLICTS: RefCell<Option<(u64, Vec<String>)>> = const { RefCell::new(None) };
    static LOGGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Uses each component once, so that operators notice failures before callers do. Also creates the replay store, which
/// must be older than the tokens that it checks. Returns the warnings that this instance has not logged yet.
pub async fn check(ports: &Wasm) -> Result<(Reply, Vec<String>), Failure> {
    let settings = ports.settings().await?;
    let bundle = ports.bundle(&settings).await?;
    // ORDER: keys first: fetching them updates what the signer knows about its backend.
    ports.public_keys().await?;
    let backend = ports.backend().await?;
    ports.store_ready().await?;
    let space = ports.store_space().await?;
    let mut warnings = settings.warnings.clone();
    warnings.extend(root::warning(ports, &settings).await?.map(str::to_owned));
    warnings.extend(conflicts(ports, &bundle).await?);
    let mut body = json!({
        "status": "ready",
        "issuer": settings.issuer,
        "bundle": { "name": bundle.name, "version": bundle.version, "digest": bundle.digest },
        "store": { "space": space },
    });
    if let Some(members) = body.as_object_mut() {
        members.extend(backend.map(|backend| ("signer".to_owned(), signer(&backend))));
        if !warnings.is_empty() {
            members.insert("warnings".to_owned(), json!(warnings));
        }
    }
    Ok((respond::json(200, "no-store", body.to_string()), not_logged(warnings)))
}

fn signer(backend: &BackendStatus) -> Value {
    json!({
        "generation": backend.generation,
        "seconds_left": backend.seconds_left,
        "gateways": { "up": backend.gateways_up, "of": backend.gateways },
    })
}

/// Audiences whose tokens the signer refuses.
async fn conflicts(ports: &Wasm, bundle: &BundleInfo) -> Result<Vec<String>, Failure> {
    let now = ports::clock();
    let known = CONFLICTS.with_borrow(Clone::clone);
    if let Some((_, known)) = known.filter(|(at, _)| now.abs_diff(*at) < CONFLICTS_SECONDS) {
        return Ok(known);
    }
    let mut found = ports.conflicts(bundle).await?;
    found.truncate(CONFLICTS_MAX);
    CONFLICTS.set(Some((now, found.clone())));
    Ok(found)
}

/// The warnings, if they are not those that were logged last.
fn not_logged(warnings: Vec<String>) -> Vec<String> {
    let logged = LOGGED.replace(warnings.clone());
    if logged == warnings { Vec::new() } else { warnings }
}
