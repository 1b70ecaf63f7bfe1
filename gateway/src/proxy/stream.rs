//! Phase four: the answer, frame by frame as it comes, watched for its end, its silence and its usage.

mod tally;

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

use self::tally::Tally;
use super::{
    finish::Record,
    headers, rescue,
    seat::{Opened, Seat},
};
use crate::{
    api::{
        Wire,
        sse::{self, Splitter},
    },
    config::Config,
    upstream::{Body, body::BodyError},
};

/// Returns the response that relays `opened`; it ends at `deadline`, or when nothing comes for the configured time.
pub(super) fn relay(
    opened: Opened,
    wire: Wire,
    deadline: std::time::Instant,
    config: &Config,
    record: Record,
) -> Response<Body> {
    let Opened { head, first, body, seat } = opened;
    let is_events = sse::is_stream(&head.headers);
    let mut kept = headers::inbound(&head.headers);
    if is_events {
        // An error event may follow what the upstream announced.
        kept.remove(header::CONTENT_LENGTH);
    }
    record.tell(&mut kept);
    let mut relay = Relay {
        body,
        wire,
        ready: first.into_iter().collect(),
        splitter: is_events.then(|| Splitter::new(config.limits.response_buffer)),
        tally: Tally::new(wire, is_events && head.status.is_success(), record.is_traced()),
        patience: Patience { end: deadline.into(), idle: config.timeouts.idle, heard: Instant::now(), timer: None },
        state: State::Open,
        seat,
        record,
    };
    relay.settle();
    let mut response = Response::new(Body::new(relay).until(deadline));
    *response.status_mut() = head.status;
    *response.headers_mut() = kept;
    response
}

/// Why an answer ends at its deadline.
const TOO_LONG: &str = "the answer took too long";

struct Relay {
    body: Body,
    wire: Wire,
    ready: VecDeque<Frame<Bytes>>,
    /// For event streams only: keeps unfinished events back.
    splitter: Option<Splitter>,
    tally: Tally,
    patience: Patience,
    state: State,
    seat: Seat,
    record: Record,
}

/// How long an answer may take, and how long nothing may come. The timer is not set anew for each piece, but looks when it
/// ends whether there was one; most answers are over before it is ever set.
struct Patience {
    end: Instant,
    idle: Duration,
    heard: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Returns why it is over.
    fn poll(&mut self, ctx: &mut Context<'_>) -> Poll<&'static str> {
        loop {
            let silence = self.heard + self.idle;
            let due = silence.min(self.end);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(timer.as_mut().poll(ctx));
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(TOO_LONG);
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
    Open,
    /// What came is handed over, and the error event with it; the connection breaks once that is flushed.
    Breaking(&'static str),
    /// The connection breaks now.
    Broken(&'static str),
    /// All is out.
    Ended,
}

/// What the next step of a relay gives.
type Step = Poll<Option<Result<Frame<Bytes>, BodyError>>>;

impl HttpBody for Relay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Step {
        loop {
            match self.state {
                State::Open => {}
                // Giving way once lets the server flush what it holds before the error ends the connection.
                State::Breaking(reason) => {
                    self.state = State::Broken(reason);
                    ctx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                State::Broken(reason) => {
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
                Poll::Ready(Some(Ok(frame))) => self.pass(frame),
                // Whatever happens behind the last event takes nothing from the answer.
                Poll::Ready(Some(Err(_))) if self.tally.has_ended() => self.finish(),
                Poll::Ready(Some(Err(error))) => {
                    tracing::info!(%error, "the upstream cut its answer");
                    self.fail("the upstream cut its answer")
                }
                Poll::Ready(None) => self.finish(),
                Poll::Pending => {
                    let reason = ready!(self.patience.poll(ctx));
                    if self.tally.has_ended() { self.finish() } else { self.fail(reason) }
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

impl Drop for Relay {
    /// A client that leaves has still used what came before; one that has the last event need not wait for more.
    fn drop(&mut self) {
        if !matches!(self.state, State::Open) {
            return;
        }
        if self.tally.has_ended() {
            let _nobody_reads_the_rest = self.finish();
        } else {
            self.count();
            // The upstream has done its part so far.
            self.seat.ended(self.record.status());
        }
    }
}

impl Relay {
    /// Ends an answer of announced length with its last byte: nobody asks for more then.
    fn settle(&mut self) {
        if self.splitter.is_none() && self.ready.is_empty() && self.body.is_end_stream() {
            let _nothing_held_back = self.finish();
        }
    }

    fn count(&mut self) {
        match self.tally.usage() {
            Some(usage) => self.record.counted(usage),
            None => self.record.estimated(self.tally.output_estimate()),
        }
        if !self.tally.is_complete() {
            self.record.broke_off(self.tally.output_estimate());
        }
        self.record.answered_by(self.tally.model());
    }

    /// Passes `frame` on, less an unfinished event at its end.
    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.patience.heard = Instant::now();
        if self.patience.heard >= self.patience.end {
            return self.fail(TOO_LONG);
        }
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Some(Ok(trailers)),
        };
        let whole = match &mut self.splitter {
            Some(splitter) => splitter.push(data)?,
            None => data,
        };
        self.tally.read(&whole);
        self.settle();
        Some(Ok(Frame::data(whole)))
    }

    /// The upstream's body is over: is the answer?
    fn finish(&mut self) -> Option<Result<Frame<Bytes>, BodyError>> {
        let rest = self.splitter.as_mut().and_then(Splitter::finish);
        if let Some(rest) = &rest {
            self.tally.read(rest);
        }
        if !self.tally.is_complete() {
            return self.fail("the upstream ended its stream before the answer was complete");
        }
        self.state = State::Ended;
        self.count();
        self.record.finish();
        self.seat.ended(self.record.status());
        rest.map(|rest| Ok(Frame::data(rest)))
    }

    /// Ends a broken answer: event streams say so, others just break.
    fn fail(&mut self, reason: &'static str) -> Option<Result<Frame<Bytes>, BodyError>> {
        self.count();
        self.record.cut();
        if reason != TOO_LONG {
            self.seat.broke();
        }
        self.state = State::Breaking(reason);
        // An event that is half out ends first.
        let before = if self.splitter.as_ref()?.is_half_out() { "\n\n" } else { "" };
        Some(Ok(Frame::data(Bytes::from(format!("{before}{}", rescue::cut(self.wire, reason))))))
    }
}
