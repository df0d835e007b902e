//! The Wasm engine: its limits, its clock for CPU deadlines, and the cache of compiled code.

use crate::commands::Failure;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// Length of one epoch: how finely CPU time of guests is counted.
pub const EPOCH: Duration = Duration::from_millis(10);
/// Most instances of the composed component at once.
pub const INSTANCES_MAX: u32 = 256;
/// Most core instances, memories and tables that one instance of the composed component may have.
const CORE_INSTANCES_PER_INSTANCE_MAX: u32 = 96;
const MEMORIES_PER_INSTANCE_MAX: u32 = 12;
const TABLES_PER_INSTANCE_MAX: u32 = 24;
/// Largest linear memory of one component.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Makes the engine, with compiled code cached under `cache`.
pub fn new(cache: &Path) -> Result<Engine, Failure> {
    private_directory(cache)?;
    let mut settings = CacheConfig::new();
    settings.with_directory(cache);
    let cache = Cache::new(settings)
        .map_err(|error| Failure::usage(format!("{}: {error:#}", cache.display())))?;
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    config.cache(Some(cache));
    config.allocation_strategy(pooling());
    let engine = Engine::new(&config).or_else(|_| {
        // A machine with little address space can't hold the pool: slower instances, same behaviour.
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Engine::new(&config)
    });
    engine.map_err(|error| Failure::usage(format!("the Wasm engine does not start: {error:#}")))
}

fn pooling() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES_MAX)
        .total_core_instances(INSTANCES_MAX * CORE_INSTANCES_PER_INSTANCE_MAX)
        .total_memories(INSTANCES_MAX * MEMORIES_PER_INSTANCE_MAX)
        .total_tables(INSTANCES_MAX * TABLES_PER_INSTANCE_MAX)
        .total_stacks(INSTANCES_MAX * 4)
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

/// Advances the engine's epoch for as long as the process lives.
pub fn start_epochs(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epochs".into())
        .spawn(move || {
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

/// Where compiled code is kept: the user's cache directory, else the state directory.
pub fn cache_directory(state: &Path) -> PathBuf {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map_or_else(|| state.join("cache"), |cache| cache.join("vouchsafe"))
}

/// Makes `path` with mode 0700. One that is there and ours is closed to others; one that others
/// own or could write to is refused, because whoever filled it chooses the code that runs here.
pub fn private_directory(path: &Path) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::usage(format!("{}: {error}", path.display()));
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(fail)?;
    let found = std::fs::metadata(path).map_err(fail)?;
    let us = std::fs::metadata("/proc/self").map_or(found.uid(), |process| process.uid());
    let mode = found.permissions().mode();
    if found.uid() != us || mode & 0o022 != 0 {
        let message = format!(
            "{} belongs to other users or can be written by them",
            path.display()
        );
        return Err(Failure::usage(message).hint("remove it, or choose another directory"));
    }
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_ours_is_closed_and_one_that_others_can_write_is_refused() {
        let base = std::env::temp_dir().join(format!("private-{}", std::process::id()));
        for (mode, accepted) in [
            (0o700, true),
            (0o755, true),
            (0o750, true),
            (0o770, false),
            (0o707, false),
        ] {
            let path = base.join(format!("{mode:o}"));
            std::fs::create_dir_all(&path).expect("made");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(private_directory(&path).is_ok(), accepted, "{mode:o}");
            let after = std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o777;
            assert_eq!(after, if accepted { 0o700 } else { mode }, "{mode:o}");
        }
        let new = base.join("new/one");
        private_directory(&new).expect("made");
        assert_eq!(
            std::fs::metadata(&new).expect("there").permissions().mode() & 0o777,
            0o700
        );
        std::fs::remove_dir_all(&base).expect("removed");
    }
}
