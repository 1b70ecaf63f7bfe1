//! From what is written to what is meant: ranges, defaults, and keys that need each other.

use std::path::{Path, PathBuf};

use super::raw;
use super::{Config, ConfigError, Expected};
use crate::data::Setting;
use crate::data::source::{BenchFiles, Source};
use crate::data::split::Ratio;
use crate::graph::query::TextEncoder;
use crate::model::hparams::{Hparams, Init};

/// Figures that `metric.weights` may weigh.
const FIGURES: [&str; 3] = ["cost", "performance", "reward"];

/// Checks a file's content.
pub(super) fn check(file: &Path, raw: raw::Config) -> Result<Config, ConfigError> {
    let checked = Check { file };
    let ratio = match raw.hparam.split_ratio {
        Some(shares) => checked.ratio(shares)?,
        None => Ratio::default(),
    };
    for (name, weight) in &raw.metric.weights {
        let known = FIGURES.contains(&name.as_str()) && weight.is_finite();
        checked.that(known, "metric.weights", "finite weights of performance, cost or reward", &name)?;
    }
    let (init, initial) = match raw.init.as_deref().and_then(Path::to_str) {
        None | Some("closed_form") => (Init::ClosedForm, None),
        Some("random") => (Init::Random, None),
        Some(_) => (Init::ClosedForm, raw.init.clone()),
    };
    let encoder = raw.encoder.unwrap_or(raw::Encoder::Lexical);
    Ok(Config {
        source: checked.source(&raw.data_path)?,
        cost: raw.cost.unwrap_or_default(),
        setting: raw.setting.map_or(Setting::Rewards, Setting::from),
        model: raw.model.unwrap_or_default(),
        given: given(&raw),
        hparams: Hparams { init, ..checked.hparams(&raw.hparam, encoder)? },
        seed: raw.hparam.random_state.unwrap_or(42),
        ratio,
        expected: Expected { users: raw.hparam.user_num, tasks: raw.hparam.num_task },
        families: raw.hparam.llm_family,
        weights: raw.metric.weights,
        run: raw.run.or_else(|| raw.model_path.save_model_path.as_deref().map(folder)),
        save: raw.model_path.save_model_path,
        load: raw.model_path.load_model_path.as_deref().map(folder),
        initial: initial.or(raw.model_path.ini_model_path.filter(|path| !path.as_os_str().is_empty())),
        encoder: raw.data_path.encoder,
    })
}

/// A model path names a file (`saved/router.pt`); a run is a folder: the same path without the extension.
fn folder(path: &Path) -> PathBuf {
    path.with_extension("")
}

/// Returns the keys that are set and that only some models use.
fn given(raw: &raw::Config) -> Vec<&'static str> {
    let h = &raw.hparam;
    let keys = [
        ("data_path.llm_embedding_data", raw.data_path.llm_embedding_data.is_some()),
        (
            "model_path.ini_model_path",
            raw.model_path.ini_model_path.as_deref().is_some_and(|path| path != Path::new("")),
        ),
        ("hparam.embedding_dim", h.embedding_dim.is_some()),
        ("hparam.edge_dim", h.edge_dim.is_some()),
        ("hparam.learning_rate", h.learning_rate.is_some()),
        ("hparam.weight_decay", h.weight_decay.is_some()),
        ("hparam.train_epoch", h.train_epoch.is_some()),
        ("hparam.batch_size", h.batch_size.is_some()),
        ("hparam.train_mask_rate", h.train_mask_rate.is_some()),
        ("hparam.llm_family", !h.llm_family.is_empty()),
        ("hparam.weights", h.weights.is_some()),
        ("hparam.patience", h.patience.is_some()),
        ("hparam.text_dim", h.text_dim.is_some()),
        ("hparam.text_epoch", h.text_epoch.is_some()),
        ("hparam.text_learning_rate", h.text_learning_rate.is_some()),
        ("hparam.text_dropout", h.text_dropout.is_some()),
    ];
    keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| key).collect()
}

struct Check<'a> {
    file: &'a Path,
}

