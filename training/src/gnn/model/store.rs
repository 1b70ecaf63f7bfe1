//! Saving and loading the trained graph network.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::Gnn;
use super::reader::Reader;
use crate::closed_form::model::preference::PreferenceDirection;
use crate::closed_form::model::text::TextScorer;
use crate::graph::query::TextEncoder;
use crate::model::facts::Facts;
use crate::model::store::{TENSORS, load, save_model};

impl Gnn {
    /// Writes the model into a folder.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let own = self.named().into_iter().map(|(name, tensor)| (name, tensor.shallow_clone()));
        let mut named: Vec<(String, Tensor)> =
            own.chain(self.text.named()).map(|(name, tensor)| (name.to_owned(), tensor.contiguous())).collect();
        named.push(("own".to_owned(), Tensor::from_slice(&[self.own])));
        save_model(dir, &self.facts, &named)
    }

    /// Reads the model of a folder, whose facts are read already.
    pub fn load(dir: &Path, facts: Facts) -> Result<Self> {
        let lexical = matches!(facts.hparams.text, TextEncoder::Lexical(_));
        let mut found: HashMap<String, Tensor> = load(&dir.join(TENSORS))?.into_iter().collect();
        let mut take = |name: &str| found.remove(name).with_context(|| format!("{TENSORS}: no tensor {name}"));
        let text = TextScorer::take(lexical, &mut take)?;
        Ok(Self {
            facts,
            text,
            weights: (take("weights.weight")?, take("weights.bias")?),
            values: take("values")?,
            length_values: take("lengths.values")?,
            lengths: take("lengths.table")?,
            preference: PreferenceDirection {
                effect: take("preference.effect")?,
                cost: take("preference.cost")?,
                gain: take("preference.gain")?,
                offset: take("preference.offset")?,
            },
            own: take("own")?.int64_value(&[0]),
            level: take("level")?,
            spread: take("spread")?,
            reader: Reader {
                table: take("reader.table")?,
                prior: take("reader.prior")?,
                precision: take("reader.precision")?,
                noise: take("reader.noise")?,
                scale: take("reader.scale")?,
                information: take("reader.information")?,
                metric: take("reader.metric")?,
                parts: take("reader.parts")?,
                temper: take("reader.temper")?,
            },
            users: take("users")?,
        })
    }

    fn named(&self) -> Vec<(&'static str, &Tensor)> {
        vec![
            ("weights.weight", &self.weights.0),
            ("weights.bias", &self.weights.1),
            ("values", &self.values),
            ("lengths.values", &self.length_values),
            ("lengths.table", &self.lengths),
            ("preference.effect", &self.preference.effect),
            ("preference.cost", &self.preference.cost),
            ("preference.gain", &self.preference.gain),
            ("preference.offset", &self.preference.offset),
            ("level", &self.level),
            ("spread", &self.spread),
            ("reader.table", &self.reader.table),
            ("reader.prior", &self.reader.prior),
            ("reader.precision", &self.reader.precision),
            ("reader.noise", &self.reader.noise),
            ("reader.scale", &self.reader.scale),
            ("reader.information", &self.reader.information),
            ("reader.metric", &self.reader.metric),
            ("reader.parts", &self.reader.parts),
            ("reader.temper", &self.reader.temper),
            ("users", &self.users),
        ]
    }
}
