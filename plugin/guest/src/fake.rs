//! A host for tests: records every run and returns scores that depend on the row and the column.

use std::cell::RefCell;
use std::collections::BTreeMap;

use personaroute_bundle::lexical::{ENCODING_VERSION, Lexical};

use crate::host::{Elements, Host, Output, Tensor};
use crate::model::{Candidates, Model, NONE, Profile, Ranking, Request, RoutingError, TextEncoder};

/// One recorded run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) graph: String,
    inputs: BTreeMap<&'static str, (Vec<u32>, Recorded)>,
}

#[derive(Clone, Debug)]
enum Recorded {
    Float32(Vec<f32>),
    Int64(Vec<i64>),
}

/// A host whose results a test sets.
#[derive(Default)]
pub(crate) struct FakeHost {
    pub(crate) profiles: BTreeMap<String, Profile>,
    pub(crate) embedding: Option<Vec<f32>>,
    pub(crate) outputs: Option<Vec<Output>>,
    pub(crate) failure: Option<RoutingError>,
    pub(crate) runs: RefCell<Vec<Run>>,
    pub(crate) warnings: RefCell<Vec<String>>,
}

impl FakeHost {
    /// Returns these outputs for every run.
    pub(crate) fn returning(outputs: Vec<Output>) -> Self {
        Self { outputs: Some(outputs), ..Self::default() }
    }

    /// Fails every run.
    pub(crate) fn failing(failure: RoutingError) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        self.runs.borrow().clone()
    }

    pub(crate) fn warnings(&self) -> usize {
        self.warnings.borrow().len()
    }
}

impl Host for FakeHost {
    fn run(&self, graph: &str, inputs: &[Tensor<'_>]) -> Result<Vec<Output>, RoutingError> {
        let record = |tensor: &Tensor<'_>| {
            let elements = match tensor.elements {
                Elements::Float32(elements) => Recorded::Float32(elements.into()),
                Elements::Int64(elements) => Recorded::Int64(elements.into()),
            };
            (tensor.name, (tensor.dims.clone(), elements))
        };
        let run = Run { graph: graph.into(), inputs: inputs.iter().map(record).collect() };
        let result = self.failure.clone().map_or_else(|| Ok(self.outputs.clone().unwrap_or_else(|| scores(&run))), Err);
        self.runs.borrow_mut().push(run);
        result
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, RoutingError> {
        let absent = RoutingError::Inference(format!("no embedding of {} bytes", text.len()));
        self.embedding.clone().ok_or(absent)
    }

    fn profile(&self, user: &str) -> Option<Profile> {
        self.profiles.get(user).cloned()
    }

    fn warn(&self, message: &str) {
        self.warnings.borrow_mut().push(message.into());
    }
}

impl Run {
    pub(crate) fn float32(&self, name: &str) -> (Vec<u32>, Vec<f32>) {
        match &self.inputs[name] {
            (dims, Recorded::Float32(elements)) => (dims.clone(), elements.clone()),
            other => panic!("{name} is {other:?}"),
        }
    }

    pub(crate) fn int64(&self, name: &str) -> (Vec<u32>, Vec<i64>) {
        match &self.inputs[name] {
            (dims, Recorded::Int64(elements)) => (dims.clone(), elements.clone()),
            other => panic!("{name} is {other:?}"),
        }
    }
}

/// Scores of three LLMs: column 0 is the best for a user whose embedding starts with a positive value, else column 2. The
/// task is the declared one, else `code`.
fn scores(run: &Run) -> Vec<Output> {
    let (user, task) = (run.float32("user"), run.float32("task"));
    let rows = user.1.chunks(user.0[1] as usize);
    let utility = rows.flat_map(|row| if row[0] > 0.0 { [0.9, 0.5, 0.1] } else { [0.1, 0.5, 0.9] });
    let tasks = task.1.chunks(2).flat_map(|row| if row[1] > 0.0 { [0.0, 1.0] } else { [0.75, 0.25] });
    let n = 3 * user.0[0] as usize;
    let output = |name: &str, elements: Vec<f32>| Output { name: name.into(), elements };
    vec![
        output("utility", utility.collect()),
        output("effect", vec![0.8; n]),
        output("cost", vec![0.2; n]),
        output("uncertainty", vec![0.1; n]),
        output("task_probability", tasks.collect()),
    ]
}

/// A model with three LLM columns, the tasks `code` and `math`, and user embeddings of two values.
pub(crate) fn model() -> Model {
    Model {
        text_encoder: TextEncoder::Lexical(
            ENCODING_VERSION,
            Lexical { buckets: 1_000, max_words: 2, max_ids: 64, seed: 1 },
        ),
        tasks: vec!["code".into(), "math".into()],
        llm_columns: 3,
        prior: vec![0.0, 0.0],
    }
}

impl Candidates {
    /// Adds a candidate with prices of 1 and 2 USD per million tokens and no context window.
    pub(crate) fn push(&mut self, llm: &str, column: Option<u32>) {
        self.ids.push_str(llm);
        self.id_ends.push(u32::try_from(self.ids.len()).unwrap());
        self.columns.push(column.unwrap_or(NONE));
        self.input_prices.push(1.0);
        self.output_prices.push(2.0);
        self.context_windows.push(NONE);
    }
}

/// The ids in the order of the ranking.
pub(crate) fn ids<'a>(request: &'a Request, ranking: &Ranking) -> Vec<&'a str> {
    ranking.order.iter().map(|position| request.candidates.id(*position as usize)).collect()
}

/// An anonymous request; the candidates have the columns in order.
pub(crate) fn request(llms: &[&str]) -> Request {
    let mut candidates = Candidates::default();
    llms.iter().zip(0..).for_each(|(llm, column)| candidates.push(llm, Some(column)));
    Request {
        user: None,
        text: "How many apples are left?".into(),
        task: None,
        preference: None,
        candidates,
        prompt_tokens: 6,
    }
}
