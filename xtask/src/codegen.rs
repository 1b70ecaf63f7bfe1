//! Writes the files that are generated and committed; tests compare them with what they are generated from.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The schema of the configuration, from the root.
const SCHEMA: &str = "configs/gateway.schema.json";

/// Writes the messages of ONNX, then the configuration's schema.
pub(crate) fn run() -> Result<()> {
    let mut messages = process::cargo();
    messages.args(["run", "--quiet", "--locked", "--package", "xtask", "--example", "codegen"]);
    process::run(&mut messages, "generating ONNX's messages")?;
    let mut schema = process::cargo();
    schema.args(["run", "--quiet", "--locked", "--package", "personaroute-gateway", "--bin", "personaroute"]);
    let text = process::capture(schema.args(["--", "schema"]), "printing the configuration's schema")?;
    let file = workspace::root().join(SCHEMA);
    fs::write(&file, text).with_context(|| file.display().to_string())?;
    eprintln!("codegen: {}", file.display());
    Ok(())
}
