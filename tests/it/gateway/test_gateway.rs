//! A running gateway for one test.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context as _, Result};
use personaroute_bundle::catalog::Catalog;
use personaroute_gateway::{
    app::{App, Listeners, Reload, Workers},
    config,
    routing::Scorer,
    upstream::{ModelRegistry, http_client},
};
use personaroute_harness::{
    upstream::FakeUpstream,
    wait::{self, Wait},
    wire,
};
use personaroute_host::{Decision, RouteError, RouteRequest, Score, UserState};
use tokio::sync::oneshot;

/// The environment of a gateway under test: every variable but OpenTelemetry's is an upstream's key.
pub(crate) fn environment(name: &str) -> Option<String> {
    (!name.starts_with("OTEL_")).then(|| "sk-upstream".to_owned())
}

/// A gateway on ports of its own; it drains when dropped.
pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    leave: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestGateway {
    /// Starts a gateway with `configuration` and a scorer.
    pub(crate) fn start(configuration: &str, scorer: impl Scorer) -> Result<Self> {
        Self::start_watching(configuration, scorer, |_| None)
    }

    /// Starts a gateway that reloads as `reload` says, which is given the scorer.
    pub(crate) fn start_watching(
        configuration: &str,
        scorer: impl Scorer,
        reload: impl FnOnce(&Arc<dyn Scorer>) -> Option<Reload>,
    ) -> Result<Self> {
        let loaded = config::parse(Path::new("test.yaml"), configuration, &environment)?;
        let models = ModelRegistry::build(&loaded.config, &Catalog::default(), &http_client::tls()?);
        let models = models.map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
        let scorer: Arc<dyn Scorer> = Arc::new(scorer);
        let reload = reload(&scorer);
        let app = App::assemble(loaded.config.clone(), models, &scorer)?.on(Workers::start(2)?);
        let (leave, left) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        // A runtime of its own: the test's must not be the one that serves.
        let thread = std::thread::Builder::new().name("gateway".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listeners = Listeners::bind(&loaded.config).await.expect("ports of the loopback");
                tell.send((listeners.address(), listeners.admin_address())).expect("the test waits");
                let left = async {
                    let _ = left.await;
                };
                app.serve(listeners, reload, left).await;
            });
        })?;
        let (address, admin) = told.recv_timeout(wait::LIMIT).context("the gateway did not start")?;
        let (address, admin) = (address?, admin.context("the admin listener")?);
        Ok(Self { address, admin, leave: Some(leave), thread: Some(thread) })
    }

    /// Starts a gateway in front of `cheap` and `premium`, both behind `auto`, with `more` configuration.
    pub(crate) fn between(cheap: &FakeUpstream, premium: &FakeUpstream, more: &str) -> Result<Self> {
        Self::start(&two(cheap, premium, more), ByPrice)
    }

    /// Waits until `/metrics` has `text`; returns the page.
    pub(crate) async fn metric(&self, text: &str) -> Result<String> {
        let page = || async { Ok::<_, anyhow::Error>(wire::get(self.admin, "/metrics").await?.text()) };
        let mut metrics = page().await?;
        let wait = Wait::new(format_args!("`{text}` in /metrics"));
        while !metrics.contains(text) {
            wait.pause().await;
            metrics = page().await?;
        }
        Ok(metrics)
    }

    /// Begins to drain, as on SIGTERM.
    pub(crate) fn leave(&mut self) {
        self.leave.take();
    }

    /// Returns whether the gateway has stopped.
    pub(crate) fn has_left(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Returns a configuration of two LLMs at two upstreams behind `auto`.
pub(crate) fn two(cheap: &FakeUpstream, premium: &FakeUpstream, more: &str) -> String {
    format!(
        "
version: 1
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams:
  - {{name: a, kind: openai, base_url: '{}', api_key: '${{KEY}}'}}
  - {{name: b, kind: openai, base_url: '{}'}}
models:
  - {{llm: cheap, upstream: a, name: cheap-1, input_price: 1, output_price: 2}}
  - {{llm: premium, upstream: b, name: premium-1, input_price: 10, output_price: 20}}
virtual_models:
  - {{name: auto}}
{more}
",
        cheap.base_url(),
        premium.base_url()
    )
}

/// Ranks the dearest first for a preference of at least one half, and otherwise the cheapest.
pub(crate) struct ByPrice;

impl Scorer for ByPrice {
    fn knows(&self, user: &str) -> bool {
        user == "ada"
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        let sign = if request.preference.unwrap_or(0.0) < 0.5 { -1.0 } else { 1.0 };
        let score = |candidate: &personaroute_host::Candidate| Score {
            llm: candidate.llm.clone(),
            utility: sign * candidate.input_price,
            effect: candidate.input_price,
            cost: candidate.input_price,
            uncertainty: 0.0,
            excluded: None,
        };
        let mut ranking: Vec<Score> = request.candidates.iter().map(score).collect();
        ranking.sort_by(|a, b| b.utility.total_cmp(&a.utility));
        let user_state = match &request.user {
            Some(user) if self.knows(user) => UserState::Known,
            Some(_) => UserState::New,
            None => UserState::Anonymous,
        };
        let why = format!("asked: {}", request.text);
        Ok(Decision { ranking, user_state, task: None, why, elapsed: Duration::from_micros(50) })
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        requests.iter().map(|request| self.route(request)).collect()
    }
}

/// Decides by price and at once, and counts the calls that were made for it to do so.
#[derive(Clone, Default)]
pub(crate) struct Inline {
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Scorer for Inline {
    fn knows(&self, user: &str) -> bool {
        ByPrice.knows(user)
    }

    fn route(&self, request: &RouteRequest) -> Result<Decision, RouteError> {
        ByPrice.route(request)
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        ByPrice.route_batch(requests)
    }

    fn can_run_inline(&self, _: &RouteRequest) -> bool {
        true
    }

    fn route_inline(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.route_batch(requests)
    }
}

/// Gives no decision, for the same reason every time.
pub(crate) struct Failing(pub(crate) RouteError);

impl Scorer for Failing {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn route(&self, _: &RouteRequest) -> Result<Decision, RouteError> {
        Err(self.0.clone())
    }

    fn route_batch(&self, requests: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        requests.iter().map(|_| Err(self.0.clone())).collect()
    }
}
