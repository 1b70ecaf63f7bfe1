//! `/v1/messages/count_tokens`: an estimate of a prompt's tokens, without a call.
//!
//! Upstreams count with tokenizers of their own, and a virtual model has several. The estimate is the one that context windows
//! and budgets use, and the response is marked as one.

use http::{HeaderName, HeaderValue, Response, header, request::Parts};
use serde_json::json;

use super::{Error, Proxy, RequestBody, Snapshot, admit, read::ParsedRequest};
use crate::{
    api::Wire,
    upstream::{Body, body},
};

/// Marks a count that no tokenizer made.
const ESTIMATED: HeaderName = HeaderName::from_static("x-personaroute-estimated");

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
        let is_known =
            snapshot.models.find(&request.model).is_some() || snapshot.models.policy(&request.model).is_some();
        if !is_known {
            return Err(Error::UnknownModel(request.model));
        }
        let counted = json!({"input_tokens": request.facts.prompt_tokens().max(1)});
        let mut response = Response::new(body::full(counted.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(ESTIMATED, HeaderValue::from_static("1"));
        Ok(response)
    }
}
