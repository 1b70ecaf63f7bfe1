//! Traces: what happened to a request and when, as spans for an OTLP collector.
//!
//! The spans of a request are made of what its record keeps anyway, and leave together when it ends: a request that is not
//! traced costs one look at its headers, and the hot path holds no thread-local context. The messages are those of
//! `opentelemetry-proto`; why the SDK does not make and send them, `docs/adr/0013` says.

pub mod parent;
pub mod otlp;

use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use tokio::sync::mpsc;

use self::parent::Parent;
use super::Metrics;
use crate::config::Sampling;

/// Most requests whose spans wait to be sent; those of one more are dropped and counted.
const QUEUE: usize = 2_048;

/// A part of a request's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Of which trace; the same for all spans of a request, and its client's.
    pub trace: u128,
    /// Its own id.
    pub id: u64,
    /// The span it is part of; 0 when it is the first.
    pub parent: u64,
    /// The client's `tracestate`.
    pub state: Arc<str>,
    /// What it is, in few words.
    pub name: String,
    /// On which side of a call it stands.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// What is known of it, by OpenTelemetry's names.
    pub attributes: Attributes,
    /// Whether it failed.
    pub failed: bool,
}

/// On which side of a call a span stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Inside the gateway.
    Internal,
    /// The client's request.
    Server,
    /// A call to an upstream.
    Client,
}

/// What is known of a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(Vec<(&'static str, Attribute)>);

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// A whole number.
    Whole(i64),
}

impl Attributes {
    /// Adds a text, unless it is empty.
    pub fn text(&mut self, name: &'static str, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.0.push((name, Attribute::Text(text)));
        }
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, number: impl TryInto<i64>) {
        self.0.push((name, Attribute::Whole(number.try_into().unwrap_or(i64::MAX))));
    }

    /// Returns names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Attribute)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

/// Decides which requests are traced, and takes their spans.
#[derive(Debug)]
pub struct Tracer {
    sampling: Sampling,
    queue: mpsc::Sender<Vec<Span>>,
    metrics: Arc<Metrics>,
}

impl Tracer {
    /// Returns a tracer, and where its spans come out.
    pub fn new(sampling: Sampling, metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Vec<Span>>) {
        let (queue, spans) = mpsc::channel(QUEUE);
        (Self { sampling, queue, metrics }, spans)
    }

    /// Begins the trace of a request with these headers, or goes on with its client's; none when it is not traced.
    pub fn begin(self: &Arc<Self>, headers: &HeaderMap) -> Option<Trace> {
        let parent = Parent::of(headers);
        let trace = parent.as_ref().map_or_else(new_trace, |parent| parent.trace);
        let is_sampled = match &parent {
            Some(parent) if self.sampling.follows_parent => parent.sampled,
            _ => is_within(trace, self.sampling.share),
        };
        is_sampled.then(|| Trace {
            tracer: Arc::clone(self),
            began: Instant::now(),
            wall: SystemTime::now(),
            trace,
            root: new_span(),
            parent: parent.as_ref().map_or(0, |parent| parent.span),
            state: parent.map_or_else(|| Arc::from(""), |parent| Arc::from(parent.state)),
            done: Vec::with_capacity(3),
        })
    }
}

/// The trace of one request under way.
#[derive(Debug)]
pub struct Trace {
    tracer: Arc<Tracer>,
    began: Instant,
    wall: SystemTime,
    trace: u128,
    root: u64,
    parent: u64,
    state: Arc<str>,
    done: Vec<Span>,
}

/// A span that has begun.
#[derive(Debug)]
pub struct Step {
    id: u64,
    name: String,
    kind: Kind,
    began: Instant,
    /// What is known of it.
    pub attributes: Attributes,
}

impl Trace {
    /// Returns the trace's id in hex, for log lines.
    pub fn id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Begins a part of the request.
    pub fn step(&self, name: impl Into<String>, kind: Kind, began: Instant) -> Step {
        Step { id: new_span(), name: name.into(), kind, began, attributes: Attributes::default() }
    }

    /// Returns the `traceparent` of a call that `step` makes.
    pub fn parent_for(&self, step: &Step) -> String {
        parent::format(self.trace, step.id)
    }

    /// Ends a part of the request.
    pub fn end(&mut self, step: Step, failed: bool) {
        let span = self.span(step, self.root, Instant::now(), failed);
        self.done.push(span);
    }

    /// Ends the request: all its spans leave.
    pub fn finish(mut self, name: impl Into<String>, attributes: Attributes, failed: bool) {
        let step = Step { id: self.root, name: name.into(), kind: Kind::Server, began: self.began, attributes };
        let root = self.span(step, self.parent, Instant::now(), failed);
        self.done.push(root);
        let spans = std::mem::take(&mut self.done);
        let count = spans.len() as u64;
        if self.tracer.queue.try_send(spans).is_err() {
            self.tracer.metrics.spans("dropped", count);
        }
    }

    fn span(&self, step: Step, parent: u64, end: Instant, failed: bool) -> Span {
        let Step { id, name, kind, began, attributes } = step;
        let (start, end) = (self.nanos(began), self.nanos(end));
        Span {
            trace: self.trace,
            id,
            parent,
            state: Arc::clone(&self.state),
            name,
            kind,
            start,
            end,
            attributes,
            failed,
        }
    }

    /// One look at the wall clock for each request; what follows is measured by the clock that never jumps.
    fn nanos(&self, at: Instant) -> u64 {
        let wall = self.wall + at.saturating_duration_since(self.began);
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// As the standard's `TraceIdRatioBased` does: by the trace's id, so that all who see a trace decide alike.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: a share of 2^63, from 0 to 1")]
#[expect(clippy::cast_precision_loss, reason = "invariant: a power of two is exact")]
fn is_within(trace: u128, share: f64) -> bool {
    const WHOLE: u64 = 1 << 63;
    (trace as u64 >> 1) < (share * WHOLE as f64) as u64
}

fn new_trace() -> u128 {
    rand::random::<u128>().max(1)
}

fn new_span() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests;
