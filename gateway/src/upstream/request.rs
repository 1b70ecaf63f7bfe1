//! A request to an upstream, before it is an HTTP request.

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    api::{Wire, translate::Translation},
    decide::ModelSpec,
};

/// One request to an upstream.
#[derive(Debug)]
pub struct UpstreamRequest<'a> {
    /// The wire format.
    pub wire: Wire,
    /// The client's query string.
    pub query: Option<&'a str>,
    /// The headers to send.
    pub headers: HeaderMap,
    /// The body, with the upstream's model name, and translated if the upstream needs it.
    pub body: Bytes,
    /// The translation that produced `body`; none if the upstream speaks the client's format.
    pub translation: Option<&'a Translation>,
    /// What an upstream of kind `simulated` reports about the decision.
    pub simulated: SimulatedRequest<'a>,
}

/// What the simulated response reports about the decision.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedRequest<'a> {
    /// The chosen LLM.
    pub spec: &'a ModelSpec,
    /// The upstream's name for it.
    pub name: &'a str,
    /// The explanation of the decision.
    pub why: &'a str,
}
