//! `personaroute bundle show` and `bundle verify`.

use std::io::Write;

use personaroute_bundle::{folder::Bundle, source::BundleSource};
use serde_json::json;

use super::Failed;
use crate::{app::assets, cli};

/// Looks at a bundle.
pub(super) fn bundle(command: cli::Bundle) -> Result<(), Failed> {
    let text = match command {
        cli::Bundle::Show { dir, json } => show(assets::bundle(dir.as_deref())?, json)?,
        cli::Bundle::Verify { dir } => {
            let source = assets::bundle(dir.as_deref())?;
            let bundle = Bundle::verify(&source)?;
            format!("{source}: {} files match the manifest", bundle.manifest.files.len())
        }
    };
    writeln!(std::io::stdout().lock(), "{text}").map_err(Failed::io("writing to stdout"))
}

fn show(source: BundleSource, as_json: bool) -> Result<String, Failed> {
    let name = source.to_string();
    let bundle = Bundle::open(source)?;
    if as_json {
        let object = json!({
            "manifest": bundle.manifest,
            "llms": bundle.catalog.llms,
            "tasks": bundle.tasks.tasks,
            "users": bundle.users.len(),
        });
        return Ok(object.to_string());
    }
    let manifest = bundle.manifest.to_yaml()?;
    let mut text = format!("{name}: {} users of {} dimensions\n\n", bundle.users.len(), bundle.users.dim());
    text.push_str("LLM                              input $/M  output $/M\n");
    for llm in &bundle.catalog.llms {
        text.push_str(&format!("{:<32} {:>9.3}  {:>10.3}\n", llm.id, llm.input_price, llm.output_price));
    }
    let tasks: Vec<&str> = bundle.tasks.tasks.iter().map(|task| task.name.as_str()).collect();
    text.push_str(&format!("\ntasks: {}\n\nmanifest:\n{manifest}", tasks.join(", ")));
    Ok(text)
}
