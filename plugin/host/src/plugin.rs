//! The plugin: compiled and linked once, instantiated ahead of its calls.
//!
//! A fresh instance costs some 40 µs of page work, twice as much as everything else in a small decision, so instances
//! serve several calls, one at a time. A call that fails takes its instance with it.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use wasmtime::{
    Engine, PoolConcurrencyLimitError, Store, Trap,
    component::{Component, HasSelf, Linker},
};

use crate::{
    DecisionFault, Limits, OpenError, PluginSource, RouteError,
    affinity::AffinityPool,
    bindings::{Router, RouterPre},
    context::Context,
    engine,
};

/// The loaded plugin.
pub(crate) struct Plugin {
    engine: Engine,
    pre: RouterPre<Context>,
    ticker: engine::Ticker,
    limits: Limits,
    idle: Mutex<AffinityPool<Instance>>,
}

/// An instance of the plugin between calls or in one.
struct Instance {
    store: Store<Context>,
    router: Router,
    calls: u32,
}

impl Plugin {
    /// Compiles the component and links it with the host's imports.
    pub(crate) fn open(source: &PluginSource, limits: &Limits) -> Result<Self, OpenError> {
        let bytes =
            source.read().map_err(|error| OpenError::PluginFile { plugin: source.to_string(), source: error })?;
        let engine = engine::engine(limits)?;
        let pre = link(&engine, &bytes)
            .map_err(|error| OpenError::Plugin { plugin: source.to_string(), reason: format!("{error:#}") })?;
        let ticker = engine::Ticker::start(&engine, limits.deadline)?;
        Ok(Self { engine, pre, ticker, limits: limits.clone(), idle: Mutex::new(AffinityPool::new()) })
    }

    /// Runs `work` on an instance of its own, within the limits and the time that `context` has.
    pub(crate) fn call<R>(
        &self,
        context: Context,
        work: impl FnOnce(&Router, &mut Store<Context>) -> wasmtime::Result<R>,
    ) -> Result<R, RouteError> {
        let time = context.deadline.saturating_duration_since(Instant::now());
        let mut instance = self.instance(context)?;
        instance.calls += 1;
        instance.store.set_epoch_deadline(self.ticker.ticks(time));
        let result = work(&instance.router, &mut instance.store);
        let dropped = instance.store.data().log.dropped();
        if dropped > 0 {
            tracing::warn!(dropped, "plugin wrote more log messages than it may");
        }
        match result {
            Ok(result) => {
                self.keep(instance);
                Ok(result)
            }
            Err(error) => Err(failure(&error, instance.store.data())),
        }
    }

    /// Returns the instance that this thread used last, whose memory is warm, or another one, or a fresh one.
    fn instance(&self, context: Context) -> Result<Instance, RouteError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut instance) = idle {
            *instance.store.data_mut() = context;
            return Ok(instance);
        }
        let mut store = Store::new(&self.engine, context);
        store.limiter(|context| context);
        store.set_epoch_deadline(self.ticker.ticks(self.limits.deadline));
        // What the plugin hands over in one call is bounded like its own memory: strings may overlap there.
        store.set_hostcall_fuel(self.limits.memory_bytes);
        match self.pre.instantiate(&mut store) {
            Ok(router) => Ok(Instance { store, router, calls: 0 }),
            Err(error) => Err(failure(&error, store.data())),
        }
    }

    /// Keeps an instance for the next call, without the user data of this one.
    fn keep(&self, mut instance: Instance) {
        if instance.calls < self.limits.instance_calls {
            instance.store.data_mut().users.clear();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).put(instance);
        }
    }
}

fn link(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<RouterPre<Context>> {
    let component = Component::new(engine, bytes)?;
    let mut linker = Linker::<Context>::new(engine);
    Router::add_to_linker::<_, HasSelf<_>>(&mut linker, |context| context)?;
    RouterPre::new(linker.instantiate_pre(&component)?)
}

/// Names the way in which a call ended without a result.
fn failure(error: &wasmtime::Error, context: &Context) -> RouteError {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return RouteError::Timeout;
    }
    if context.out_of_memory {
        return RouteError::OutOfMemory;
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return RouteError::Overloaded;
    }
    let reason = error.root_cause().to_string();
    // wasmtime keeps the type of this error to itself.
    if reason.contains("hostcalls") {
        return RouteError::InvalidDecision(DecisionFault::TooLong { field: "decision" });
    }
    RouteError::Trapped { reason }
}
