//! `/v1/messages/count_tokens`: the count of an Anthropic endpoint of the chosen LLM, or an estimate.
//!
//! Only Anthropic's interface counts without answering. If the chosen LLM has no endpoint of that kind, or it does not count, the
//! response is the estimate that context windows and budgets use, and is marked as one.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::{
    Error, Proxy, RequestBody, Snapshot, admit, decide,
    headers::{self, Credentials},
    read::ParsedRequest,
};
use crate::{
    api::Wire,
    config::Kind,
    decide::Plan,
    upstream::{Body, Circuit, Endpoint, SimulatedRequest, UpstreamRequest, body},
};

/// The path below an upstream's base URL.
const PATH: &str = "/messages/count_tokens";

/// Most bytes of an upstream's count.
const COUNT_BYTES: usize = 64 << 10;

/// Marks a count that no tokenizer made.
const ESTIMATED: HeaderName = HeaderName::from_static("x-personaroute-estimated");

/// The LLM whose endpoint counted.
const MODEL: HeaderName = HeaderName::from_static("x-personaroute-model");

impl Proxy {
    /// Counts the tokens of a messages request.
    ///
    /// # Errors
    ///
    /// Refuses what a messages request with this body would be refused for: the key, its models and limits, an unknown model,
    /// an invalid body.
    pub(super) async fn count_tokens<B: RequestBody>(
        &self,
        snapshot: &Snapshot,
        parts: &Parts,
        body: B,
    ) -> Result<Response<Body>, Error> {
        let _permit = self.permit()?;
        let request = ParsedRequest::read(Wire::Messages, parts, body, &snapshot.config).await?;
        let _lease = admit::try_admit(&self.ledger, &snapshot.config.auth, &request)?;
        let knowledge = self.knowledge(snapshot, request.user.as_deref(), &request.model).await;
        match decide::decide(snapshot, &self.sessions, &request, &knowledge).await {
            Ok(plan) => {
                if let Some(counted) = counted(snapshot, &request, &plan).await {
                    return Ok(counted);
                }
            }
            Err(error @ Error::UnknownModel(_)) => return Err(error),
            // Whoever counts a prompt may do so because no LLM takes it.
            Err(_) => {}
        }
        let estimate = json!({"input_tokens": request.facts.prompt_tokens().max(1)});
        let mut response = as_json(Bytes::from(estimate.to_string()));
        response.headers_mut().insert(ESTIMATED, HeaderValue::from_static("1"));
        Ok(response)
    }
}

/// Returns the count of an Anthropic endpoint of the chosen LLM, or its refusal of the request; none if none counts.
async fn counted(snapshot: &Snapshot, request: &ParsedRequest<'_>, plan: &Plan) -> Option<Response<Body>> {
    let llm = snapshot.models.find(&plan.chosen()?.llm)?;
    if request.carries_reasoning() {
        return None;
    }
    for endpoint in llm.endpoints.iter().filter(|endpoint| endpoint.upstream.config.kind == Kind::Anthropic) {
        if matches!(endpoint.try_acquire(Instant::now()), Circuit::Open(_)) {
            continue;
        }
        // A count says nothing about answers.
        endpoint.release_trial();
        let asked = ask(request, plan, endpoint);
        let count = tokio::time::timeout(snapshot.config.timeouts.first_byte, Box::pin(asked)).await;
        if let Ok(Some((status, count))) = count {
            let mut response = as_json(count);
            *response.status_mut() = status;
            if let Ok(name) = HeaderValue::from_bytes(llm.id.as_bytes()) {
                response.headers_mut().insert(MODEL, name);
            }
            return Some(response);
        }
    }
    None
}

/// Asks `endpoint`. Returns its count, or its error if the request is invalid.
async fn ask(request: &ParsedRequest<'_>, plan: &Plan, endpoint: &Endpoint) -> Option<(StatusCode, Bytes)> {
    let credentials = if request.caller.has_gateway_key() { Credentials::Gateway } else { Credentials::Upstream };
    let call = UpstreamRequest {
        wire: Wire::Messages,
        query: request.query,
        headers: headers::request_headers(request.headers, credentials),
        body: request.document.with_model(&endpoint.name),
        translation: None,
        simulated: SimulatedRequest { spec: &endpoint.spec, name: &endpoint.name, why: &plan.why },
    };
    let (head, body) = endpoint.upstream.send_to(PATH, call).await.ok()?.into_parts();
    let read = Limited::new(body, COUNT_BYTES).collect().await.ok()?.to_bytes();
    let written: Value = serde_json::from_slice(&read).ok()?;
    let is_count = head.status.is_success() && written.get("input_tokens").is_some_and(Value::is_u64);
    let is_refusal = head.status == StatusCode::BAD_REQUEST && written.get("error").is_some();
    (is_count || is_refusal).then_some((head.status, read))
}

fn as_json(text: Bytes) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
