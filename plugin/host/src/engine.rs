//! The WASM engine: one per router, with a pool of instance slots and an epoch clock that ends late calls.

use std::{
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{Limits, OpenError};

/// Core instances of one component: the plugin and the shim modules that the component linker adds.
const CORE_INSTANCES: u32 = 8;

/// Tables of one component: those of the plugin and of the shim modules.
const TABLES: u32 = 4;

/// Memory of a slot that is cleared by writing zeros instead of being given back to the system: the plugin touches less
/// for a request, and a page fault costs more than clearing a page.
const KEEP_RESIDENT: usize = 256 << 10;

/// Returns the engine for calls within `limits`.
pub(crate) fn engine(limits: &Limits) -> Result<Engine, OpenError> {
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
        .table_keep_resident(KEEP_RESIDENT);
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
