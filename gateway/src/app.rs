//! Builds everything once, spawns every task, and drains.
//!
//! A connection passes, from the outside in: the listener, which permits so many at a time; the connection, which bounds
//! heads and slow clients; then by address the admin answers, or the proxy with its phases.

pub mod assets;
mod probing;
mod start;
mod sweeping;
mod reload;
mod export;
mod spending;
mod workers;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use personaroute_bundle::folder::Bundle;
use personaroute_host::{Limits, OpenError, Provider, Router, RouterOptions};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    assets::{AssetError, Assets},
    export::Exporter,
    start::Start,
};
pub use self::{reload::Reload, workers::Workers};
use crate::{
    admin,
    config::{
        self, Config, Loaded,
        look::{self, Looks},
        raw,
    },
    proxy::{Proxy, Snapshot, retry::RetryBudget},
    routing::{self, RoutePool, Scorer},
    server::{
        self, Connections,
        tls::{self, TlsError},
    },
    state::{FileStoreError, SharedStoreError, StoreSync},
    telemetry::{Health, Metrics, Tracer},
    upstream::{
        Body, ModelRegistry,
        http_client::{self, HttpClient},
    },
};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit the bundle.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The bundle, the plugin or the runtime is not there.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The router cannot be opened.
    #[error("the router cannot be opened")]
    Router(#[from] OpenError),
    /// The file of what was spent cannot be used.
    #[error(transparent)]
    State(#[from] FileStoreError),
    /// The store that gateways share cannot be set up.
    #[error("the shared store cannot be set up")]
    Shared(#[from] SharedStoreError),
    /// No TLS for upstreams.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The listener's certificates cannot be used.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The system gives no thread.
    #[error("no thread for the router")]
    Thread(#[source] io::Error),
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How long the last spans and the last spending may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    /// Serve connections; without any, the runtime that accepts them does.
    workers: Workers,
}

/// Which listener a connection came through.
#[derive(Debug, Clone, Copy)]
enum Door {
    Main,
    Admin,
}

/// All tasks, and the two moments of leaving: no new work, and no more patience.
#[derive(Debug, Clone, Default)]
struct Turns {
    tasks: TaskTracker,
    stop: CancellationToken,
    cut: CancellationToken,
}

/// The listeners, bound and not yet served: their addresses are known before the first request.
#[derive(Debug)]
pub struct Bound {
    main: TcpListener,
    admin: Option<TcpListener>,
}

impl Bound {
    /// Binds the addresses that `config` names.
    ///
    /// # Errors
    ///
    /// Fails when an address is taken or not this machine's.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let main = listen(config.listen).await?;
        let admin = match config.admin {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok(Self { main, admin })
    }

    /// Returns the address of the main listener.
    ///
    /// # Errors
    ///
    /// Fails when the system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

impl Turns {
    /// Returns the turns of one connection, whose own tokens it can look at without others in the way.
    fn of_one(&self) -> Self {
        Self { tasks: self.tasks.clone(), stop: self.stop.child_token(), cut: self.cut.child_token() }
    }

    /// Takes no new work, and waits for what runs until it has had its time.
    async fn end(&self, time: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(time, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "the drain deadline passed, open connections are cut");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

impl App {
    /// Opens the router that `loaded` names and builds the gateway on it.
    ///
    /// # Errors
    ///
    /// Fails when a part is missing or does not fit.
    pub fn build(loaded: &Loaded) -> Result<Self, StartError> {
        Self::around(open(loaded)?)
    }

    /// Builds the gateway on `scorer`.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no threads, or the state's file cannot be used.
    pub fn assemble(config: Config, models: ModelRegistry, scorer: &Arc<dyn Scorer>) -> Result<Self, StartError> {
        Self::around(snapshot(config, models, scorer)?)
    }

    fn around(snapshot: Snapshot) -> Result<Self, StartError> {
        let config = &snapshot.config;
        let (metrics, health) = (Arc::new(Metrics::new(config.limits.max_tracked_users)), Arc::<Health>::default());
        let (ledger, store_sync) = spending::open(config)?;
        let connections = Connections::new(&config.limits, &config.timeouts);
        let permits = Arc::new(Semaphore::new(config.limits.connections));
        let (handshake, drain) = (config.timeouts.handshake, config.timeouts.drain);
        let (tracer, exporter) = tracing_to(config, &metrics)?;
        let proxy =
            Proxy::new(Arc::new(snapshot), ledger, Arc::clone(&metrics), Arc::clone(&health)).with_tracer(tracer);
        Ok(Self {
            proxy: Arc::new(proxy),
            metrics,
            health,
            connections,
            permits,
            handshake,
            drain,
            exporter,
            store_sync,
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

    /// Serves `bound` until `leave` is ready, then finishes running requests until the drain deadline.
    pub async fn serve(mut self, bound: Bound, reload: Option<Reload>, leave: impl Future<Output = ()>) {
        let turns = Turns::default();
        // What goes on until the last request has ended.
        let (last, behind) = (CancellationToken::new(), TaskTracker::new());
        if let Some(exporter) = self.exporter.take() {
            behind.spawn(exporter.run(last.clone()));
        }
        if let Some(store_sync) = self.store_sync.take() {
            behind.spawn(store_sync.run(last.clone()));
        }
        behind.close();
        let app = Arc::new(self);
        let address = bound.address();
        // Who watches the gateway sees it drain.
        let watching = Turns::default();
        if let Some(admin) = bound.admin {
            watching.tasks.spawn(Arc::clone(&app).listen(admin, Door::Admin, watching.clone()));
        }
        if let Some(reload) = reload {
            let config = app.proxy.snapshot().config.clone();
            let start = Start { address: address.unwrap_or(config.listen), config };
            let watch = reload.run(Arc::clone(&app.proxy), Arc::clone(&app.metrics), start, turns.stop.clone());
            turns.tasks.spawn(watch);
        }
        turns.tasks.spawn(probing::run(Arc::clone(&app.proxy), Arc::clone(&app.metrics), turns.stop.clone()));
        turns.tasks.spawn(sweeping::run(Arc::clone(&app.proxy), turns.stop.clone()));
        turns.tasks.spawn(Arc::clone(&app).listen(bound.main, Door::Main, turns.clone()));
        leave.await;
        app.health.drain();
        tracing::info!(tasks = turns.tasks.len(), deadline_ms = app.drain.as_millis(), "draining");
        turns.end(app.drain).await;
        // The last requests' spans and spending leave when there are no more requests.
        last.cancel();
        if tokio::time::timeout(LAST_WORDS, behind.wait()).await.is_err() {
            tracing::warn!("the last spans or spending are lost, the trace collector or the shared store is too slow");
        }
        watching.end(LAST_WORDS).await;
        tracing::info!("drained");
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, door: Door, turns: Turns) {
        let permits = match door {
            Door::Main => Arc::clone(&self.permits),
            // Operators and their scrapers are few; permits of their own keep them from waiting behind clients.
            Door::Admin => Arc::new(Semaphore::new(64)),
        };
        let serve = |stream: std::net::TcpStream, _peer: SocketAddr, permit: OwnedSemaphorePermit| {
            let connection = Arc::clone(&self).connection(stream, door, permit, turns.of_one());
            match self.workers.next().filter(|_| matches!(door, Door::Main)) {
                Some((worker, seat)) => {
                    let seated = async move {
                        connection.await;
                        drop(seat);
                    };
                    turns.tasks.spawn_on(seated, worker);
                }
                None => {
                    turns.tasks.spawn(connection);
                }
            }
        };
        server::accept(listener, permits, turns.stop.clone(), serve).await;
    }

    async fn connection(
        self: Arc<Self>,
        stream: std::net::TcpStream,
        door: Door,
        _permit: OwnedSemaphorePermit,
        turns: Turns,
    ) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be served");
                return;
            }
        };
        // Events must not wait for a full packet.
        let _best_effort = stream.set_nodelay(true);
        let settings = match door {
            Door::Main => self.proxy.snapshot().tls.clone(),
            Door::Admin => None,
        };
        let Some(settings) = settings else {
            let answer = |request| Arc::clone(&self).answer(door, request);
            return self.connections.serve(stream, answer, turns.stop, turns.cut).await;
        };
        let handshake = tls::handshake(stream, settings, self.handshake);
        let made = tokio::select! {
            made = handshake => made,
            () = turns.cut.cancelled() => return,
        };
        match made {
            Ok((stream, certificate)) => {
                let answer = |mut request: Request<Incoming>| {
                    certificate.map(|shown| request.extensions_mut().insert(shown));
                    Arc::clone(&self).answer(door, request)
                };
                self.connections.serve(stream, answer, turns.stop, turns.cut).await;
            }
            Err(error) => {
                self.metrics.handshake_failed(error.as_str());
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(%error, cause, "a TLS connection was not made");
            }
        }
    }

    async fn answer(self: Arc<Self>, door: Door, request: Request<Incoming>) -> Response<Body> {
        match door {
            Door::Main => self.proxy.handle(request).await,
            Door::Admin => {
                let is_local = self.proxy.snapshot().config.admin.is_some_and(|admin| admin.ip().is_loopback());
                admin::answer(&request, is_local, &self.health, &self.metrics)
            }
        }
    }
}

/// Returns what takes spans and what sends them, when `config` wants traces.
fn tracing_to(config: &Config, metrics: &Arc<Metrics>) -> Result<(Option<Arc<Tracer>>, Option<Exporter>), StartError> {
    let Some(traces) = &config.traces else { return Ok((None, None)) };
    let (tracer, spans) = Tracer::new(traces.sampling, Arc::clone(metrics));
    let client = HttpClient::new(&http_client::tls()?, config.timeouts.connect);
    Ok((Some(Arc::new(tracer)), Some(Exporter::new(traces, client, spans, Arc::clone(metrics)))))
}

/// Opens the router that `loaded` names and puts everything that a reload replaces together; blocks.
///
/// # Errors
///
/// Fails when a part is missing or does not fit.
pub fn open(loaded: &Loaded) -> Result<Snapshot, StartError> {
    let assets = Assets::locate(loaded)?;
    let mut looks = Looks::new();
    for file in assets.watched() {
        look::remember(&mut looks, &file);
    }
    let router = Router::open(&options(&loaded.raw, assets))?;
    let models = models(loaded, router.bundle())?;
    let scorer: Arc<dyn Scorer> = Arc::new(router);
    let mut snapshot = snapshot(loaded.config.clone(), models, &scorer)?;
    snapshot.files.append(&mut looks);
    Ok(snapshot)
}

/// Puts together what a reload replaces.
///
/// # Errors
///
/// Fails when the listener's certificates cannot be used, or the system gives no threads.
pub fn snapshot(config: Config, models: ModelRegistry, scorer: &Arc<dyn Scorer>) -> Result<Snapshot, StartError> {
    let tls = config.tls.as_ref().map(tls::settings).transpose()?;
    let files = config.files.clone();
    let raw::Router { threads, queue, batch, deadline, .. } = config.router;
    let routing = RoutePool::start(scorer, routing::PoolLimits { threads, queue, batch, deadline });
    let routing = routing.map_err(StartError::Thread)?;
    Ok(Snapshot { retry_budget: RetryBudget::new(config.retry.budget), config, models, routing, tls, files })
}

/// Joins the configuration with the bundle; faults name their place in the file.
fn models(loaded: &Loaded, bundle: &Bundle) -> Result<ModelRegistry, StartError> {
    let refused = |(place, fault)| config::Error::Invalid { path: loaded.path.clone(), place, fault };
    loaded.config.check_tasks(bundle.tasks.tasks.iter().map(|task| task.name.as_str())).map_err(refused)?;
    let models = ModelRegistry::build(&loaded.config, &bundle.catalog, &http_client::tls()?);
    Ok(models.map_err(refused)?)
}

/// Checks `loaded` against its bundle without opening the router, as `personaroute check` does.
///
/// # Errors
///
/// Fails when the bundle is missing or refused, or the configuration does not fit it.
pub fn check(loaded: &Loaded) -> Result<ModelRegistry, StartError> {
    loaded.config.tls.as_ref().map(tls::settings).transpose()?;
    spending::check(&loaded.config)?;
    let assets = Assets::locate(loaded)?;
    let bundle = Bundle::open(assets.bundle).map_err(OpenError::Bundle)?;
    models(loaded, &bundle)
}

fn options(raw: &raw::Config, assets: Assets) -> RouterOptions {
    let router = &raw.router;
    RouterOptions {
        onnxruntime: assets.onnxruntime,
        encoder: assets.encoder,
        provider: match router.provider {
            raw::Provider::Cpu => Provider::Cpu,
            raw::Provider::Cuda => Provider::Cuda { device: router.cuda_device },
        },
        limits: Limits {
            memory_bytes: router.memory,
            deadline: router.deadline,
            log_messages: router.log_messages,
            encoder_queue: router.encoder_queue,
            encoder_cache: router.encoder_cache,
            instance_calls: raw.plugin.instance_calls,
            ..Limits::default()
        },
        ..RouterOptions::new(assets.bundle, assets.plugin)
    }
}
