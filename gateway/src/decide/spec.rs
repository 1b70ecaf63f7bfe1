//! An LLM at one of the places that serve it, as the deciding functions see it.

use std::sync::Arc;

use super::Capability;

/// What one LLM costs and can do at one place.
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
    /// Most tokens of prompt and answer together.
    pub context_window: Option<u32>,
    /// What it can do; empty when nothing is declared.
    pub capabilities: Vec<Capability>,
    /// Where the place is; none when nothing is declared.
    pub region: Option<String>,
}

impl ModelSpec {
    /// Returns the price of an answer as long as its prompt, the order of "cheapest first".
    pub fn blended_price(&self) -> f32 {
        self.input_price + self.output_price
    }
}
