//! The store on Spin's SQLite: state behind `vouchsafe:store`.
//!
//! Everything about SQL and limits is in `crates/store`; here are the connection, the clock and the
//! deadlines. Imports `spin:sqlite` and no other capability.

mod convert;
mod ports;

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: ["../../wit/deps/spin-sqlite@3.1.0", "../../wit/store"],
        world: "vouchsafe:store/store",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::exports::vouchsafe::store::state as wit;
use ports::{call_deadline, now, store, within_deadline};

struct Component;

impl wit::Guest for Component {
    async fn ready() -> Result<(), wit::Error> {
        Ok(within_deadline(async { store().await?.ready().await }).await?)
    }

    async fn writable() -> Result<wit::Space, wit::Error> {
        let space = within_deadline(async { store().await?.writable(now()?).await }).await?;
        Ok(space.into())
    }

    async fn consume(
        key: String,
        uses_max: u32,
        issued_at: u64,
        keep_until: u64,
    ) -> Result<wit::Consumption, wit::Error> {
        let mut deadline = call_deadline();
        let store = deadline.limit(store()).await?;
        let consumption = store
            .consume(&key, uses_max, issued_at, keep_until, now()?, &mut deadline)
            .await?;
        Ok(consumption.into())
    }

    async fn record(entry: wit::AuditRecord) -> Result<wit::Recorded, wit::Error> {
        let mut deadline = call_deadline();
        let store = deadline.limit(store()).await?;
        let recorded = store.record(entry.into(), now()?, &mut deadline).await?;
        Ok(recorded.into())
    }

    async fn generation_get(of: String) -> Result<Option<u64>, wit::Error> {
        Ok(within_deadline(async { store().await?.generation_get(&of).await }).await?)
    }

    async fn lease(name: String, ttl_ms: u64) -> Result<bool, wit::Error> {
        Ok(within_deadline(async { store().await?.lease(&name, ttl_ms, now()?).await }).await?)
    }

    async fn document_get(name: String) -> Result<Option<wit::Document>, wit::Error> {
        let document = within_deadline(async { store().await?.document_get(&name).await }).await?;
        Ok(document.map(Into::into))
    }

    async fn document_put(name: String, document: wit::Document) -> Result<(), wit::Error> {
        Ok(within_deadline(async {
            store()
                .await?
                .document_put(&name, document.into(), now()?)
                .await
        })
        .await?)
    }

    async fn pointer_get(name: String) -> Result<Option<wit::Pointer>, wit::Error> {
        let pointer = within_deadline(async { store().await?.pointer_get(&name).await }).await?;
        Ok(pointer.map(Into::into))
    }

    async fn pointer_compare_and_swap(
        name: String,
        expected: Option<u64>,
        value: String,
    ) -> Result<bool, wit::Error> {
        Ok(within_deadline(async {
            store()
                .await?
                .pointer_compare_and_swap(&name, expected, value)
                .await
        })
        .await?)
    }
}

#[cfg(target_arch = "wasm32")]
bindings::export!(Component with_types_in bindings);
