//! The gateway as a whole: what is built once when the process starts.
//!
//! A connection passes these layers, from the outside in: the listener, which limits open connections (`listeners`); the
//! worker thread and the TLS handshake (`connect`); the connection, which limits heads and slow clients
//! ([`crate::server::Connections`]); then the admin endpoints ([`crate::admin`]) or the proxy ([`crate::proxy`]).

mod error;
pub mod assets;
mod open;
mod spending;
mod listeners;
mod workers;
mod shutdown;
mod connect;
mod serve;
mod reload;
mod restart_keys;
mod probing;
mod sweeping;
mod export;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use self::export::Exporter;
pub use self::{
    error::StartError,
    listeners::Listeners,
    open::{check, open, snapshot},
    reload::Reload,
    workers::Workers,
};
use crate::{
    config::{Config, Loaded},
    learning::Learning,
    proxy::{Proxy, Snapshot},
    routing::Scorer,
    server::Connections,
    state::StoreSync,
    telemetry::{Health, Metrics, Tracer},
    upstream::{
        ModelRegistry,
        http_client::{self, ConnectionLimits, HttpClient},
    },
};

/// The gateway: a proxy behind its listeners.
#[derive(Debug)]
pub struct App {
    proxy: Arc<Proxy>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    connections: Connections,
    permits: Arc<Semaphore>,
    handshake: Duration,
    drain: Duration,
    /// Sends spans, when requests are traced.
    exporter: Option<Exporter>,
    /// Sends spending to the shared store, when one is configured.
    store_sync: Option<StoreSync>,
    /// The threads that serve connections; without any, the runtime that accepts them serves them.
    workers: Workers,
}

impl App {
    /// Opens the router that `loaded` names and builds the gateway with it.
    ///
    /// # Errors
    ///
    /// Fails when a part is missing or does not fit.
    pub fn build(loaded: &Loaded) -> Result<Self, StartError> {
        Self::with_snapshot(open(loaded)?)
    }

    /// Builds the gateway with `scorer` as its router.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no threads, or the state file cannot be used.
    pub fn assemble(config: Config, models: ModelRegistry, scorer: &Arc<dyn Scorer>) -> Result<Self, StartError> {
        Self::with_snapshot(snapshot(config, models, scorer)?)
    }

    fn with_snapshot(snapshot: Snapshot) -> Result<Self, StartError> {
        let config = &snapshot.config;
        let (metrics, health) = (Arc::new(Metrics::new(config.limits.max_tracked_users)), Arc::<Health>::default());
        let spending = spending::open(config)?;
        let connections = Connections::new(&config.limits, &config.timeouts);
        let permits = Arc::new(Semaphore::new(config.limits.connections));
        let (handshake, drain) = (config.timeouts.handshake, config.timeouts.drain);
        let (tracer, exporter) = tracing_to(config, &metrics)?;
        let snapshot = Arc::new(snapshot);
        let (ledger, user_ids) = (spending.ledger, spending.user_ids);
        let learning = snapshot.config.learning.as_ref().map(|config| Learning::open(config, &metrics)).transpose()?;
        let proxy = Proxy::new(snapshot, ledger, Arc::clone(&metrics), Arc::clone(&health), user_ids);
        Ok(Self {
            proxy: Arc::new(proxy.with_tracer(tracer).with_learning(learning.map(Arc::new))),
            metrics,
            health,
            connections,
            permits,
            handshake,
            drain,
            exporter,
            store_sync: spending.sync,
            workers: Workers::default(),
        })
    }

    /// Returns the same gateway, its connections served by `workers`.
    #[must_use]
    pub fn on(self, workers: Workers) -> Self {
        Self { workers, ..self }
    }

    /// Returns the proxy, for requests that do not come over a socket.
    pub fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }
}

/// Returns what collects spans and what sends them, if `config` has traces.
fn tracing_to(config: &Config, metrics: &Arc<Metrics>) -> Result<(Option<Arc<Tracer>>, Option<Exporter>), StartError> {
    let Some(traces) = &config.traces else { return Ok((None, None)) };
    let (tracer, spans) = Tracer::new(traces.sampling, Arc::clone(metrics));
    let limits = ConnectionLimits { connect: config.timeouts.connect, max_idle: config.limits.idle_connections };
    let client = HttpClient::new(&*http_client::tls()?, limits);
    Ok((Some(Arc::new(tracer)), Some(Exporter::new(traces, client, spans, Arc::clone(metrics)))))
}
