//! Saving and loading: `model.safetensors` holds the tensors, `model.json` the facts.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::Model;
use super::adapter::FrozenAdapter;
use super::axis::Axis;
use super::text::FrozenText;

const TENSORS: &str = "model.safetensors";
const FACTS: &str = "model.json";

impl Model {
    /// Writes the model into a folder.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let mut named: Vec<(String, Tensor)> =
            self.named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous())).collect();
        named.push(("text.plain".to_owned(), Tensor::from_slice(&[self.text.plain])));
        save(&dir.join(TENSORS), &named)?;
        let facts = serde_json::to_string_pretty(&self.facts).context("facts")?;
        fs::write(dir.join(FACTS), facts).with_context(|| format!("write {}", dir.join(FACTS).display()))
    }

    /// Reads the model of a folder.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FACTS);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let facts = serde_json::from_str(&text).with_context(|| format!("{}: not a model's facts", path.display()))?;
        let mut found: HashMap<String, Tensor> = load(&dir.join(TENSORS))?.into_iter().collect();
        let mut take = |name: &str| found.remove(name).with_context(|| format!("{TENSORS}: no tensor {name}"));
        Ok(Self {
            facts,
            adapter: FrozenAdapter {
                cell: take("adapter.cell")?,
                signal: take("adapter.signal")?,
                read: (take("adapter.read.weight")?, take("adapter.read.bias")?),
                out: (take("adapter.out.weight")?, take("adapter.out.bias")?),
            },
            weights: (take("weights.weight")?, take("weights.bias")?),
            values: take("values")?,
            text: FrozenText {
                input: take("text.input")?,
                plain: take("text.plain")?.int64_value(&[0]),
                ease: take("text.ease")?,
                slopes: take("text.slopes")?,
                task: (take("text.task.weight")?, take("text.task.bias")?),
                residual: take("text.residual")?,
            },
            axis: Axis {
                quality: take("axis.quality")?,
                cost: take("axis.cost")?,
                gain: take("axis.gain")?,
                offset: take("axis.offset")?,
            },
            deviation: take("deviation")?,
            users: take("users")?,
        })
    }

    fn named(&self) -> Vec<(&'static str, &Tensor)> {
        vec![
            ("adapter.cell", &self.adapter.cell),
            ("adapter.signal", &self.adapter.signal),
            ("adapter.read.weight", &self.adapter.read.0),
            ("adapter.read.bias", &self.adapter.read.1),
            ("adapter.out.weight", &self.adapter.out.0),
            ("adapter.out.bias", &self.adapter.out.1),
            ("weights.weight", &self.weights.0),
            ("weights.bias", &self.weights.1),
            ("values", &self.values),
            ("text.input", &self.text.input),
            ("text.task.weight", &self.text.task.0),
            ("text.task.bias", &self.text.task.1),
            ("text.residual", &self.text.residual),
            ("text.ease", &self.text.ease),
            ("text.slopes", &self.text.slopes),
            ("axis.quality", &self.axis.quality),
            ("axis.cost", &self.axis.cost),
            ("axis.gain", &self.axis.gain),
            ("axis.offset", &self.axis.offset),
            ("deviation", &self.deviation),
            ("users", &self.users),
        ]
    }
}

/// Writes named tensors.
pub fn save(path: &Path, named: &[(String, Tensor)]) -> Result<()> {
    Tensor::write_safetensors(named, path).with_context(|| format!("write {}", path.display()))
}

/// Reads named tensors.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>> {
    Tensor::read_safetensors(path).with_context(|| format!("read {}", path.display()))
}
