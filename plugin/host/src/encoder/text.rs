//! A sentence encoder: tokenizer, model, mean pooling, normalisation to length one.

use std::{
    fmt::Display,
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{EncoderError, group, queue::Encode, tokens::Tokens};
use crate::{
    OpenError, Provider,
    bundle::{
        folder::Bundle,
        layout::ENCODER,
        manifest::{Dim, Element, TensorSpec},
    },
    infer::{
        Elements, Tensor,
        ort::{Model, Runtime, SessionPool},
    },
};

/// The model's file in an encoder's folder.
pub(super) const MODEL: &str = "model.onnx";

const TOKENIZER: &str = "tokenizer.json";

/// The inputs that a model may have, in the order of `group::inputs`.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// A text-embedding model such as all-MiniLM-L6-v2: the first 256 tokens, mean-pooled, scaled to length one.
///
/// ```no_run
/// use personaroute_host::encoder::TextEncoder;
///
/// // The folder holds `model.onnx` and `tokenizer.json`; `ORT_DYLIB_PATH` names ONNX Runtime.
/// let encoder = TextEncoder::open("encoder".as_ref(), None)?;
/// let embedding = encoder.embed("What is 12 times 12?")?;
/// assert_eq!(embedding.len(), encoder.dim());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TextEncoder {
    tokens: Tokens,
    pool: SessionPool,
    /// How many of `INPUTS` the model has; the last one is optional.
    inputs: usize,
    /// Position of the hidden states among the model's outputs.
    output: usize,
    dim: usize,
    threads: usize,
}

impl TextEncoder {
    /// Opens the encoder in the folder `dir` on the CPU, with ONNX Runtime from `onnxruntime` or `ORT_DYLIB_PATH`.
    ///
    /// # Errors
    ///
    /// [`OpenError::OnnxRuntime`], or [`OpenError::Encoder`] with the file that is missing or not understood.
    pub fn open(dir: &Path, onnxruntime: Option<&Path>) -> Result<Self, OpenError> {
        let runtime = Runtime::load(onnxruntime, Provider::Cpu)?;
        Self::with_runtime(dir, &runtime, crate::Limits::default().sessions)
    }

    /// Opens the encoder in the folder `dir`.
    pub(super) fn with_runtime(dir: &Path, runtime: &Runtime, sessions: u32) -> Result<Self, OpenError> {
        let tokenizer = dir.join(TOKENIZER);
        let json = fs::read(&tokenizer).map_err(|error| refuse(&tokenizer, &error))?;
        let tokens = Tokens::parse(&json).map_err(|error| refuse(&tokenizer, &error))?;
        Self::new(tokens, &Model::File(&dir.join(MODEL)), runtime, sessions)
    }

    /// Opens the encoder of a bundle whose manifest lists it.
    pub(super) fn from_bundle(bundle: &Bundle, runtime: &Runtime, sessions: u32) -> Result<Self, OpenError> {
        let [tokenizer, model] = [TOKENIZER, MODEL].map(|name| format!("{ENCODER}/{name}"));
        let json = bundle.read(&tokenizer)?;
        let tokens = Tokens::parse(&json).map_err(|error| refuse(&bundle.source.path(&tokenizer), &error))?;
        let (file, content) = (bundle.source.path(&model), bundle.read(&model)?);
        Self::new(tokens, &Model::Memory { file: &file, content: &content }, runtime, sessions)
    }

    fn new(tokens: Tokens, model: &Model<'_>, runtime: &Runtime, sessions: u32) -> Result<Self, OpenError> {
        let (pool, signature) = SessionPool::open_as_is(runtime, model, sessions).map_err(OpenError::Encoder)?;
        let inputs = count_inputs(&signature.inputs).ok_or_else(|| {
            refuse(model.file(), &"expected the int64 inputs input_ids, attention_mask and optionally token_type_ids")
        })?;
        let (output, dim) = hidden_states(&signature.outputs).ok_or_else(|| {
            refuse(model.file(), &"expected a float32 output of dims [batch, tokens, N], such as last_hidden_state")
        })?;
        let threads = usize::try_from(sessions).unwrap_or(1).max(1);
        Ok(Self { tokens, pool, inputs, output, dim, threads })
    }

