//! The inputs and outputs of the ONNX graphs: name, element type and shape.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::TextEncoder;

/// The graphs of a bundle.
///
/// ```
/// use personaroute_bundle::manifest::{EmbeddingEncoder, Graphs, TextEncoder};
///
/// let encoder = TextEncoder::Embedding(EmbeddingEncoder { dim: 384, encoder_id: "e".into(), sha256: None });
/// let graphs = Graphs::expected(32, 10, 3, &encoder);
/// assert_eq!(graphs.scorer.inputs.last().map(|input| input.to_string()).as_deref(), Some("query: f32 [batch, 384]"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graphs {
    /// Scores LLMs for a user and a query.
    pub scorer: GraphSpec,
    /// Embeds a user from interactions.
    pub adapter: GraphSpec,
}

/// One ONNX graph.
///
/// ```
/// use personaroute_bundle::manifest::GraphSpec;
///
/// # use personaroute_bundle::lexical::Lexical;
/// # use personaroute_bundle::manifest::TextEncoder;
/// let encoder = TextEncoder::Lexical(Lexical { buckets: 1_024, max_words: 2, max_ids: 256, seed: 0 });
/// let adapter = GraphSpec::adapter(32, 3, &encoder);
/// assert_eq!(adapter.file, "adapter.onnx");
/// let outputs: Vec<&str> = adapter.outputs.iter().map(|output| output.name.as_str()).collect();
/// assert_eq!(outputs, ["user", "preference", "certainty"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphSpec {
    /// The ONNX file, relative to the bundle.
    pub file: String,
    /// The ONNX operator set.
    pub opset: u32,
    /// Inputs in the graph's order.
    pub inputs: Vec<TensorSpec>,
    /// Outputs in the graph's order.
    pub outputs: Vec<TensorSpec>,
}

/// One input or output of a graph.
///
/// ```
/// use personaroute_bundle::manifest::{Dim, Element, TensorSpec};
///
/// let user = TensorSpec::new("user", Element::F32, vec![Dim::symbol("batch"), Dim::Fixed(32)]);
/// assert_eq!(user.to_string(), "user: f32 [batch, 32]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// The name in the graph.
    pub name: String,
    /// The type of each element.
    pub element: Element,
    /// The extent of each dimension.
    pub dims: Vec<Dim>,
}

/// The type of a tensor's elements.
///
/// ```
/// use personaroute_bundle::manifest::Element;
///
/// assert_eq!(Element::I64.to_string(), "i64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// 64-bit signed integers.
    I64,
}

/// The extent of one dimension.
///
/// ```
/// use personaroute_bundle::manifest::Dim;
///
/// assert_eq!(Dim::symbol("batch").to_string(), "batch");
/// assert_eq!(Dim::Fixed(3).to_string(), "3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dim {
    /// A fixed extent.
    Fixed(usize),
    /// An extent that the caller chooses; the same wherever the symbol appears in the graph.
    Symbol(String),
}

impl Graphs {
    /// Returns the graphs of this version of the format.
    pub fn expected(user_dim: usize, llms: usize, tasks: usize, encoder: &TextEncoder) -> Self {
        Self {
            scorer: GraphSpec::scorer(user_dim, llms, tasks, encoder),
            adapter: GraphSpec::adapter(user_dim, tasks, encoder),
        }
    }
}

impl GraphSpec {
    /// The operator set of exported graphs.
    pub const OPSET: u32 = 17;

    /// Returns the scorer of this version of the format, in `scorer.onnx`.
    pub fn scorer(user_dim: usize, llms: usize, tasks: usize, encoder: &TextEncoder) -> Self {
        let text = match encoder {
            TextEncoder::Lexical(_) => {
                TensorSpec::new(encoder.input_name(), Element::I64, vec![batch(), Dim::symbol("ids")])
            }
            TextEncoder::Embedding(embedding) => per_row(encoder.input_name(), embedding.dim),
        };
        Self {
            file: "scorer.onnx".into(),
            opset: Self::OPSET,
            inputs: vec![per_row("user", user_dim), per_row("preference", 1), per_row("task", tasks), text],
            outputs: vec![
                per_row("utility", llms),
                per_row("effect", llms),
                per_row("cost", llms),
                per_row("uncertainty", llms),
                per_row("task_probability", tasks),
            ],
        }
    }

    /// Returns the adapter of this version of the format, in `adapter.onnx`: moves the user embedding `start`, behind which
    /// stand `start_interactions`, by `interactions` more.
    ///
    /// - `task`: one-hot for a declared task, probabilities for a guessed one; what is missing to 1 is an unknown task.
    /// - `ngrams` or `query`: the query's features; all zero where they are not known.
    /// - `kind`: 0 for a rating, 1 for a choice among the responses of its `group`.
    /// - `value`: a reward on the training data's scale; of a choice, 1 for the best response and 0 for the others.
    /// - `weight`: 0 to 1; 0 is padding.
    /// - `certainty`: share of the prior's variance that is removed, 0 to 1.
    pub fn adapter(user_dim: usize, tasks: usize, encoder: &TextEncoder) -> Self {
        let per_interaction =
            |name, element| TensorSpec::new(name, element, vec![batch(), Dim::symbol("interactions")]);
        let with = |mut spec: TensorSpec, dim| {
            spec.dims.push(dim);
            spec
        };
        let text = match encoder {
            TextEncoder::Lexical(_) => with(per_interaction("ngrams", Element::I64), Dim::symbol("ids")),
            TextEncoder::Embedding(embedding) => {
                with(per_interaction("query", Element::F32), Dim::Fixed(embedding.dim))
            }
        };
        Self {
            file: "adapter.onnx".into(),
            opset: Self::OPSET,
            inputs: vec![
                per_row("start", user_dim),
                per_row("start_interactions", 1),
                per_interaction("llm", Element::I64),
                with(per_interaction("task", Element::F32), Dim::Fixed(tasks)),
                text,
                per_interaction("kind", Element::I64),
                per_interaction("value", Element::F32),
                per_interaction("weight", Element::F32),
                per_interaction("group", Element::I64),
            ],
            outputs: vec![per_row("user", user_dim), per_row("preference", 1), per_row("certainty", 1)],
        }
    }
}

impl TensorSpec {
    /// Returns the description of a tensor.
    pub fn new(name: impl Into<String>, element: Element, dims: Vec<Dim>) -> Self {
        Self { name: name.into(), element, dims }
    }
}

impl Dim {
    /// Returns a dimension that the caller chooses.
    pub fn symbol(name: impl Into<String>) -> Self {
        Self::Symbol(name.into())
    }
}

fn batch() -> Dim {
    Dim::symbol("batch")
}

fn per_row(name: &str, extent: usize) -> TensorSpec {
    TensorSpec::new(name, Element::F32, vec![batch(), Dim::Fixed(extent)])
}

impl Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [", self.name, self.element)?;
        for (idx, dim) in self.dims.iter().enumerate() {
            write!(f, "{}{dim}", if idx == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

impl Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(extent) => extent.fmt(f),
            Self::Symbol(name) => name.fmt(f),
        }
    }
}
