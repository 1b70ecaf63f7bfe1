//! The phases of one request: read, decide, send, stream, finish; and the responses that need no upstream.

pub mod snapshot;
mod request_body;
mod boxed;
mod host_check;
mod cors;
mod identify;
mod read;
mod admit;
mod sessions;
mod response_memory;
mod response_recorder;
mod log_excerpt;
mod decide;
mod headers;
pub mod retry;
mod endpoint_filter;
mod endpoint_guard;
mod attempt;
mod first_event;
mod upstream_call;
pub mod failure_table;
mod passive_health;
mod send;
mod stream;
mod attempts;
mod billing;
mod decision_summary;
mod outcome;
mod routing_headers;
mod spans;
mod request_log;
mod route;
mod count_tokens;
mod knowledge;
mod feedback;
mod users;
mod local;
pub mod error;
mod error_response;

use std::{pin::pin, sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use http::{Method, Request, Response, request::Parts};
use tokio::sync::{Notify, Semaphore};

use self::{
    boxed::boxed, read::ParsedRequest, request_log::RequestLog, response_memory::ResponseMemory,
    response_recorder::ResponseRecorder, sessions::Sessions, spans::Spans, stream::Relayed,
};
pub use self::{
    error::Error, host_check::targets_loopback, identify::Fingerprint, request_body::RequestBody, snapshot::Snapshot,
};
use crate::{
    api::{Wire, sse},
    learning::Learning,
    state::Ledger,
    telemetry::{Health, Metrics, Tracer, UserIds},
    upstream::Body,
};

/// Serves requests, each with the snapshot that is live when it starts.
#[derive(Debug)]
pub struct Proxy {
    live: ArcSwap<Snapshot>,
    replaced: Notify,
    permits: Arc<Semaphore>,
    /// Survives reloads, so that a new configuration resets no limit.
    ledger: Arc<Ledger>,
    sessions: Sessions,
    responses: Arc<ResponseMemory>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    tracer: Option<Arc<Tracer>>,
    /// Survives reloads; none when learning is switched off.
    learning: Option<Arc<Learning>>,
    /// How user ids are logged.
    user_ids: UserIds,
}

impl Proxy {
    /// Returns a proxy that serves with `snapshot` and enforces limits with `ledger`.
    pub fn new(
        snapshot: Arc<Snapshot>,
        ledger: Arc<Ledger>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
        user_ids: UserIds,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(snapshot.config.limits.requests));
        let sessions = Sessions::default();
        let responses = Arc::new(ResponseMemory::new(&snapshot.config.limits));
        Self {
            live: ArcSwap::new(snapshot),
            replaced: Notify::new(),
            permits,
            ledger,
            sessions,
            responses,
            metrics,
            health,
            tracer: None,
            learning: None,
            user_ids,
        }
    }

    /// Returns the same proxy, with its requests traced by `tracer`.
    #[must_use]
    pub fn with_tracer(self, tracer: Option<Arc<Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// Returns the same proxy, which learns with `learning`.
    #[must_use]
    pub fn with_learning(self, learning: Option<Arc<Learning>>) -> Self {
        Self { learning, ..self }
    }

    /// Returns the response to `request`; errors become error responses.
    pub async fn handle<B: RequestBody>(&self, request: Request<B>) -> Response<Body> {
        let snapshot = self.live.load_full();
        let (parts, body) = request.into_parts();
        if let Err(error) = host_check::check(&snapshot.config.auth, &parts) {
            return error_response::build(&error, Wire::of(parts.uri.path()), None);
        }
        if snapshot.config.cors.is_none() {
            return self.answer(snapshot, &parts, body).await;
        }
        let kept = Arc::clone(&snapshot);
        let config = &kept.config;
        if let Some(response) = config.cors.as_ref().and_then(|cors| cors::preflight(cors, &parts)) {
            return response;
        }
        let mut response = self.answer(snapshot, &parts, body).await;
        if let Some(cors) = &config.cors {
            cors::expose(cors, &parts.headers, response.headers_mut());
        }
        response
    }

    /// Returns the response to a request that may be served.
    async fn answer<B: RequestBody>(&self, snapshot: Arc<Snapshot>, parts: &Parts, body: B) -> Response<Body> {
        let path = parts.uri.path();
        if let Some(wire) = Wire::of(path) {
            return match parts.method {
                Method::POST => boxed(|| self.forward(snapshot, wire, parts, body)).await,
                _ => error_response::build(&Error::Method { allowed: "POST" }, Some(wire), None),
            };
        }
        if path == "/v1/messages/count_tokens" {
            let counted = match parts.method {
                Method::POST => Box::pin(self.count_tokens(&snapshot, parts, body)).await,
                _ => Err(Error::Method { allowed: "POST" }),
            };
            return counted.unwrap_or_else(|error| error_response::build(&error, Some(Wire::Messages), None));
        }
        if let Some(rest) = users::path(path) {
            let requester = users::Requester::Client(parts);
            let response = Box::pin(self.users(&snapshot, requester, rest, body)).await;
            return response.unwrap_or_else(|error| error_response::build(&error, None, None));
        }
        let response = match (&parts.method, path) {
            (_, "/v1/feedback") => Box::pin(self.feedback(snapshot, parts, body)).await,
            (_, path) if path.starts_with("/v1/feedback/") => Box::pin(self.withdraw(&snapshot, parts)).await,
            (&Method::POST, "/v1/route") => Box::pin(self.route(&snapshot, parts, body)).await,
            (_, "/v1/route") => Err(Error::Method { allowed: "POST" }),
            (&Method::GET | &Method::HEAD, _) => local::get(&snapshot, &self.health, parts),
            (_, path) if local::serves(path) => Err(Error::Method { allowed: "GET, HEAD" }),
            _ => Err(Error::UnknownPath),
        };
        response.unwrap_or_else(|error| error_response::build(&error, None, None))
    }

    /// Returns the response to an operator's request about what was learned: `/users…` or `/interactions`.
    pub async fn operate<B: RequestBody>(&self, request: Request<B>) -> Response<Body> {
        let snapshot = self.live.load_full();
        let (parts, body) = request.into_parts();
        let requester = users::Requester::Operator(&parts);
        let response = match (parts.uri.path(), &parts.method) {
            ("/interactions", &Method::GET) => self.interactions(&parts).await,
            ("/interactions", _) => Err(Error::Method { allowed: "GET" }),
            (path, _) => match path.strip_prefix("/users") {
                Some(rest) => self.users(&snapshot, requester, rest, body).await,
                None => Err(Error::UnknownPath),
            },
        };
        response.unwrap_or_else(|error| error_response::build(&error, None, None))
    }

    /// Replaces the live snapshot; running requests keep theirs.
    pub fn replace(&self, snapshot: Arc<Snapshot>) {
        self.live.store(snapshot);
        self.replaced.notify_one();
    }

    /// Waits until the live snapshot is replaced. Supports one waiter.
    pub async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// Returns the live snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.live.load_full()
    }

    async fn forward<B: RequestBody>(
        &self,
        snapshot: Arc<Snapshot>,
        wire: Wire,
        parts: &Parts,
        body: B,
    ) -> Response<Body> {
        let trace = self.tracer.as_ref().and_then(|tracer| tracer.begin(&parts.headers));
        let scheme = if snapshot.tls.is_some() { "https" } else { "http" };
        let mut log = RequestLog::begin(
            wire.as_str(),
            Arc::clone(&self.metrics),
            self.user_ids.clone(),
            Spans::new(trace, wire, scheme),
        );
        let deadline = log.started + snapshot.config.timeouts.total;
        let sent = {
            // Pinned in place, as moving a large future is expensive.
            let phases = pin!(self.phases(&snapshot, wire, parts, body, &mut log));
            tokio::time::timeout_at(deadline.into(), phases).await.unwrap_or(Err(Error::Timeout))
        };
        match sent {
            Ok((response, relayed)) => stream::relay(response, relayed, wire, deadline, &snapshot.config, log),
            Err(error) => error_response::build(&error, Some(wire), Some(log)),
        }
    }

    /// Runs the phases before the first byte of the response: read, decide, send.
    async fn phases<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        wire: Wire,
        parts: &Parts,
        body: B,
        log: &mut RequestLog,
    ) -> Result<(attempt::UpstreamResponse, Relayed), Error> {
        log.hold_permit(self.permit()?);
        let mut request = ParsedRequest::read(wire, parts, body, &snapshot.config).await?;
        if !request.facts.references.is_empty() {
            request.resolve_references(&self.responses, snapshot)?;
        }
        log.record_request(&request);
        let lease = admit::try_admit(&self.ledger, &snapshot.config.auth, &request)?;
        let started = Instant::now();
        let knowledge = self.knowledge(snapshot, request.user.as_deref(), &request.model).await;
        let mut plan = decide::decide(snapshot, &self.sessions, &request, &knowledge).await?;
        plan.elapsed = started.elapsed();
        log.record_decision(&plan, request.overrides.explain, started);
        log.record_knowledge(&knowledge);
        if let Some(lease) = lease {
            log.hold_reservation(admit::reserve(lease, snapshot, &request, &plan).await?);
        }
        let response = send::send(snapshot, &request, &plan, log).await?;
        if let (Some(_), Some(llm)) = (&plan.virtual_model, log.answering_llm()) {
            self.sessions.record(decide::session(&self.sessions, &request), Arc::clone(&llm), Instant::now());
            let text = std::mem::take(&mut request.facts.text);
            self.keep_decision(snapshot, plan, request.user.clone(), llm, text);
        }
        let recorder = self.recorder(snapshot, &request, &response);
        Ok((response, Relayed { recorder, choices: request.facts.choices.unwrap_or(1) }))
    }

    /// Returns the recorder of a response that later requests may refer to.
    fn recorder(
        &self,
        snapshot: &Snapshot,
        request: &ParsedRequest<'_>,
        response: &attempt::UpstreamResponse,
    ) -> Option<Box<ResponseRecorder>> {
        if request.wire != Wire::Responses || !response.head.status.is_success() {
            return None;
        }
        let is_stream = sse::is_stream(&response.head.headers);
        let most = snapshot.config.limits.response_buffer;
        let endpoint = response.guard.endpoint();
        Some(Box::new(ResponseRecorder::new(&self.responses, request, endpoint, is_stream, most)))
    }

    fn permit(&self) -> Result<tokio::sync::OwnedSemaphorePermit, Error> {
        Arc::clone(&self.permits).try_acquire_owned().map_err(|_| Error::Busy)
    }
}
