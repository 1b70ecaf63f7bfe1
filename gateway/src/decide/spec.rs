//! The properties of an LLM at one endpoint that decisions use.

use std::sync::Arc;

use super::Capability;

/// The prices, limits and capabilities of one LLM at one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The id in the bundle's catalog.
    pub llm: Arc<str>,
    /// USD per million input tokens.
    pub input_price: f32,
    /// USD per million output tokens.
    pub output_price: f32,
    /// USD per million input tokens read from the prompt cache.
    pub cached_input_price: f32,
    /// Most tokens of prompt and output together.
    pub context_window: Option<u32>,
    /// The declared capabilities; empty if none are declared.
    pub capabilities: Vec<Capability>,
    /// The region tag of the endpoint; none if it is not declared.
    pub region: Option<String>,
}

impl ModelSpec {
    /// Returns the input price plus the output price, which "cheapest first" orders by.
    pub fn blended_price(&self) -> f32 {
        self.input_price + self.output_price
    }
}
