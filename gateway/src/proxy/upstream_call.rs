//! One call to an upstream: builds the request for an endpoint, sends it, and translates the response if needed.

use std::{pin::pin, sync::Arc, time::Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;

use super::{
    Snapshot,
    attempt::{Attempt, AttemptResult, UpstreamResponse},
    endpoint_guard::EndpointGuard,
    first_event::{Limits, first_event},
    headers::{self, Credentials},
    read::ParsedRequest,
};
use crate::{
    api::{
        sse,
        translate::{Dialect, Format},
    },
    config::OutputLimit,
    decide::{Capability, Plan},
    upstream::{
        Body, Failure, Protocol, SimulatedRequest, UpstreamRequest,
        translated::{self, BufferLimits},
    },
};

/// The context that all attempts of a request share.
pub(super) struct RequestContext<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) request: &'a ParsedRequest<'a>,
    pub(super) plan: &'a Plan,
}

impl<'a> RequestContext<'a> {
    /// Sends the request to the endpoint of `attempt`, and waits until the response starts. `parent` is the `traceparent` to send.
    pub(super) async fn call(
        &self,
        attempt: Attempt<'a>,
        parent: Option<HeaderValue>,
        started: Instant,
    ) -> AttemptResult<'a> {
        // Pinned in place, as moving a large future is expensive.
        let sending = pin!(self.send_request(attempt, parent));
        let response = tokio::time::timeout(self.snapshot.config.timeouts.first_byte, sending).await;
        let response = match response.unwrap_or(Err(Failure::FirstByte)) {
            Ok(response) => self.first_event(response).await,
            Err(failure) => Err(failure),
        };
        let result = match (attempt.protocol, response) {
            // Boxed, so that native responses do not carry the size of this future.
            (Protocol::Translated(to), Ok(response)) => {
                Box::pin(self.translate(response, to, &attempt.endpoint.name)).await
            }
            (_, response) => response,
        };
        AttemptResult { attempt, started, result }
    }

    /// Waits for the first event if the response is a stream, which decides whether it has started.
    async fn first_event(&self, mut response: UpstreamResponse) -> Result<UpstreamResponse, Failure> {
        let config = &self.snapshot.config;
        if response.head.status.is_success() && sse::is_stream(&response.head.headers) {
            let limits = Limits { idle: config.timeouts.idle, max_bytes: config.limits.response_buffer };
            response.first = Some(first_event(response.first.take(), &mut response.body, limits).await?);
        }
        response.guard.response_started();
        Ok(response)
    }

    /// Translates a response to the client's format. A response that is not a stream is buffered, and may turn out to be
    /// unusable.
    async fn translate(
        &self,
        response: UpstreamResponse,
        to: Format,
        model: &str,
    ) -> Result<UpstreamResponse, Failure> {
        let translation = self.request.translation(to).map_err(|_| Failure::Unsupported)?;
        let UpstreamResponse { mut head, first, body, guard } = response;
        let (config, is_success) = (&self.snapshot.config, head.status.is_success());
        let (timeouts, max_bytes) = (&config.timeouts, config.limits.response_buffer);
        let answering = translated::response(
            translation,
            &mut head,
            first,
            body,
            BufferLimits { idle: timeouts.idle, max_bytes, model },
        );
        let body = match is_success {
            true => answering.await?,
            // An error response may fail over to the next LLM, so it must not delay it for long.
            false => tokio::time::timeout(timeouts.first_byte, answering).await.map_err(|_| Failure::FirstByte)??,
        };
        Ok(UpstreamResponse { head, first: None, body, guard })
    }

    async fn send_request(
        &self,
        attempt: Attempt<'a>,
        parent: Option<HeaderValue>,
    ) -> Result<UpstreamResponse, Failure> {
        let is_authenticated = self.request.caller.has_gateway_key();
        let credentials = if is_authenticated { Credentials::Gateway } else { Credentials::Upstream };
        let mut headers = headers::request_headers(self.request.headers, credentials);
        if let Some(parent) = parent {
            headers.insert("traceparent", parent);
        }
        let endpoint = attempt.endpoint;
        let name: &Arc<str> = &endpoint.name;
        let guard = EndpointGuard::acquire(endpoint);
        let translation = match attempt.protocol {
            Protocol::Native => None,
            Protocol::Translated(to) => Some(self.request.translation(to).map_err(|_| Failure::Unsupported)?),
        };
        let dialect = || Dialect {
            reasons: endpoint.spec.capabilities.contains(&Capability::Reasoning),
            has_old_output_limit: endpoint.upstream.config.output_limit == OutputLimit::MaxTokens,
        };
        let body = translation.map(|translation| translation.body(name, dialect()));
        let call = UpstreamRequest {
            wire: self.request.wire,
            query: self.request.query,
            headers,
            body: body.unwrap_or_else(|| self.request.document.with_model(name)),
            translation,
            simulated: SimulatedRequest { spec: &endpoint.spec, name, why: &self.plan.why },
        };
        let config = &self.snapshot.config;
        let (head, mut body) = endpoint.upstream.send(call).await?.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Closed("the upstream switched protocols without a request".into()));
        }
        if head.status.is_redirection() {
            return Err(Failure::Redirect);
        }
        // A response that will be retried needs no body.
        let is_retried = config.retry.statuses.contains(&head.status.as_u16());
        let mut first = if is_retried { None } else { body.frame().await.transpose().map_err(Failure::Closed)? };
        if head.status.is_client_error() {
            first = collect_error(first, &mut body).await?;
        }
        Ok(UpstreamResponse { head, first, body, guard })
    }
}

/// Most bytes of an error response that are read to find out what it is about.
const ERROR_BYTES: usize = 64 << 10;

/// Reads the error response that starts with `first`, up to a limit, into one frame.
async fn collect_error(first: Option<Frame<Bytes>>, body: &mut Body) -> Result<Option<Frame<Bytes>>, Failure> {
    let Some(first) = first else {
        return Ok(None);
    };
    let mut read = BytesMut::from(first.into_data().unwrap_or_default());
    while read.len() < ERROR_BYTES {
        match body.frame().await.transpose().map_err(Failure::Closed)? {
            Some(frame) => read.extend_from_slice(&frame.into_data().unwrap_or_default()),
            None => break,
        }
    }
    Ok(Some(Frame::data(read.freeze())))
}
