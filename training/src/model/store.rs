//! Saving and loading: `model.safetensors` holds the tensors, `model.json` the facts.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::axis::Axis;
use super::belief::Belief;
use super::taste::Tastes;
use super::text::FrozenText;
use super::{Facts, Model};
use crate::train::hparams::TextEncoder;

const TENSORS: &str = "model.safetensors";
const FACTS: &str = "model.json";

impl Model {
    /// Writes the model into a folder.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let mut named: Vec<(String, Tensor)> =
            self.named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous())).collect();
        named.extend(self.text.named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous())));
        if let Some(tastes) = &self.adapter.tastes {
            named.push(("adapter.loadings".to_owned(), tastes.loadings.contiguous()));
        }
        named.push(("adapter.range".to_owned(), Tensor::from_slice(&self.adapter.range)));
        named.push(("adapter.bins".to_owned(), Tensor::from_slice(&[self.adapter.bins])));
        save(&dir.join(TENSORS), &named)?;
        let facts = serde_json::to_string_pretty(&self.facts).context("facts")?;
        fs::write(dir.join(FACTS), facts).with_context(|| format!("write {}", dir.join(FACTS).display()))
    }

    /// Reads the model of a folder.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(FACTS);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let facts: Facts =
            serde_json::from_str(&text).with_context(|| format!("{}: not a model's facts", path.display()))?;
        let lexical = matches!(facts.hparams.text, TextEncoder::Lexical(_));
        let mut found: HashMap<String, Tensor> = load(&dir.join(TENSORS))?.into_iter().collect();
        let tastes = found.remove("adapter.loadings").map(|loadings| Tastes { loadings });
        let mut take = |name: &str| found.remove(name).with_context(|| format!("{TENSORS}: no tensor {name}"));
        let text = FrozenText::take(lexical, &mut take)?;
        Ok(Self {
            facts,
            adapter: {
                let [range, bins] = ["adapter.range", "adapter.bins"].map(&mut take);
                let (range, bins) = (range?, bins?);
                Belief {
                    table: take("adapter.table")?,
                    range: [range.double_value(&[0]), range.double_value(&[1])],
                    bins: bins.int64_value(&[0]),
                    prior: take("adapter.prior")?,
                    embedding: take("adapter.embedding")?,
                    tastes,
                }
            },
            weights: (take("weights.weight")?, take("weights.bias")?),
            values: take("values")?,
            text,
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
            ("adapter.table", &self.adapter.table),
            ("adapter.prior", &self.adapter.prior),
            ("adapter.embedding", &self.adapter.embedding),
            ("weights.weight", &self.weights.0),
            ("weights.bias", &self.weights.1),
            ("values", &self.values),
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
