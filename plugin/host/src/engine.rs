//! The WASM engine: one per router, with a pool of instance slots and an epoch clock that ends late calls.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{Limits, OpenError};

/// Core instances of one component: the plugin and the shim modules that the component linker adds.
const CORE_INSTANCES: u32 = 8;

/// Tables of one component: those of the plugin and of the shim modules.
const TABLES: u32 = 4;

/// Bytes of a memory that are reset by copying when its instance ends; pages past these are returned to the system, and the
/// next call takes a page fault for each. The plugin's initial memory is half of it.
const KEEP_RESIDENT: usize = 512 << 10;

/// Returns the engine for calls within `limits`.
pub(crate) fn engine(limits: &Limits) -> Result<Engine, OpenError> {
    // A memory starts as a copy-on-write mapping of the component's image. When an instance ends, after a trap too, its
    // memory and tables are reset, so that the next instance in the slot sees nothing of it.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits.concurrency)
        .total_core_instances(limits.concurrency.saturating_mul(CORE_INSTANCES))
        .total_memories(limits.concurrency)
        .total_tables(limits.concurrency.saturating_mul(TABLES))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(1)
        .max_tables_per_component(TABLES)
        .max_memory_size(limits.memory_bytes)
        .max_unused_warm_slots(limits.concurrency)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        // On Linux 6.7 and later the kernel tells which pages a call has written to, and only those are reset.
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| OpenError::Engine(format!("{error:#}")))
}

/// Advances the engine's epoch until it is dropped.
pub(crate) struct Ticker {
    tick: Duration,
    // Dropping the sender stops the thread.
    _stop: Sender<()>,
}

impl Ticker {
    /// Starts a thread that advances the epoch every sixteenth of `deadline`, but at least every 10 ms and at most every
    /// millisecond.
    pub(crate) fn start(engine: &Engine, deadline: Duration) -> Result<Self, OpenError> {
        let tick = (deadline / 16).clamp(Duration::from_millis(1), Duration::from_millis(10));
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.clone();
        let run = move || {
            while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        };
        thread::Builder::new()
            .name("personaroute-epoch".to_owned())
            .spawn(run)
            .map_err(|error| OpenError::Engine(format!("the epoch thread cannot start: {error}")))?;
        Ok(Self { tick, _stop: stop })
    }

    /// Returns the number of ticks that cover `time`; one more than `time` needs, as the current tick may be almost over.
    pub(crate) fn ticks(&self, time: Duration) -> u64 {
        let ticks = time.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        u64::try_from(ticks).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_cover_the_deadline() {
        let engine = engine(&Limits { concurrency: 1, ..Limits::default() }).unwrap();
        let ticker = Ticker::start(&engine, Duration::from_millis(160)).unwrap();
        assert_eq!(ticker.ticks(Duration::from_millis(160)), 17);
        assert_eq!(ticker.ticks(Duration::from_millis(1)), 2);
        assert_eq!(ticker.ticks(Duration::ZERO), 1);
    }
}
