//! Status lists that this instance publishes.
//!
//! Documented caches, per instance (I7): the lists that were asked for, at most
//! `LISTS_IN_MEMORY_MAX`, and their names, each read in one second and used in that second only.

use crate::bindings::revocations;
use crate::ports::Wasm;
use crate::respond::{self, Reply};
use spin_sdk::http::HeaderValue;
use std::cell::RefCell;
use std::rc::Rc;
use vouchsafe_exchange::failure::Failure;
use vouchsafe_exchange::ports::{Instance, Signer};
use vouchsafe_exchange::wire::WireError;
use vouchsafe_revocation::{Published, publish_status};
use vouchsafe_types::{StatusList, is_status_list_name, status_list_url};

/// Most lists whose last document an instance keeps; the one that was asked for longest ago is evicted first.
const LISTS_IN_MEMORY_MAX: usize = 64;

thread_local! {
    static LISTS: RefCell<Vec<Rc<Published<StatusList>>>> = const { RefCell::new(Vec::new()) };
    /// When they were read, and the document.
    static NAMES: RefCell<Option<(u64, String)>> = const { RefCell::new(None) };
}

/// The list `name`, or without a name, the URLs of all lists that have live tokens.
pub async fn answer(
    ports: &Wasm,
    name: Option<&str>,
    known: Option<&HeaderValue>,
    request_id: &str,
) -> Result<Reply, Failure> {
    let Some(name) = name else {
        let body = names(ports).await?;
        return Ok(respond::any_origin(respond::cacheable(body.clone(), respond::etag(&body), 1, known)));
    };
    Ok(match list(ports, name).await? {
        Some(published) => respond::any_origin(respond::status_list(published.jwt(), known)),
        None => respond::refused(&WireError::not_found(), request_id, None),
    })
}

async fn list(ports: &Wasm, name: &str) -> Result<Option<Rc<Published<StatusList>>>, Failure> {
    if !is_status_list_name(name) {
        return Ok(None);
    }
    let is_it = |published: &Rc<Published<StatusList>>| published.list().name == name;
    let last = LISTS.with_borrow(|lists| lists.iter().find(|it| is_it(it)).cloned());
    let published = publish_status(ports, name, last).await?;
    LISTS.with_borrow_mut(|lists| {
        lists.retain(|it| !is_it(it));
        if lists.len() >= LISTS_IN_MEMORY_MAX {
            lists.remove(0);
        }
        lists.extend(published.clone());
    });
    Ok(published)
}

/// The document of the aggregation endpoint.
async fn names(ports: &Wasm) -> Result<String, Failure> {
    let now = Instance::now(ports);
    let known = NAMES.with_borrow(|names| names.as_ref().filter(|(at, _)| *at == now).map(|(_, body)| body.clone()));
    if let Some(body) = known {
        return Ok(body);
    }
    let issuer = Signer::settings(ports).await?.issuer;
    let names = revocations::status_lists().await?;
    let urls: Vec<_> = names.iter().map(|name| status_list_url(&issuer, name)).collect();
    let body = serde_json::json!({ "status_lists": urls }).to_string();
    NAMES.set(Some((now, body.clone())));
    Ok(body)
}
