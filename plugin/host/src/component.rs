//! The plugin: compiled and linked once, instantiated afresh for each call.
//!
//! A fresh instance keeps requests apart: nothing of one user's query is left in memory for the next.

mod convert;

use std::{fs, path::Path};

use wasmtime::{
    Engine, PoolConcurrencyLimitError, Store, Trap,
    component::{Component, HasSelf, Linker},
};

use self::bindings::{Router, RouterPre};
use crate::{DecisionFault, Limits, OpenError, RouteError, context::Context, engine};

/// Rust types of the WIT package.
pub(crate) mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit", world: "router", imports: { default: trappable } });
}

/// The loaded plugin.
pub(crate) struct Plugin {
    engine: Engine,
    pre: RouterPre<Context>,
    ticker: engine::Ticker,
    limits: Limits,
}

impl Plugin {
    /// Compiles the component at `path` and links it with the host's imports.
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self, OpenError> {
        let bytes = fs::read(path).map_err(|source| OpenError::PluginFile { path: path.to_owned(), source })?;
        let engine = engine::engine(limits)?;
        let pre = link(&engine, &bytes)
            .map_err(|error| OpenError::Plugin { path: path.to_owned(), reason: format!("{error:#}") })?;
        let ticker = engine::Ticker::start(&engine, limits.deadline)?;
        Ok(Self { engine, pre, ticker, limits: limits.clone() })
    }

    /// Runs `work` on a fresh instance within the limits.
    pub(crate) fn call<R>(
        &self,
        context: Context,
        work: impl FnOnce(&Router, &mut Store<Context>) -> wasmtime::Result<R>,
    ) -> Result<R, RouteError> {
        let mut store = Store::new(&self.engine, context);
        store.limiter(|context| context);
        store.set_epoch_deadline(self.ticker.ticks(self.limits.deadline));
        // What the plugin hands over in one call is bounded like its own memory: strings may overlap there.
        store.set_hostcall_fuel(self.limits.memory_bytes);
        let result = self.pre.instantiate(&mut store).and_then(|router| work(&router, &mut store));
        let context = store.data();
        if context.log.dropped() > 0 {
            tracing::warn!(dropped = context.log.dropped(), "plugin wrote more log messages than it may");
        }
        result.map_err(|error| failure(&error, context))
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
