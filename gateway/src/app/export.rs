//! Sends spans to the collector: in batches, over HTTP, and never in the way of a request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Traces,
    telemetry::{
        Metrics,
        trace::{Span, otlp},
    },
    upstream::http_client::HttpClient,
};

/// Most spans of one post, and how long the first of them waits for others.
const BATCH: usize = 512;
const WAIT: Duration = Duration::from_secs(1);

/// How long a post may take, the standard's default, and how often it is tried.
const TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;

/// The way to a collector.
#[derive(Debug)]
pub(super) struct Exporter {
    client: HttpClient,
    endpoint: Uri,
    headers: HeaderMap,
    resource: BTreeMap<String, String>,
    spans: mpsc::Receiver<Vec<Span>>,
    metrics: Arc<Metrics>,
}

impl Exporter {
    /// Returns the way that `traces` describes, for what comes out of `spans`.
    pub(super) fn new(
        traces: &Traces,
        client: HttpClient,
        spans: mpsc::Receiver<Vec<Span>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        for (name, secret) in &traces.headers {
            if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(secret.expose())) {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        Self { client, endpoint: traces.endpoint.clone(), headers, resource: traces.resource.clone(), spans, metrics }
    }

    /// Sends what comes, until `stop`; then what is left.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        while let Some(first) = self.next(&stop).await {
            batch.extend(first);
            let until = tokio::time::Instant::now() + WAIT;
            while batch.len() < BATCH {
                let more = tokio::select! {
                    more = self.spans.recv() => more,
                    () = tokio::time::sleep_until(until) => break,
                    () = stop.cancelled() => break,
                };
                let Some(more) = more else { break };
                batch.extend(more);
            }
            self.send(&std::mem::take(&mut batch)).await;
        }
    }

    /// Returns the next request's spans; after `stop`, only of those that already wait.
    async fn next(&mut self, stop: &CancellationToken) -> Option<Vec<Span>> {
        tokio::select! {
            biased;
            () = stop.cancelled() => self.spans.try_recv().ok(),
            spans = self.spans.recv() => spans,
        }
    }

    async fn send(&self, spans: &[Span]) {
        let body = Bytes::from(otlp::encode(&self.resource, spans));
        for attempt in 0..ATTEMPTS {
            tokio::time::sleep(Duration::from_secs(1).saturating_mul(attempt)).await;
            let reason = match tokio::time::timeout(TIMEOUT, self.post(body.clone())).await {
                Ok(Ok(status)) if status.is_success() => {
                    self.metrics.spans("sent", spans.len() as u64);
                    return;
                }
                // What the standard calls retryable; anything else stays refused.
                Ok(Ok(status)) if matches!(status.as_u16(), 429 | 502 | 503 | 504) => status.to_string(),
                Ok(Ok(status)) => {
                    tracing::warn!(%status, "the trace collector refused spans");
                    break;
                }
                Ok(Err(reason)) => reason,
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::debug!(reason, attempt, "the trace collector did not take spans");
        }
        tracing::warn!(spans = spans.len(), "spans are lost, the trace collector did not take them");
        self.metrics.spans("lost", spans.len() as u64);
    }

    async fn post(&self, body: Bytes) -> Result<StatusCode, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let response = self.client.send(request).await.map_err(|failure| failure.as_str().to_owned())?;
        let status = response.status();
        // Read to its end, the connection serves the next post.
        let _rest = response.into_body().collect().await;
        Ok(status)
    }
}
