//! The blocks of code in the documentation, so that tests can run or check them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::path;

/// A block of code between fences.
#[derive(Debug)]
pub struct Block {
    /// The file and the line of the opening fence, for messages.
    pub place: String,
    /// What stands behind the opening fence: `yaml`, `sh`, ….
    pub language: String,
    /// The lines between.
    pub text: String,
}

/// Returns the blocks of the README, of the guides and of the records.
///
/// # Errors
///
/// Fails when a file cannot be read.
pub fn blocks() -> Result<Vec<Block>> {
    let root = path::root();
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].iter().map(|name| root.join(name)).collect();
    for folder in ["docs", "docs/adr"] {
        let entries = root.join(folder).read_dir().with_context(|| folder.to_owned())?;
        let found = entries.flatten().map(|entry| entry.path());
        files.extend(found.filter(|file| file.extension().is_some_and(|ext| ext == "md")));
    }
    files.sort();
    let mut blocks = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        blocks.extend(of_text(file.strip_prefix(&root).unwrap_or(&file), &text));
    }
    Ok(blocks)
}

fn of_text(file: &Path, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                let place = format!("{}:{number}", file.display());
                open = Some(Block { place, language: language.trim().to_owned(), text: String::new() });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_place_and_language() {
        let blocks = of_text(Path::new("a.md"), "x\n```sh\none\ntwo\n```\ny\n```yaml\nversion: 1\n```\n");
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].place.as_str(), blocks[0].language.as_str()), ("a.md:2", "sh"));
        assert_eq!(blocks[0].text, "one\ntwo\n");
        assert_eq!(blocks[1].text, "version: 1\n");
    }
}
