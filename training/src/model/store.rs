//! Files of named tensors (safetensors), and the facts of a model beside them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tch::Tensor;

use super::facts::Facts;

/// Name of the file with a model's tensors.
pub const TENSORS: &str = "model.safetensors";
/// Name of the file with a model's facts.
const FACTS: &str = "model.json";

/// Writes named tensors.
pub fn save(path: &Path, named: &[(String, Tensor)]) -> Result<()> {
    Tensor::write_safetensors(named, path).with_context(|| format!("write {}", path.display()))
}

/// Reads named tensors.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>> {
    Tensor::read_safetensors(path).with_context(|| format!("read {}", path.display()))
}

/// Writes a model's tensors and facts into a folder, which is created.
pub fn save_model(dir: &Path, facts: &Facts, named: &[(String, Tensor)]) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    save(&dir.join(TENSORS), named)?;
    let facts = serde_json::to_string_pretty(facts).context("facts")?;
    fs::write(dir.join(FACTS), facts).with_context(|| format!("write {}", dir.join(FACTS).display()))
}

/// Writes the tensors of a model's folder to a file of their own, unless `file` is a folder.
pub fn copy_tensors(dir: &Path, file: &Path) -> Result<()> {
    if file.is_dir() {
        return Ok(());
    }
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    }
    fs::copy(dir.join(TENSORS), file).with_context(|| format!("write {}", file.display()))?;
    Ok(())
}

/// Reads a model's facts from its folder.
pub fn load_facts(dir: &Path) -> Result<Facts> {
    let path = dir.join(FACTS);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not a model's facts", path.display()))
}
