//! Phase three: down the ranking until an upstream begins to answer.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, response};
use http_body_util::BodyExt;
use hyper::body::Frame;

use super::{Error, Snapshot, finish::Record, headers, read::Inbound};
use crate::{
    decide::{Offer, Plan},
    upstream::{Body, Call, Endpoint, Failure, Offered},
};

/// An answer that has begun.
pub(super) struct Opened {
    /// Status and headers.
    pub(super) head: response::Parts,
    /// The first frame, when there is any.
    pub(super) first: Option<Frame<Bytes>>,
    /// The rest.
    pub(super) body: Body,
}

/// One place that may answer.
struct Target<'a> {
    offer: &'a Offer,
    endpoint: &'a Endpoint,
}

/// Tries the plan's LLMs, best first, until one begins to answer.
///
/// # Errors
///
/// Fails when none answers. An upstream's own error reply is an answer: the last one goes to the client as it is.
pub(super) async fn send(
    snapshot: &Snapshot,
    inbound: &Inbound<'_>,
    plan: &Plan,
    record: &mut Record,
) -> Result<Opened, Error> {
    let retry = &snapshot.config.retry;
    let sent = headers::outbound(inbound.headers);
    let mut targets = targets(snapshot, inbound, plan).into_iter().take(retry.attempts).peekable();
    let mut refused: Option<Opened> = None;
    let mut failure = Failure::Unsupported;
    while let Some(target) = targets.next() {
        let started = Instant::now();
        record.trying(target.offer, &target.endpoint.peer.config.name);
        match attempt(snapshot, inbound, &sent, plan, &target).await {
            Ok(opened) if retry.statuses.contains(&opened.head.status.as_u16()) => {
                let is_last = targets.peek().is_none();
                record.attempt_failed(&target.offer.llm, opened.head.status.as_str(), is_last);
                refused = Some(opened);
            }
            Ok(opened) => {
                record.answered(&opened, started.elapsed());
                return Ok(opened);
            }
            Err(error) => {
                tracing::info!(
                    llm = %target.offer.llm, upstream = %target.endpoint.peer.config.name, reason = error.as_str(),
                    "an attempt failed"
                );
                record.attempt_failed(&target.offer.llm, error.as_str(), false);
                failure = error;
            }
        }
    }
    // A reply says more than a broken connection, and carries `retry-after`.
    match refused {
        Some(opened) => {
            record.refused_by_upstream(&opened);
            Ok(opened)
        }
        None => Err(Error::Upstream(failure)),
    }
}

/// Every endpoint of every ranked LLM: another endpoint of the best LLM is better than the next LLM.
fn targets<'a>(snapshot: &'a Snapshot, inbound: &Inbound<'_>, plan: &Plan) -> Vec<Target<'a>> {
    let llms = plan.ranking.iter().filter_map(|ranked| snapshot.roster.find(&ranked.llm));
    llms.flat_map(|llm| {
        let able = llm.endpoints.iter().filter(|endpoint| endpoint.peer.speaks(inbound.wire));
        able.map(|endpoint| Target { offer: &llm.offer, endpoint })
    })
    .collect()
}

async fn attempt(
    snapshot: &Snapshot,
    inbound: &Inbound<'_>,
    sent: &HeaderMap,
    plan: &Plan,
    target: &Target<'_>,
) -> Result<Opened, Failure> {
    let name: &Arc<str> = &target.endpoint.name;
    let call = Call {
        wire: inbound.wire,
        query: inbound.query,
        headers: sent,
        body: inbound.document.with_model(name),
        offered: Offered { offer: target.offer, name, why: &plan.why },
    };
    let opening = async {
        let (head, mut body) = target.endpoint.peer.send(call).await?.into_parts();
        // A status that moves on needs no body; its first byte is not waited for.
        let is_final = !snapshot.config.retry.statuses.contains(&head.status.as_u16());
        let first = match is_final {
            true => body.frame().await.transpose().map_err(Failure::Closed)?,
            false => None,
        };
        Ok(Opened { head, first, body })
    };
    tokio::time::timeout(snapshot.config.timeouts.first_byte, opening).await.unwrap_or(Err(Failure::FirstByte))
}
