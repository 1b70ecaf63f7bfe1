//! Phase four: the answer, frame by frame as it comes, watched for its end, its silence and its usage.

mod usage_parser;

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep};

use self::usage_parser::UsageParser;
use super::{
    endpoint_guard::{EndpointGuard, UpstreamResponse},
    error_response, headers,
    request_log::RequestLog,
};
use crate::{
    api::{
        Wire,
        sse::{self, Splitter},
    },
    config::Config,
    upstream::{Body, body::BodyError},
};

/// Returns the response that relays `response`; it ends at `deadline`, or when nothing comes for the configured time.
pub(super) fn relay(
    response: UpstreamResponse,
    wire: Wire,
    deadline: std::time::Instant,
    config: &Config,
    log: RequestLog,
) -> Response<Body> {
    let UpstreamResponse { head, first, body, guard } = response;
    let is_events = sse::is_stream(&head.headers);
    let mut kept = headers::response_headers(&head.headers);
    if is_events {
        // An error event may follow what the upstream announced.
        kept.remove(header::CONTENT_LENGTH);
    }
    log.add_headers(&mut kept);
    let mut relay = RelayBody {
        body,
        wire,
        ready: first.into_iter().collect(),
        splitter: is_events.then(|| Splitter::new(config.limits.response_buffer)),
        parser: UsageParser::new(wire, is_events && head.status.is_success(), log.is_traced()),
        deadlines: Deadlines {
            end: deadline.into(),
            idle: config.timeouts.idle,
            last_frame: Instant::now(),
            timer: None,
        },
        state: State::Streaming,
        guard,
        log,
    };
    relay.finish_if_complete();
    let mut response = Response::new(Body::new(relay).with_deadline(deadline));
    *response.status_mut() = head.status;
    *response.headers_mut() = kept;
    response
}

/// Why an answer ends at its deadline.
const DEADLINE_EXCEEDED: &str = "the answer took too long";

struct RelayBody {
    body: Body,
    wire: Wire,
    ready: VecDeque<Frame<Bytes>>,
    /// For event streams only: keeps unfinished events back.
    splitter: Option<Splitter>,
    parser: UsageParser,
    deadlines: Deadlines,
    state: State,
    guard: EndpointGuard,
    log: RequestLog,
}

/// How long an answer may take, and how long nothing may come. The timer is not set anew for each piece, but looks when it
/// ends whether there was one; most answers are over before it is ever set.
struct Deadlines {
    end: Instant,
    idle: Duration,
    last_frame: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    /// Returns why it is over.
    fn poll(&mut self, ctx: &mut Context<'_>) -> Poll<&'static str> {
        loop {
            let silence = self.last_frame + self.idle;
            let due = silence.min(self.end);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(timer.as_mut().poll(ctx));
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(DEADLINE_EXCEEDED);
            }
            if now >= silence {
                return Poll::Ready("the upstream fell silent");
            }
            timer.as_mut().reset(due);
        }
    }
}

/// Where the answer stands.
enum State {
    /// More may come.
    Streaming,
    /// What came is handed over, and the error event with it; the connection breaks once that is flushed.
    Failing(&'static str),
    /// The connection breaks now.
    Failed(&'static str),
    /// All is out.
    AttemptResult,
}

/// What the next step of a relay gives.
type Step = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl HttpBody for RelayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Step {
        loop {
            match self.state {
                State::Streaming => {}
                // Giving protocol once lets the server flush what it holds before the error ends the connection.
                State::Failing(reason) => {
                    self.state = State::Failed(reason);
                    ctx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Failed(reason) => {
                    self.state = State::AttemptResult;
                    return Poll::Ready(Some(Err(reason.into())));
                }
                State::AttemptResult => return Poll::Ready(None),
            }
            let next = match self.ready.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(&mut self.body).poll_frame(ctx),
            };
            let step = match next {
                Poll::Ready(Some(Ok(frame))) => self.forward(frame),
                // Whatever happens behind the last event takes nothing from the answer.
                Poll::Ready(Some(Err(_))) if self.parser.has_ended() => self.finish(),
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!(%error, "the upstream cut its answer");
                    self.fail("the upstream cut its answer")
                }
                Poll::Ready(None) => self.finish(),
                Poll::Pending => {
                    let reason = ready!(self.deadlines.poll(ctx));
                    if self.parser.has_ended() { self.finish() } else { self.fail(reason) }
                }
            };
            if let Some(step) = step {
                return Poll::Ready(Some(step));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::AttemptResult)
    }
}

impl Drop for RelayBody {
    /// A client that leaves has still used what came before; one that has the last event need not wait for more.
    fn drop(&mut self) {
        if !matches!(self.state, State::Streaming) {
            return;
        }
        if self.parser.has_ended() {
            let _nobody_reads_the_rest = self.finish();
        } else {
            self.record_usage();
            // The upstream has done its part so far.
            self.guard.response_completed(self.log.status());
        }
    }
}

impl RelayBody {
    /// Ends an answer of announced length with its last byte: nobody asks for more then.
    fn finish_if_complete(&mut self) {
        if self.splitter.is_none() && self.ready.is_empty() && self.body.is_end_stream() {
            let _nothing_held_back = self.finish();
        }
    }

    fn record_usage(&mut self) {
        match self.parser.usage() {
            Some(usage) => self.log.record_usage(usage),
            None => self.log.estimate_usage(self.parser.output_estimate()),
        }
        if !self.parser.is_complete() {
            self.log.truncated_after(self.parser.output_estimate());
        }
        self.log.set_response_model(self.parser.model());
    }

    /// Passes `frame` on, less an unfinished event at its end.
    fn forward(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.deadlines.last_frame = Instant::now();
        if self.deadlines.last_frame >= self.deadlines.end {
            return self.fail(DEADLINE_EXCEEDED);
        }
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Some(Ok(trailers)),
        };
        let whole = match &mut self.splitter {
            Some(splitter) => splitter.push(data)?,
            None => data,
        };
        self.parser.read(&whole);
        self.finish_if_complete();
        Some(Ok(Frame::data(whole)))
    }

    /// The upstream's body is over: is the answer?
    fn finish(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let rest = self.splitter.as_mut().and_then(Splitter::finish);
        if let Some(rest) = &rest {
            self.parser.read(rest);
        }
        if !self.parser.is_complete() {
            return self.fail("the upstream ended its stream before the answer was complete");
        }
        self.state = State::AttemptResult;
        self.record_usage();
        self.log.mark_completed();
        self.guard.response_completed(self.log.status());
        rest.map(|rest| Ok(Frame::data(rest)))
    }

    /// Ends a broken answer: event streams say so, others just break.
    fn fail(&mut self, reason: &'static str) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.record_usage();
        self.log.mark_truncated();
        if reason != DEADLINE_EXCEEDED {
            self.guard.response_truncated();
        }
        self.state = State::Failing(reason);
        // An event that is half out ends first.
        let before = if self.splitter.as_ref()?.is_half_out() { "\n\n" } else { "" };
        Some(Ok(Frame::data(Bytes::from(format!("{before}{}", error_response::truncation_event(self.wire, reason))))))
    }
}
