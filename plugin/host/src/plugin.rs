//! The plugin: compiled and linked once, instantiated for each call.
//!
//! By default a call has an instance of its own, and nothing of a call is left for the next one. With
//! [`Limits::instance_calls`] above 1, instances serve several calls, one at a time; one that fails is dropped.

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

/// An instance of the plugin.
struct Instance {
    store: Store<Context>,
    router: Router,
    /// Calls so far, the present one included.
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

    /// Runs `work` on an instance, within the limits and until the deadline of `context`.
    pub(crate) fn call<R>(
        &self,
        context: Context,
        work: impl FnOnce(&Router, &mut Store<Context>) -> wasmtime::Result<R>,
    ) -> Result<R, RouteError> {
        let time = context.deadline.saturating_duration_since(Instant::now());
        let mut instance = self.instance(context)?;
        instance.store.set_epoch_deadline(self.ticker.ticks(time));
        let result = work(&instance.router, &mut instance.store);
        let dropped = instance.store.data().log.dropped();
        if dropped > 0 {
            tracing::warn!(dropped, "plugin exceeded its log messages");
        }
        match result {
            Ok(result) => {
                self.release(instance);
                Ok(result)
            }
            // Dropping the instance resets its slot.
            Err(error) => Err(failure(&error, instance.store.data())),
        }
    }

    /// Returns an instance for one call: one that may serve another call, if there is one, else a fresh one.
    fn instance(&self, context: Context) -> Result<Instance, RouteError> {
        if self.limits.instance_calls == 1 {
            return self.instantiate(context);
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut instance) = idle else { return self.instantiate(context) };
        *instance.store.data_mut() = context;
        instance.calls += 1;
        Ok(instance)
    }

    fn instantiate(&self, context: Context) -> Result<Instance, RouteError> {
        let mut store = Store::new(&self.engine, context);
        store.limiter(|context| context);
        store.set_epoch_deadline(self.ticker.ticks(self.limits.deadline));
        // Bounds what the plugin passes to the host in one call like its own memory, as strings may overlap there.
        store.set_hostcall_fuel(self.limits.memory_bytes);
        match self.pre.instantiate(&mut store) {
            Ok(router) => Ok(Instance { store, router, calls: 1 }),
            Err(error) => Err(failure(&error, store.data())),
        }
    }

    /// Keeps an instance that may serve another call, without the user profiles of this one; drops any other.
    fn release(&self, mut instance: Instance) {
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

/// Returns why a call failed.
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
    // wasmtime does not export the type of this error.
    if reason.contains("hostcalls") {
        return RouteError::InvalidDecision(DecisionFault::TooLong { field: "decision" });
    }
    RouteError::Trapped { reason }
}
