//! The Wasm engine: its limits, the epochs for CPU deadlines, and the cache of compiled code.

use crate::directories::private_directory;
use crate::error::HostError;
use std::path::Path;
use std::time::Duration;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, ProfilingStrategy,
};

/// Length of one epoch, in which the CPU time of guests is measured.
pub const EPOCH: Duration = Duration::from_millis(10);
/// Maximum number of concurrent instances of the composed component.
pub const INSTANCES_MAX: u32 = 256;
/// Maximum number of core instances, memories and tables in one instance of the composed component.
const CORE_INSTANCES_PER_INSTANCE_MAX: u32 = 96;
const MEMORIES_PER_INSTANCE_MAX: u32 = 12;
const TABLES_PER_INSTANCE_MAX: u32 = 24;
/// Maximum numbers in the pool.
const CORE_INSTANCES_MAX: u32 = INSTANCES_MAX * CORE_INSTANCES_PER_INSTANCE_MAX;
const MEMORIES_MAX: u32 = INSTANCES_MAX * MEMORIES_PER_INSTANCE_MAX;
const TABLES_MAX: u32 = INSTANCES_MAX * TABLES_PER_INSTANCE_MAX;
const STACKS_MAX: u32 = INSTANCES_MAX * 4;
/// Maximum size of a linear memory.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Creates the engine, which caches compiled code in `cache`. With `perf_map`, it writes the names of the compiled
/// functions for `perf`.
pub fn new(cache: &Path, perf_map: bool) -> Result<Engine, HostError> {
    private_directory(cache)?;
    let mut settings = CacheConfig::new();
    settings.with_directory(cache);
    let cache =
        Cache::new(settings).map_err(|error| HostError::configuration(format!("{}: {error:#}", cache.display())))?;
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    config.cache(Some(cache));
    if perf_map {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    config.allocation_strategy(pooling());
    let engine = Engine::new(&config).or_else(|_| {
        // The pool does not fit into a small address space. Without it, instances start more slowly.
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    });
    engine.map_err(|error| HostError::configuration(format!("cannot start the Wasm engine: {error:#}")))
}

fn pooling() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(CORE_INSTANCES_MAX)
        .total_memories(MEMORIES_MAX)
        .total_tables(TABLES_MAX)
        .total_stacks(STACKS_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_PER_INSTANCE_MAX)
        .max_memories_per_component(MEMORIES_PER_INSTANCE_MAX)
        .max_tables_per_component(TABLES_PER_INSTANCE_MAX)
        .max_component_instance_size(8 << 20)
        .max_core_instance_size(8 << 20)
        .table_elements(100_000)
        .max_memory_size(MEMORY_BYTES_MAX)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(1 << 19);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Advances the engine's epoch on a thread of its own, for as long as the engine exists.
pub fn start_epochs(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epochs".into()).spawn(move || {
        loop {
            std::thread::sleep(EPOCH);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
