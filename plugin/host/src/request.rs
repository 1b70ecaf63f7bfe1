//! What a caller asks: a query, its user, the LLMs that may answer.

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
/// assert!(request.preference.is_none(), "the user's own preference counts");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteRequest {
    /// The user's id; none for an anonymous request.
    pub user: Option<String>,
    /// The query: the text of the last user message.
    pub text: String,
    /// The declared task's name; none when unknown, which is the normal case.
    pub task: Option<String>,
    /// Weight of effect against cost, 0 (cost only) to 1 (effect only), in place of the user's own.
    pub preference: Option<f32>,
    /// The LLMs that may answer: 1 to 4,096, each id once.
    pub candidates: Vec<Candidate>,
    /// Estimated tokens of the whole prompt, held against context windows.
    pub prompt_tokens: u32,
    /// In place of the user table's: the profile of a user who adapted since.
    pub profile: Option<Profile>,
}

/// An LLM that may answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The LLM's id in the bundle's catalog, which the decision hands back.
    pub llm: Arc<str>,
    /// USD per million input tokens.
    pub input_price: f32,
    /// USD per million output tokens.
    pub output_price: f32,
    /// Most tokens of prompt and answer together.
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