impl Check<'_> {
    fn that(
        &self,
        holds: bool,
        key: &'static str,
        expected: &'static str,
        found: &dyn std::fmt::Display,
    ) -> Result<(), ConfigError> {
        let error =
            || ConfigError::Value { file: self.file.display().to_string(), key, expected, found: found.to_string() };
        if holds { Ok(()) } else { Err(error()) }
    }

    fn ratio(&self, shares: [f64; 3]) -> Result<Ratio, ConfigError> {
        let ratio = Ratio::new(shares);
        self.that(
            ratio.is_some(),
            "hparam.split_ratio",
            "three shares that add up to at most 1",
            &format!("{shares:?}"),
        )?;
        Ok(ratio.unwrap_or_default())
    }

    fn source(&self, raw: &raw::DataPath) -> Result<Option<Source>, ConfigError> {
        if let Some(folder) = &raw.outcomes {
            return Ok(Some(Source::Outcomes(folder.clone())));
        }
        if let Some(folder) = &raw.votes {
            return Ok(Some(Source::Votes(folder.clone())));
        }
        let parts = [&raw.routing_data_train, &raw.routing_data_val, &raw.routing_data_test];
        let some = parts.iter().any(|part| part.is_some());
        let Some(llms) = raw.llm_data.clone() else {
            let unused = !some && raw.routing_data_path.is_none();
            self.that(unused, "data_path.llm_data", "the file of the LLM metadata", &"nothing")?;
            return Ok(None);
        };
        let embeddings = raw.llm_embedding_data.clone();
        let files = match parts {
            // The parts win over the whole: who writes both wants this split.
            [Some(train), Some(validation), Some(test)] => {
                vec![train.clone(), validation.clone(), test.clone()]
            }
            _ => match &raw.routing_data_path {
                Some(file) => vec![file.clone()],
                None => {
                    let expected = "routing_data_path, or all of routing_data_train, _val and _test";
                    self.that(false, "data_path", expected, &"some of them")?;
                    Vec::new()
                }
            },
        };
        Ok(Some(Source::Bench(BenchFiles { files, llms, embeddings })))
    }

    fn hparams(&self, raw: &raw::Hparam, encoder: raw::Encoder) -> Result<Hparams, ConfigError> {
        let default = Hparams::default();
        let text = match encoder {
            raw::Encoder::Lexical => default.text,
            raw::Encoder::Embedding => TextEncoder::Embedding,
        };
        let hparams = Hparams {
            embedding_dim: raw.embedding_dim.unwrap_or(default.embedding_dim),
            edge_dim: raw.edge_dim.unwrap_or(default.edge_dim),
            learning_rate: raw.learning_rate.unwrap_or(default.learning_rate),
            weight_decay: raw.weight_decay.unwrap_or(default.weight_decay),
            train_epoch: raw.train_epoch.unwrap_or(default.train_epoch),
            batch_size: raw.batch_size.unwrap_or(default.batch_size),
            train_mask_rate: raw.train_mask_rate.unwrap_or(default.train_mask_rate),
            weights: raw.weights.unwrap_or(default.weights),
            patience: raw.patience.unwrap_or(default.patience),
            text,
            text_dim: raw.text_dim.unwrap_or(default.text_dim),
            text_epoch: raw.text_epoch.unwrap_or(default.text_epoch),
            text_learning_rate: raw.text_learning_rate.unwrap_or(default.text_learning_rate),
            text_dropout: raw.text_dropout.unwrap_or(default.text_dropout),
            leave_out: raw.leave_out.clone(),
            init: default.init,
        };
        self.ranges(&hparams)?;
        Ok(hparams)
    }

    fn ranges(&self, hparams: &Hparams) -> Result<(), ConfigError> {
        let within = |low: usize, value: usize, high: usize| (low..=high).contains(&value);
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let h = hparams;
        self.that(within(1, h.embedding_dim, 4096), "hparam.embedding_dim", "1 to 4096", &h.embedding_dim)?;
        self.that(within(1, h.edge_dim, 4), "hparam.edge_dim", "1 to 4", &h.edge_dim)?;
        self.that(within(1, h.train_epoch, 1_000_000), "hparam.train_epoch", "at least 1", &h.train_epoch)?;
        self.that(within(1, h.batch_size, 1 << 20), "hparam.batch_size", "at least 1", &h.batch_size)?;
        self.that(within(1, h.weights, 64), "hparam.weights", "1 to 64", &h.weights)?;
        self.that(within(1, h.text_dim, 4096), "hparam.text_dim", "1 to 4096", &h.text_dim)?;
        self.that(positive(h.learning_rate), "hparam.learning_rate", "a number above 0", &h.learning_rate)?;
        let decay = h.weight_decay.is_finite() && h.weight_decay >= 0.0;
        self.that(decay, "hparam.weight_decay", "a number of at least 0", &h.weight_decay)?;
        let rate = h.train_mask_rate > 0.0 && h.train_mask_rate < 1.0;
        self.that(rate, "hparam.train_mask_rate", "a share between 0 and 1", &h.train_mask_rate)?;
        let text_rate = positive(h.text_learning_rate);
        self.that(text_rate, "hparam.text_learning_rate", "a number above 0", &h.text_learning_rate)?;
        let dropout = (0.0..1.0).contains(&h.text_dropout);
        self.that(dropout, "hparam.text_dropout", "a share from 0 to below 1", &h.text_dropout)
    }
}

impl From<raw::Setting> for Setting {
    fn from(raw: raw::Setting) -> Self {
        match raw {
            raw::Setting::R => Self::Rewards,
            raw::Setting::Ec => Self::EffectCost,
        }
    }
}
