//! Links the imports of the composed component to the host: nothing but what the manifest grants.

use crate::components::CryptoPlace;
use crate::compose::{Composite, Need, need_of};
use crate::crypto;
use crate::error::HostError;
use crate::spin;
use crate::spin_postgres;
use crate::state::GuestState;
use crate::store;
use vouchsafe_manifest::{Capability, Manifest};
use wasmtime::component::Linker;

/// Links what the composite imports and the manifest grants.
pub fn link(
    engine: &wasmtime::Engine,
    manifest: &Manifest,
    composite: &Composite,
    place: CryptoPlace,
) -> Result<Linker<GuestState>, HostError> {
    let mut linker = Linker::new(engine);
    let mut link = || -> wasmtime::Result<()> {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        wasmtime_wasi_http::p3::bindings::http::types::add_to_linker::<_, wasmtime_wasi_http::WasiHttp>(
            &mut linker,
            wasmtime_wasi_http::WasiHttpView::http,
        )
    };
    let failed =
        |error: wasmtime::Error| HostError::configuration(format!("cannot link the host functions: {error:#}"));
    link().map_err(failed)?;
    let root = manifest.root().map_err(|error| HostError::configuration(error.to_string()))?;
    if composite.host_store.is_some() {
        store::add_to_linker(&mut linker).map_err(failed)?;
    }
    for import in &composite.imports {
        let capability = match need_of(import) {
            Need::Granted(capability) => capability,
            Need::HostCrypto if place == CryptoPlace::Wasm => {
                return Err(HostError::configuration(format!(
                    "component `{}` imports `{import}`, which --wasm-crypto does not provide",
                    manifest.root_id()
                ))
                .hint("build the component with its own arithmetic, or leave out --wasm-crypto"));
            }
            Need::HostCrypto => {
                crypto::add_to_linker(&mut linker).map_err(failed)?;
                continue;
            }
            Need::Ambient | Need::Emptiable(_) | Need::Unknown => continue,
        };
        let (granted, added) = match capability {
            Capability::Variables => (true, spin::add_variables(&mut linker)),
            Capability::SqliteDatabases => (!root.sqlite_databases.is_empty(), spin::add_sqlite(&mut linker)),
            Capability::AllowedOutboundHosts => (
                !manifest.allowed_outbound_hosts().is_empty(),
                if import.starts_with("spin:postgres/") {
                    spin_postgres::add_to_linker(&mut linker)
                } else {
                    wasmtime_wasi_http::p3::bindings::http::client::add_to_linker::<_, wasmtime_wasi_http::WasiHttp>(
                        &mut linker,
                        wasmtime_wasi_http::WasiHttpView::http,
                    )
                },
            ),
            Capability::Environment | Capability::Files => (true, Ok(())),
        };
        if !granted {
            return Err(HostError::configuration(format!(
                "component `{}` imports `{import}`, but the manifest grants it no `{}`",
                manifest.root_id(),
                capability.name()
            )));
        }
        added.map_err(failed)?;
    }
    Ok(linker)
}
