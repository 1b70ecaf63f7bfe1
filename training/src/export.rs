//! Export: two ONNX graphs, proven against libtorch, written as a model bundle.

pub mod builder;

pub mod closed_form;
pub mod gnn;

pub mod embedder;
pub mod parity;
pub mod runtime;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use personaroute_bundle::catalog::{Catalog, Tasks};
use personaroute_bundle::folder::{Bundle, BundleWriter};
use personaroute_bundle::layout::{ADAPTER, SCORER};
use personaroute_bundle::lexical::ENCODING_VERSION;
use personaroute_bundle::manifest::{
    self, EmbeddingEncoder, FORMAT_VERSION, GraphSpec, Graphs, Manifest, Parity, Setting, TextEncoder, Training,
};
use personaroute_bundle::users::{Precision, UserTableWriter};

use crate::graph::interaction::InteractionBatch;
use crate::graph::query;
use crate::model::tensors::{to_rows, to_vec};
use crate::train::Trained;

/// Users whose certainty is computed at once.
const USERS_AT_ONCE: usize = 256;

/// What a bundle says besides the model.
#[derive(Debug, Clone, Default)]
pub struct ExportOptions {
    /// The exact command that trained the model.
    pub command: String,
    /// The trainer's commit.
    pub commit: String,
    /// When training began, RFC 3339.
    pub started: String,
    /// Figures of the evaluation.
    pub metrics: BTreeMap<String, f64>,
    /// Names for users at a place between cost (0) and quality (1): each is the trained user nearest to it.
    pub named: Vec<(String, f32)>,
    /// Files to add, by name inside the bundle, such as `report/report.md`.
    pub files: Vec<(String, PathBuf)>,
    /// Name of the text-embedding model, where there is one; all-MiniLM-L6-v2 unless said.
    pub encoder_id: Option<String>,
}

/// Writes the bundle in place of whatever the folder `out` holds.
pub fn write(model: &Trained, out: &Path, options: &ExportOptions) -> Result<Bundle> {
    let encoder = text_encoder(model, options.encoder_id.clone());
    let graphs = Graphs::expected(model.user_dim(), model.llms(), model.facts().tasks.len(), &encoder);
    let scorer = scorer(model, &graphs.scorer);
    let adapter = adapter(model, &graphs.adapter);
    let parity = parity::check(&**model, &scorer, &adapter).context("parity of the export")?;
    let mut writer = BundleWriter::create(out)?;
    writer.add(SCORER, &scorer)?;
    writer.add(ADAPTER, &adapter)?;
    writer.add_catalog(&Catalog { llms: model.facts().llms.clone() })?;
    writer.add_tasks(&Tasks { tasks: model.facts().tasks.clone() })?;
    writer.add_users(&users(model, &options.named)?)?;
    for (name, path) in &options.files {
        writer.add_file(name, path)?;
    }
    Ok(writer.finish(manifest(model, options, (encoder, graphs, parity)))?)
}

fn scorer(model: &Trained, spec: &GraphSpec) -> Vec<u8> {
    match model {
        Trained::ClosedForm(model) => closed_form::scorer::build(model, spec),
        Trained::Gnn(model) => gnn::scorer::build(model, spec),
    }
}

fn adapter(model: &Trained, spec: &GraphSpec) -> Vec<u8> {
    match model {
        Trained::ClosedForm(model) => closed_form::adapter::build(model, spec),
        Trained::Gnn(model) => gnn::adapter::build(model, spec),
    }
}

fn text_encoder(model: &Trained, encoder_id: Option<String>) -> TextEncoder {
    match model.facts().hparams.text {
        query::TextEncoder::Lexical(lexical) => TextEncoder::Lexical(lexical),
        query::TextEncoder::Embedding => TextEncoder::Embedding(EmbeddingEncoder {
            dim: model.facts().embedding,
            encoder_id: encoder_id.unwrap_or_else(|| "all-MiniLM-L6-v2".to_owned()),
            sha256: None,
        }),
    }
}

/// The training users, and the named ones.
fn users(model: &Trained, named: &[(String, f32)]) -> Result<UserTableWriter> {
    let mut table = UserTableWriter::new(model.user_dim(), Precision::F16);
    let preferences = model.preference_scores(model.users());
    let embeddings = to_rows(model.users());
    let certainty = certainty(model, &embeddings);
    let known = model.facts().users.iter().zip(certainty);
    let rows: Vec<_> = embeddings.into_iter().zip(preferences).zip(known).collect();
    for ((row, preference), ((id, interactions), certainty)) in &rows {
        table.push(id, row, Some(*preference), (*interactions, *certainty))?;
    }
    for (name, wanted) in named {
        let away = |preference: f32| (preference - wanted).abs();
        let nearest = rows.iter().min_by(|a, b| away(a.0.1).total_cmp(&away(b.0.1)));
        let ((row, preference), ((_, interactions), certainty)) = nearest.context("no user to name")?;
        table.push(name, row, Some(*preference), (*interactions, *certainty))?;
    }
    Ok(table)
}

/// Returns how certain the training users' embeddings are, as the adapter says of a user without further interactions.
fn certainty(model: &Trained, embeddings: &[Vec<f32>]) -> Vec<f32> {
    let facts = model.facts();
    let columns = (facts.tasks.len(), facts.text_input());
    let counts: Vec<f32> = facts.users.iter().map(|(_, count)| *count as f32).collect();
    let mut all = Vec::with_capacity(counts.len());
    for (chunk, counts) in embeddings.chunks(USERS_AT_ONCE).zip(counts.chunks(USERS_AT_ONCE)) {
        let nothing = vec![Vec::new(); chunk.len()];
        let batch = InteractionBatch::new(&nothing, columns, (chunk, counts));
        let [_, _, certainty] = tch::no_grad(|| model.adapter(&batch));
        all.extend(to_vec(&certainty));
    }
    all
}

fn manifest(
    model: &Trained,
    options: &ExportOptions,
    (text_encoder, graphs, parity): (TextEncoder, Graphs, Parity),
) -> Manifest {
    let facts = model.facts();
    let [queries, outcomes, interactions] = facts.counts;
    let config = match serde_json::to_value(&facts.hparams) {
        Ok(serde_json::Value::Object(map)) => map.into_iter().map(|(key, value)| (key, value.to_string())).collect(),
        _ => BTreeMap::new(),
    };
    let mut metrics = options.metrics.clone();
    metrics.insert("text_strength".to_owned(), facts.text_strength);
    metrics.insert("validation".to_owned(), facts.validation);
    Manifest {
        format_version: FORMAT_VERSION,
        encoding_version: ENCODING_VERSION,
        user_dim: model.user_dim(),
        llms: model.llms(),
        tasks: facts.tasks.len(),
        text_encoder,
        graphs,
        setting: if facts.setting == "EC" { Setting::EffectCost } else { Setting::Rewards },
        prior: model.prior(),
        reward_range: facts.reward_range,
        dataset: manifest::Dataset {
            fingerprint: facts.fingerprint.clone(),
            name: facts.dataset.clone(),
            queries,
            outcomes,
            interactions,
            users: facts.users.len() as u64,
        },
        training: Training {
            command: options.command.clone(),
            commit: options.commit.clone(),
            seed: facts.seed,
            config,
            started: options.started.clone(),
            epochs: u32::try_from(facts.epochs).unwrap_or(u32::MAX),
        },
        parity,
        metrics,
        files: BTreeMap::new(),
    }
}
