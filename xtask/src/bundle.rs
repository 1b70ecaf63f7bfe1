//! What a bundle's manifest says that a task must know.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The manifest in a bundle's folder.
pub(crate) const MANIFEST: &str = "manifest.yaml";

/// True when the bundle's text encoder is a model of its own, beside the scorer.
pub(crate) fn embeds_queries(bundle: &Path) -> Result<bool> {
    let manifest = bundle.join(MANIFEST);
    let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    Ok(is_embedding(&text))
}

fn is_embedding(manifest: &str) -> bool {
    let mut after = manifest.lines().skip_while(|line| !line.starts_with("text_encoder:"));
    let own = after.next().into_iter().chain(after.take_while(|line| line.starts_with(' ')));
    own.into_iter().any(|line| line.contains("embedding"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_text_encoders_own_lines_count() {
        assert!(is_embedding("text_encoder:\n  embedding:\n    dim: 384\nfiles: {}\n"));
        assert!(!is_embedding("text_encoder:\n  lexical:\n    seed: 0\nembedding: 3\n"));
    }
}
