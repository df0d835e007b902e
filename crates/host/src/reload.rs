//! Replaces the bundle of a running host.
//!
//! ORDER: the application answers that it is ready with the new bundle before any client's request goes to it. Requests
//! in flight finish with the bundle that they began with.

use crate::app::App;
use crate::bundle;
use crate::error::HostError;
use crate::grants::{self, Mounts};
use crate::loader::Loader;
use crate::metrics::Reload;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vouchsafe_serve::log;

/// Time in which the files of a new bundle must not change.
const SETTLING: Duration = Duration::from_millis(100);

/// Loads the bundle again, and uses it if the application is ready with it. Otherwise the current one stays in use.
pub async fn reload(app: &App, loader: &Arc<Loader>, authority: &str) {
    let before = app.digest().unwrap_or_default();
    let outcome = match try_reload(app, loader, authority).await {
        Ok(after) if after == before => {
            log!("serve: reload: the bundle is unchanged: {before}");
            Reload::Unchanged
        }
        Ok(after) => {
            log!("serve: reload: the bundle was replaced: {before} -> {after}");
            Reload::Loaded
        }
        Err(error) => {
            log!("serve: reload: the new bundle was rejected, {before} stays in use: {}", error.message);
            Reload::Rejected
        }
    };
    app.metrics.record_reload(outcome);
}

/// Returns the digest of the bundle that is now in use. Removes the copies of other bundles.
async fn try_reload(app: &App, loader: &Arc<Loader>, authority: &str) -> Result<String, HostError> {
    let mut copies = Vec::new();
    let loaded = load(app, loader, authority, &mut copies).await;
    let in_use = app.digest();
    copies.retain(|(_, digest)| Some(digest) != in_use.as_ref());
    let removed = tokio::task::spawn_blocking(move || copies.iter().try_for_each(|(folder, _)| bundle::remove(folder)));
    if let Ok(Err(error)) = removed.await {
        log!("serve: reload: cannot remove the copy of the rejected bundle: {error}");
    }
    loaded
}

/// Adds new copies of bundles, with their digests, to `copies`.
async fn load(
    app: &App,
    loader: &Arc<Loader>,
    authority: &str,
    copies: &mut Vec<(PathBuf, String)>,
) -> Result<String, HostError> {
    let mut read_copy = async || {
        let mounts = read(loader).await?;
        let new = mounts.bundle.as_ref().filter(|bundle| bundle.is_new);
        copies.extend(new.map(|bundle| (bundle.folder.clone(), bundle.digest.clone())));
        Ok::<Mounts, HostError>(mounts)
    };
    let first = read_copy().await?;
    tokio::time::sleep(SETTLING).await;
    let mounts = read_copy().await?;
    let digest_of = |mounts: &Mounts| mounts.bundle.as_ref().map(|bundle| bundle.digest.clone());
    let Some(digest) = digest_of(&mounts) else {
        return Err(HostError::configuration("the manifest mounts no bundle"));
    };
    // Half of a change may be a valid bundle that permits more than both.
    if digest_of(&first).as_ref() != Some(&digest) {
        return Err(HostError::startup("its files are still being changed; send SIGHUP again when they are complete"));
    }
    if app.digest().as_ref() == Some(&digest) {
        return Ok(digest);
    }
    let loaded = loader.load(mounts);
    loaded.check_ready(authority).await?;
    app.replace(loaded);
    Ok(digest)
}

/// Reads and copies the bundle as it is now.
async fn read(loader: &Arc<Loader>) -> Result<Mounts, HostError> {
    let reader = Arc::clone(loader);
    // Reads, writes and checks files.
    let mounts = tokio::task::spawn_blocking(move || grants::mounts(&reader.application)).await;
    mounts.map_err(|error| HostError::startup(error.to_string()))?
}
