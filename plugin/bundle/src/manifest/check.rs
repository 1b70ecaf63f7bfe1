//! Refuses manifests that this version cannot serve, and names the field.

use std::path::Path;

use serde::Deserialize;

use super::{FORMAT_VERSION, GraphSpec, Graphs, Manifest, Parity, TensorSpec, TextEncoder};
use crate::error::{BundleError, Fields};
use crate::layout::{self, is_inside};
use crate::lexical::ENCODING_VERSION;
use crate::yaml;

/// Most values of a user embedding, LLM columns and task columns: bounds what a host allocates because of a manifest.
const MAX_EXTENT: usize = 65_536;

/// The newest operator set that the oldest accepted ONNX Runtime (API 24) reads.
const MAX_OPSET: u32 = 24;

/// The versions; the other keys are ignored.
#[derive(Deserialize)]
struct Versions {
    format_version: u32,
    encoding_version: u32,
}

/// Refuses a manifest of another version.
pub(super) fn versions(content: &[u8], file: &Path) -> Result<(), BundleError> {
    let versions: Versions = yaml::parse(content, file)?;
    let fields = Fields::of(file);
    fields.equal("format_version", &FORMAT_VERSION, &versions.format_version)?;
    fields.equal("encoding_version", &ENCODING_VERSION, &versions.encoding_version)
}

/// Refuses values that are out of range or inconsistent.
pub(super) fn manifest(manifest: &Manifest, file: &Path) -> Result<(), BundleError> {
    let fields = Fields::of(file);
    for (name, extent) in [("user_dim", manifest.user_dim), ("llms", manifest.llms), ("tasks", manifest.tasks)] {
        fields.check(name, (1..=MAX_EXTENT).contains(&extent), format_args!("1 to {MAX_EXTENT}"), extent)?;
    }
    text_encoder(&manifest.text_encoder, &fields)?;
    fields.check(
        "prior",
        manifest.prior.len() == manifest.user_dim,
        format_args!("user_dim = {} values", manifest.user_dim),
        manifest.prior.len(),
    )?;
    if let Some(value) = manifest.prior.iter().find(|value| !value.is_finite()) {
        return Err(BundleError::field(file, "prior", "finite values", value));
    }
    let [low, high] = manifest.reward_range;
    let rises = low.is_finite() && high.is_finite() && low < high;
    fields.check("reward_range", rises, "two finite values, the lower one first", format_args!("[{low}, {high}]"))?;
    let difference = manifest.parity.max_abs_difference;
    let agrees = (0.0..=Parity::LIMIT).contains(&difference);
    fields.check("parity.max_abs_difference", agrees, format_args!("0 to {}", Parity::LIMIT), difference)?;
    graphs(manifest, &fields)?;
    files(manifest, &fields)
}

fn text_encoder(encoder: &TextEncoder, fields: &Fields<'_>) -> Result<(), BundleError> {
    match encoder {
        TextEncoder::Lexical(lexical) => {
            let at = |key| format!("text_encoder.lexical.{key}");
            fields.check(at("buckets"), lexical.buckets > 0, "at least 1", lexical.buckets)?;
            fields.check(at("max_words"), matches!(lexical.max_words, 1 | 2), "1 or 2", lexical.max_words)?;
            fields.check(at("max_ids"), lexical.max_ids > 0, "at least 1", lexical.max_ids)
        }
        TextEncoder::Embedding(embedding) => {
            let at = |key| format!("text_encoder.embedding.{key}");
            let range = 1..=MAX_EXTENT;
            fields.check(
                at("dim"),
                range.contains(&embedding.dim),
                format_args!("1 to {MAX_EXTENT}"),
                embedding.dim,
            )?;
            match &embedding.sha256 {
                Some(sha256) => fields.check(at("sha256"), is_sha256(sha256), "64 hexadecimal digits", sha256),
                None => Ok(()),
            }
        }
    }
}

fn graphs(manifest: &Manifest, fields: &Fields<'_>) -> Result<(), BundleError> {
    let Manifest { user_dim, llms, tasks, .. } = *manifest;
    let expected = Graphs::expected(user_dim, llms, tasks, &manifest.text_encoder);
    graph("graphs.scorer", &expected.scorer, &manifest.graphs.scorer, fields)?;
    graph("graphs.adapter", &expected.adapter, &manifest.graphs.adapter, fields)
}

fn graph(at: &str, expected: &GraphSpec, found: &GraphSpec, fields: &Fields<'_>) -> Result<(), BundleError> {
    fields.equal(format_args!("{at}.file"), &expected.file, &found.file)?;
    let opsets = GraphSpec::OPSET..=MAX_OPSET;
    let accepted = format_args!("{} to {MAX_OPSET}", GraphSpec::OPSET);
    fields.check(format_args!("{at}.opset"), opsets.contains(&found.opset), accepted, found.opset)?;
    tensors(&format!("{at}.inputs"), &expected.inputs, &found.inputs, fields)?;
    tensors(&format!("{at}.outputs"), &expected.outputs, &found.outputs, fields)
}

fn tensors(at: &str, expected: &[TensorSpec], found: &[TensorSpec], fields: &Fields<'_>) -> Result<(), BundleError> {
    for (idx, (expected, found)) in expected.iter().zip(found).enumerate() {
        fields.equal(format_args!("{at}[{idx}]"), &expected.to_string(), &found.to_string())?;
    }
    fields.check(at, expected.len() == found.len(), format_args!("{} tensors", expected.len()), found.len())
}

fn files(manifest: &Manifest, fields: &Fields<'_>) -> Result<(), BundleError> {
    for (name, sha256) in &manifest.files {
        let inside = is_inside(name) && name != layout::MANIFEST;
        fields.check("files", inside, "paths inside the bundle, without the manifest", format_args!("{name:?}"))?;
        fields.check(format_args!("files.{name}"), is_sha256(sha256), "64 hexadecimal digits", sha256)?;
    }
    for name in layout::REQUIRED {
        fields.check("files", manifest.files.contains_key(name), format_args!("an entry {name}"), "none")?;
    }
    Ok(())
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
