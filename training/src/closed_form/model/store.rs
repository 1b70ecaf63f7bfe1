//! Saving and loading the closed-form model.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::ClosedForm;
use super::adapter::Adapter;
use super::factor::Loadings;
use super::preference::PreferenceDirection;
use super::text::TextScorer;
use crate::graph::query::TextEncoder;
use crate::model::facts::Facts;
use crate::model::store::{TENSORS, load, save_model};

impl ClosedForm {
    /// Writes the model into a folder.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let mut named: Vec<(String, Tensor)> =
            self.named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous())).collect();
        named.extend(self.text.named().into_iter().map(|(name, tensor)| (name.to_owned(), tensor.contiguous())));
        if let Some(loadings) = &self.adapter.loadings {
            named.push(("adapter.loadings".to_owned(), loadings.table.contiguous()));
        }
        named.push(("adapter.range".to_owned(), Tensor::from_slice(&self.adapter.range)));
        named.push(("adapter.bins".to_owned(), Tensor::from_slice(&[self.adapter.bins])));
        save_model(dir, &self.facts, &named)
    }

    /// Reads the model of a folder, whose facts are read already.
    pub fn load(dir: &Path, facts: Facts) -> Result<Self> {
        let lexical = matches!(facts.hparams.text, TextEncoder::Lexical(_));
        let mut found: HashMap<String, Tensor> = load(&dir.join(TENSORS))?.into_iter().collect();
        let loadings = found.remove("adapter.loadings").map(|table| Loadings { table });
        let mut take = |name: &str| found.remove(name).with_context(|| format!("{TENSORS}: no tensor {name}"));
        let text = TextScorer::take(lexical, &mut take)?;
        Ok(Self {
            facts,
            adapter: {
                let [range, bins] = ["adapter.range", "adapter.bins"].map(&mut take);
                let (range, bins) = (range?, bins?);
                Adapter {
                    table: take("adapter.table")?,
                    range: [range.double_value(&[0]), range.double_value(&[1])],
                    bins: bins.int64_value(&[0]),
                    prior: take("adapter.prior")?,
                    embedding: take("adapter.embedding")?,
                    loadings,
                }
            },
            weights: (take("weights.weight")?, take("weights.bias")?),
            values: take("values")?,
            text,
            preference: PreferenceDirection {
                effect: take("preference.effect")?,
                cost: take("preference.cost")?,
                gain: take("preference.gain")?,
                offset: take("preference.offset")?,
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
            ("preference.effect", &self.preference.effect),
            ("preference.cost", &self.preference.cost),
            ("preference.gain", &self.preference.gain),
            ("preference.offset", &self.preference.offset),
            ("deviation", &self.deviation),
            ("users", &self.users),
        ]
    }
}
