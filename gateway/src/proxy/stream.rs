//! The stream phase: relays the response frame by frame, enforces its deadlines, and parses its end and usage.

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
    attempt::UpstreamResponse, endpoint_guard::EndpointGuard, error_response, headers, request_log::RequestLog,
    response_recorder::ResponseRecorder,
};
use crate::{
    api::{
        Wire,
        sse::{self, Splitter},
    },
    config::Config,
    upstream::{Body, body::BodyError},
};

/// What the request says about the response that is relayed.
pub(super) struct Relayed {
    /// The recorder of a response that later requests may refer to.
    pub(super) recorder: Option<Box<ResponseRecorder>>,
    /// The number of choices.
    pub(super) choices: u32,
}

/// Returns a response that relays `response` until `deadline`, or until no frame arrives within the idle timeout.
pub(super) fn relay(
    response: UpstreamResponse,
    relayed: Relayed,
    wire: Wire,
    deadline: std::time::Instant,
    config: &Config,
    log: RequestLog,
) -> Response<Body> {
    let UpstreamResponse { head, first, body, guard } = response;
    let Relayed { recorder, choices } = relayed;
    let is_events = sse::is_stream(&head.headers);
    let mut kept = headers::response_headers(&head.headers);
    if is_events {
        // An error event may be appended.
        kept.remove(header::CONTENT_LENGTH);
    }
    log.write_headers(&mut kept);
    let mut relay = RelayBody {
        body,
        wire,
        ready: first.into_iter().collect(),
        splitter: is_events.then(|| Splitter::new(config.limits.response_buffer)),
        parser: UsageParser::new(wire, is_events && head.status.is_success(), log.is_traced()).with_choices(choices),
        deadlines: Deadlines {
            end: deadline.into(),
            idle: config.timeouts.idle,
            last_frame: Instant::now(),
            timer: None,
        },
        recorder,
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

/// The error of a response that exceeds its deadline.
const DEADLINE_EXCEEDED: &str = "the response took too long";

struct RelayBody {
    body: Body,
    wire: Wire,
    ready: VecDeque<Frame<Bytes>>,
    /// For event streams: holds back incomplete events.
    splitter: Option<Splitter>,
    parser: UsageParser,
    /// For responses that later requests may refer to.
    recorder: Option<Box<ResponseRecorder>>,
    deadlines: Deadlines,
    state: State,
    guard: EndpointGuard,
    log: RequestLog,
}

/// The deadline of a response and its idle timeout. The timer is not reset by each frame: when it fires, it checks the time
/// of the last frame. It is created by the first wait, so most responses never create it.
struct Deadlines {
    end: Instant,
    idle: Duration,
    last_frame: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    /// Returns the reason when a deadline has passed.
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
                return Poll::Ready("the upstream sent nothing within the idle timeout");
            }
            timer.as_mut().reset(due);
        }
    }
}

/// The state of a relay.
enum State {
    /// More frames may follow.
    Streaming,
    /// The error event was yielded; the body fails once it is flushed.
    Failing(&'static str),
    /// The body fails with the next poll.
    Failed(&'static str),
    /// The body has ended.
    Ended,
}

/// The result of polling a relay.
type Step = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl HttpBody for RelayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Step {
        loop {
            match self.state {
                State::Streaming => {}
                // Yielding once lets the server flush its buffer before the error closes the connection.
                State::Failing(reason) => {
                    self.state = State::Failed(reason);
                    ctx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Failed(reason) => {
                    self.state = State::Ended;
                    return Poll::Ready(Some(Err(reason.into())));
                }
                State::Ended => return Poll::Ready(None),
            }
            let next = match self.ready.pop_front() {
                Some(frame) => Poll::Ready(Some(Ok(frame))),
                None => Pin::new(&mut self.body).poll_frame(ctx),
            };
            let step = match next {
                Poll::Ready(Some(Ok(frame))) => self.forward(frame),
                // After the last event the response is complete, so an error does not matter.
                Poll::Ready(Some(Err(_))) if self.parser.has_ended() => self.finish(),
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!(%error, "the upstream truncated its response");
                    self.fail("the upstream truncated its response")
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
        matches!(self.state, State::Ended)
    }
}

impl Drop for RelayBody {
    /// A client that disconnects is charged for what arrived. If it has the last event, the response is complete.
    fn drop(&mut self) {
        if !matches!(self.state, State::Streaming) {
            return;
        }
        if self.parser.has_ended() {
            let _unread_rest = self.finish();
        } else {
            self.record_usage();
            // The client ended the response, so the upstream did not fail.
            self.guard.response_completed(self.log.status());
        }
    }
}

impl RelayBody {
    /// Ends a response with a known length at its last byte, as the body is not polled again.
    fn finish_if_complete(&mut self) {
        if self.splitter.is_none() && self.ready.is_empty() && self.body.is_end_stream() {
            let _none = self.finish();
        }
    }

    fn record_usage(&mut self) {
        match self.parser.usage() {
            Some(usage) => self.log.record_usage(usage),
            None => self.log.estimate_usage(self.parser.output_estimate()),
        }
        if !self.parser.is_complete() {
            self.log.raise_output(self.parser.output_estimate());
        }
        self.log.set_response_model(self.parser.model());
    }

    /// Forwards `frame`, without an incomplete event at its end.
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
        if let Some(recorder) = &mut self.recorder {
            recorder.read(&whole);
        }
        self.finish_if_complete();
        if self.parser.is_cut_short() {
            return self.cut_short(&whole);
        }
        Some(Ok(Frame::data(whole)))
    }

    /// Ends a stream whose end mark came too early: the mark becomes an error event.
    fn cut_short(&mut self, whole: &Bytes) -> Option<Result<Frame<Bytes>, BodyError>> {
        const END: &[u8] = b"[DONE]";
        let mark = whole.windows(END.len()).rposition(|window| window == END).unwrap_or(whole.len());
        let line = whole.get(..mark).and_then(|before| before.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')));
        let before = line.map_or(0, |line| line + 1);
        let failed = self.fail("the upstream ended its stream before every choice was complete")?.ok()?;
        let error = failed.into_data().unwrap_or_default();
        let before = whole.get(..before).unwrap_or_default();
        Some(Ok(Frame::data(Bytes::from([before, &error].concat()))))
    }

    /// Ends the relay at the end of the upstream's body. A response that is incomplete then was truncated.
    fn finish(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let rest = self.splitter.as_mut().and_then(Splitter::finish);
        if let Some(rest) = &rest {
            self.parser.read(rest);
            if let Some(recorder) = &mut self.recorder {
                recorder.read(rest);
            }
        }
        if !self.parser.is_complete() {
            return self.fail("the upstream ended its stream before the response was complete");
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
        self.state = State::Ended;
        self.record_usage();
        self.log.completed();
        self.guard.response_completed(self.log.status());
        rest.map(|rest| Ok(Frame::data(rest)))
    }

    /// Ends a truncated response: an event stream with an error event, any other by failing the body.
    fn fail(&mut self, reason: &'static str) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.record_usage();
        self.log.truncated();
        if reason != DEADLINE_EXCEEDED {
            self.guard.response_truncated();
        }
        self.state = State::Failing(reason);
        // A partly forwarded event must end first.
        let before = if self.splitter.as_ref()?.is_half_out() { "\n\n" } else { "" };
        Some(Ok(Frame::data(Bytes::from(format!(
            "{before}{}",
            error_response::truncation_event(self.wire, reason, self.parser.events_seen())
        )))))
    }
}
