//! The state of one instance: its WASI context, outbound HTTP and limits.

use crate::application_log::ApplicationLog;
use crate::clock::Clock;
use crate::cpu::CpuWatch;
use crate::engine::MEMORY_BYTES_MAX;
use crate::outbound::{Network, Outbound};
use crate::output::Output;
use crate::postgres::Pools;
use crate::sqlite::Databases;
use crate::store::HostStore;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::ResourceTable;
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// What the application is granted, the same for every instance that uses one bundle.
#[derive(Clone)]
pub struct Grants {
    pub variables: Arc<BTreeMap<String, String>>,
    pub environment: BTreeMap<String, String>,
    /// Directories on this machine and the paths at which guests see them, read-only.
    pub files: Vec<(PathBuf, String)>,
    pub databases: Arc<Databases>,
    /// Present if it replaces the store's component.
    pub store: Option<Arc<HostStore>>,
    pub postgres: Arc<Pools>,
    pub network: Arc<Network>,
    pub clock: Clock,
    pub log: Arc<ApplicationLog>,
}

/// The data of one instance's store.
pub struct GuestState {
    pub variables: Arc<BTreeMap<String, String>>,
    pub databases: Arc<Databases>,
    pub store: Option<Arc<HostStore>>,
    pub postgres: Arc<Pools>,
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    limits: StoreLimits,
}

impl Grants {
    /// Creates the store of one instance.
    pub fn store(&self, engine: &Engine, cpu: &Arc<CpuWatch>) -> wasmtime::Result<Store<GuestState>> {
        let mut wasi = WasiCtx::builder();
        wasi.stdout(Output::new(&self.log)).stderr(Output::new(&self.log)).wall_clock(self.clock);
        // Guests read a few small files when an instance starts. Moving each read to another thread would take far
        // longer than the read.
        wasi.allow_blocking_current_thread(true);
        for (name, value) in &self.environment {
            wasi.env(name, value);
        }
        for (source, destination) in &self.files {
            wasi.preopened_dir(source, destination, FsPerms::ReadOnly)?;
        }
        let state = GuestState {
            variables: Arc::clone(&self.variables),
            databases: Arc::clone(&self.databases),
            store: self.store.clone(),
            postgres: Arc::clone(&self.postgres),
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound(Arc::clone(&self.network)),
            limits: StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build(),
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        cpu.attach(&mut store);
        Ok(store)
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}
