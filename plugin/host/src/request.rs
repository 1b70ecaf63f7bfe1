//! The input of a routing call: a query, its user, the candidate LLMs.

use std::sync::Arc;

use personaroute_bundle::catalog::Llm;

use crate::Profile;

/// One query to route.
///
/// ```
/// use personaroute_host::{Candidate, RouteRequest};
///
/// let request = RouteRequest {
///     user: Some("ada".to_owned()),
///     text: "What is 12 times 12?".to_owned(),
///     candidates: vec![Candidate { llm: "small".into(), input_price: 0.1, output_price: 0.4, context_window: None }],
///     ..RouteRequest::default()
/// };
/// assert!(request.preference.is_none(), "the user's own preference is used");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteRequest {
    /// The user's id; `None` for an anonymous request.
    pub user: Option<String>,
    /// The query: the text of the last user message.
    pub text: String,
    /// Name of the declared task; `None` when unknown, which is the normal case.
    pub task: Option<String>,
    /// Weight of effect against cost, 0 (cost only) to 1 (effect only), that replaces the user's own.
    pub preference: Option<f32>,
    /// The LLMs to rank: 1 to 4,096, each id once.
    pub candidates: Vec<Candidate>,
    /// Estimated tokens of the whole prompt, compared with context windows.
    pub prompt_tokens: u32,
    /// Profile that replaces the one in the user table, such as an adapted one.
    pub profile: Option<Profile>,
}

/// An LLM to rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The LLM's id in the bundle's catalog; the decision repeats it.
    pub llm: Arc<str>,
    /// USD per million input tokens.
    pub input_price: f32,
    /// USD per million output tokens.
    pub output_price: f32,
    /// Most tokens of prompt and completion together; `None` if unbounded.
    pub context_window: Option<u32>,
}

impl Candidate {
    /// Returns the candidate as the bundle's catalog describes it.
    pub fn from_catalog(llm: &Llm) -> Self {
        Self {
            llm: Arc::from(llm.id.as_str()),
            input_price: llm.input_price,
            output_price: llm.output_price,
            context_window: llm.context_window,
        }
    }
}