    /// Returns the length of an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns the embedding of the first 256 tokens of `text`: [`dim`](Self::dim) values whose squares sum to one.
    ///
    /// # Errors
    ///
    /// [`EncoderError::Failed`] with what the tokenizer or the model said.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, EncoderError> {
        let ids = self.ids(text)?;
        self.run(&[&ids], no_deadline()).and_then(|embeddings| embeddings.into_iter().next().ok_or_else(no_embedding))
    }

    /// Returns the embedding of each text, in order. Texts of similar length share a run, and all cores are used.
    ///
    /// # Errors
    ///
    /// [`EncoderError::Failed`] with what the tokenizer or the model said.
    pub fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EncoderError> {
        let mut indexed = texts
            .iter()
            .enumerate()
            .map(|(idx, text)| Ok(IndexedText { idx, ids: self.ids(text)? }))
            .collect::<Result<Vec<_>, _>>()?;
        indexed.sort_by_key(|text| text.ids.len());
        let lengths: Vec<_> = indexed.iter().map(|text| text.ids.len()).collect();
        let mut rest = indexed.as_slice();
        let cut = |size: usize| {
            let (group, later) = rest.split_at_checked(size)?;
            rest = later;
            Some(group)
        };
        let work = Mutex::new(group::groups(&lengths).into_iter().map_while(cut).collect::<Vec<_>>());
        let done = Mutex::new(vec![Vec::new(); texts.len()]);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(|| self.work(&work, &done))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(no_embedding())))
        })?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn work(&self, work: &Mutex<Vec<&[IndexedText]>>, done: &Mutex<Vec<Vec<f32>>>) -> Result<(), EncoderError> {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(group) = next else { return Ok(()) };
            let texts: Vec<_> = group.iter().map(|text| text.ids.as_slice()).collect();
            let embeddings = self.run(&texts, no_deadline())?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            for (text, embedding) in group.iter().zip(embeddings) {
                done.get_mut(text.idx).map(|slot| *slot = embedding).ok_or_else(no_embedding)?;
            }
        }
    }
}

impl Encode for TextEncoder {
    fn ids(&self, text: &str) -> Result<Vec<i64>, EncoderError> {
        self.tokens.ids(text)
    }

    fn run(&self, texts: &[&[i64]], deadline: Instant) -> Result<Vec<Vec<f32>>, EncoderError> {
        let inputs = group::inputs(texts);
        let inputs = inputs.get(..self.inputs).unwrap_or(&inputs);
        let outputs = self.pool.run(inputs, deadline).map_err(|error| EncoderError::Failed(error.to_string()))?;
        let Some(Tensor { elements: Elements::Float32(hidden), .. }) = outputs.get(self.output) else {
            return Err(no_embedding());
        };
        let lengths: Vec<_> = texts.iter().map(|ids| ids.len()).collect();
        Ok(group::pool(hidden, &lengths, self.dim))
    }
}

/// The tokens of a text and its position in the batch.
struct IndexedText {
    idx: usize,
    ids: Vec<i64>,
}

/// Returns the deadline of callers that have none: every wait is bounded.
fn no_deadline() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn refuse(file: &Path, reason: &dyn Display) -> OpenError {
    OpenError::Encoder(format!("{}: {reason}", file.display()))
}

fn no_embedding() -> EncoderError {
    EncoderError::Failed("the model gave no embedding".to_owned())
}

/// Returns how many of [`INPUTS`] the model has; `None` if it has any other input or lacks a required one.
fn count_inputs(specs: &[TensorSpec]) -> Option<usize> {
    let known = specs.iter().all(|spec| INPUTS.contains(&spec.name.as_str()) && spec.element == Element::I64);
    let required = INPUTS.iter().take(2).all(|name| specs.iter().any(|spec| spec.name == *name));
    (known && required).then_some(specs.len())
}

/// Returns the position and N of the first output of the shape [batch, tokens, N].
fn hidden_states(specs: &[TensorSpec]) -> Option<(usize, usize)> {
    specs.iter().enumerate().find_map(|(idx, spec)| match (spec.element, spec.dims.as_slice()) {
        (Element::F32, [_, Dim::Symbol(_), Dim::Fixed(dim)]) => Some((idx, *dim)),
        _ => None,
    })
}
