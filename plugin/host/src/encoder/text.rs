//! A sentence encoder: tokenizer, model, mean pooling, length one.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{EncoderError, group, queue::Encode, tokens::Tokens};
use crate::{
    OpenError, Provider,
    bundle::manifest::{Dim, Element, TensorSpec},
    infer::{
        Elements, Tensor,
        ort::{Pool, Runtime},
    },
};

/// The model's file in an encoder's folder.
pub(super) const MODEL: &str = "model.onnx";

const TOKENIZER: &str = "tokenizer.json";

/// What the model may take, in the order of `group::inputs`.
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
    pool: Pool,
    /// How many of `INPUTS` the model takes; the last one is optional.
    inputs: usize,
    /// Place of the hidden states among the model's outputs.
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

    pub(crate) fn with_runtime(dir: &Path, runtime: &Runtime, sessions: u32) -> Result<Self, OpenError> {
        let tokens = Tokens::open(&dir.join(TOKENIZER)).map_err(OpenError::Encoder)?;
        let model = dir.join(MODEL);
        let (pool, contract) = Pool::open_as_is(runtime, &model, sessions).map_err(OpenError::Encoder)?;
        let refuse = |reason: &str| OpenError::Encoder(format!("{}: {reason}", model.display()));
        let inputs = count_inputs(&contract.inputs).ok_or_else(|| {
            refuse("expected the int64 inputs input_ids, attention_mask and, if any more, token_type_ids")
        })?;
        let (output, dim) = hidden_states(&contract.outputs)
            .ok_or_else(|| refuse("expected a float32 output of dims [batch, tokens, N], such as last_hidden_state"))?;
        let threads = usize::try_from(sessions).unwrap_or(1).max(1);
        Ok(Self { tokens, pool, inputs, output, dim, threads })
    }

    /// Returns the length of an embedding.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Returns the embedding of the first 256 tokens of `text`.
    ///
    /// # Errors
    ///
    /// [`EncoderError::Failed`] with what the tokenizer or the model said.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, EncoderError> {
        let ids = self.ids(text)?;
        self.run(&[&ids], patience()).and_then(|embeddings| embeddings.into_iter().next().ok_or_else(short))
    }

    /// Returns the embedding of each text, in order, on all cores: texts of similar length share a run.
    ///
    /// # Errors
    ///
    /// [`EncoderError::Failed`] with what the tokenizer or the model said.
    pub fn embed_batch(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EncoderError> {
        let mut numbered = texts
            .iter()
            .enumerate()
            .map(|(idx, text)| Ok(Numbered { idx, ids: self.ids(text)? }))
            .collect::<Result<Vec<_>, _>>()?;
        numbered.sort_by_key(|text| text.ids.len());
        let lengths: Vec<_> = numbered.iter().map(|text| text.ids.len()).collect();
        let mut rest = numbered.as_slice();
        let cut = |size: usize| {
            let (group, later) = rest.split_at_checked(size)?;
            rest = later;
            Some(group)
        };
        let work = Mutex::new(group::groups(&lengths).into_iter().map_while(cut).collect::<Vec<_>>());
        let done = Mutex::new(vec![Vec::new(); texts.len()]);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..self.threads).map(|_| scope.spawn(|| self.work(&work, &done))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(short())))
        })?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn work(&self, work: &Mutex<Vec<&[Numbered]>>, done: &Mutex<Vec<Vec<f32>>>) -> Result<(), EncoderError> {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(group) = next else { return Ok(()) };
            let texts: Vec<_> = group.iter().map(|text| text.ids.as_slice()).collect();
            let embeddings = self.run(&texts, patience())?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            for (text, embedding) in group.iter().zip(embeddings) {
                done.get_mut(text.idx).map(|slot| *slot = embedding).ok_or_else(short)?;
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
            return Err(short());
        };
        let lengths: Vec<_> = texts.iter().map(|ids| ids.len()).collect();
        Ok(group::pool(hidden, &lengths, self.dim))
    }
}

/// One text of a batch and its place in it.
struct Numbered {
    idx: usize,
    ids: Vec<i64>,
}

/// Callers without a deadline wait for a session, but not for ever.
fn patience() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn short() -> EncoderError {
    EncoderError::Failed("the model gave no embedding".to_owned())
}

/// Returns how many of [`INPUTS`] the model takes, if it takes nothing else.
fn count_inputs(specs: &[TensorSpec]) -> Option<usize> {
    let known = specs.iter().all(|spec| INPUTS.contains(&spec.name.as_str()) && spec.element == Element::I64);
    let required = INPUTS.iter().take(2).all(|name| specs.iter().any(|spec| spec.name == *name));
    (known && required).then_some(specs.len())
}

/// Returns the place and dimension of the first output of the shape [batch, tokens, N].
fn hidden_states(specs: &[TensorSpec]) -> Option<(usize, usize)> {
    specs.iter().enumerate().find_map(|(idx, spec)| match (spec.element, spec.dims.as_slice()) {
        (Element::F32, [_, Dim::Symbol(_), Dim::Fixed(dim)]) => Some((idx, *dim)),
        _ => None,
    })
}
