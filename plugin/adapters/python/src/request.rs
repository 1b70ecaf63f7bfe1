//! What is asked: a query with its user and its candidates.

use std::sync::Arc;

use personaroute_host as host;
use pyo3::{pyclass, pymethods};

use crate::profile::Profile;

/// An LLM to rank.
#[pyclass(frozen, get_all, eq, from_py_object, module = "personaroute")]
#[derive(Clone, PartialEq)]
pub(crate) struct Candidate {
    llm: String,
    input_price: f32,
    output_price: f32,
    context_window: Option<u32>,
}

#[pymethods]
impl Candidate {
    #[new]
    #[pyo3(signature = (llm, *, input_price=0.0, output_price=0.0, context_window=None))]
    fn new(llm: String, input_price: f32, output_price: f32, context_window: Option<u32>) -> Self {
        Self { llm, input_price, output_price, context_window }
    }

    fn __repr__(&self) -> String {
        let Self { llm, input_price, output_price, context_window } = self;
        let window = context_window.map_or_else(|| "None".to_owned(), |tokens| tokens.to_string());
        format!("Candidate({llm:?}, input_price={input_price}, output_price={output_price}, context_window={window})")
    }
}

impl From<&Candidate> for host::Candidate {
    fn from(candidate: &Candidate) -> Self {
        Self {
            llm: Arc::from(candidate.llm.as_str()),
            input_price: candidate.input_price,
            output_price: candidate.output_price,
            context_window: candidate.context_window,
        }
    }
}

impl From<&host::Candidate> for Candidate {
    fn from(candidate: &host::Candidate) -> Self {
        Self {
            llm: candidate.llm.to_string(),
            input_price: candidate.input_price,
            output_price: candidate.output_price,
            context_window: candidate.context_window,
        }
    }
}

/// One query to route.
#[pyclass(frozen, module = "personaroute")]
pub(crate) struct Request {
    inner: host::RouteRequest,
}

impl Request {
    pub(crate) fn inner(&self) -> &host::RouteRequest {
        &self.inner
    }
}

#[pymethods]
impl Request {
    #[new]
    #[pyo3(signature = (text, candidates, *, user=None, task=None, preference=None, prompt_tokens=0, profile=None))]
    #[expect(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        text: String,
        candidates: Vec<Candidate>,
        user: Option<String>,
        task: Option<String>,
        preference: Option<f32>,
        prompt_tokens: u32,
        profile: Option<Profile>,
    ) -> Self {
        let candidates = candidates.iter().map(host::Candidate::from).collect();
        let profile = profile.map(host::Profile::from);
        Self { inner: host::RouteRequest { user, text, task, preference, candidates, prompt_tokens, profile } }
    }
}
