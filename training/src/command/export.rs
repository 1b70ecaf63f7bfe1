//! `export`: a run's model as a bundle, with the run's report and figures.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::run::Info;
use super::train::run_of;
use super::{add_llm, print};
use crate::cli::Export;
use crate::config::Config;
use crate::export::{self, ExportOptions};
use crate::train;

/// Files of a run's report that a bundle carries.
const REPORT: [&str; 3] = ["report/report.md", "report/gap.svg", "report/metrics.json"];

/// Writes the bundle and says where it is.
pub fn run(args: Export) -> Result<()> {
    let folder = match (&args.run, &args.config) {
        (Some(run), _) => run.clone(),
        (None, Some(file)) => run_of(&Config::read(file)?),
        (None, None) => bail!("--config or --run is needed"),
    };
    let (info, config) = Info::read(&folder)?;
    let mut model = train::load(&folder)?;
    if let Some(file) = &args.add_llm {
        model = add_llm::add(&model, &folder, &config, (file, args.ratings.as_deref()))?;
    }
    let files = REPORT.map(|name| (name.to_owned(), folder.join(name)));
    let options = ExportOptions {
        command: info.command,
        commit: info.commit,
        started: info.started,
        metrics: metrics(&folder.join("report/metrics.json"))?,
        named: args.user,
        files: files.into_iter().filter(|(_, path)| path.is_file()).collect(),
        encoder_id: None,
    };
    let bundle = export::write(&model, &args.out, &options)?;
    let parity = &bundle.manifest.parity;
    print(&format!(
        "{}: {} users, {} LLMs, parity {:.1e} over {} inputs",
        args.out.display(),
        bundle.users.len(),
        bundle.manifest.llms,
        parity.max_abs_difference,
        parity.samples
    ))
}

/// Returns the router's figures of a report; none when the run has no report.
fn metrics(file: &Path) -> Result<BTreeMap<String, f64>> {
    if !file.is_file() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let json: Value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    let mut figures = BTreeMap::new();
    for router in ["router", "router_task_unknown"] {
        let Some(Value::Object(metrics)) = json.get(router) else { continue };
        for (name, value) in metrics {
            let key = if router == "router" { name.clone() } else { format!("{name}_task_unknown") };
            figures.extend(value.as_f64().map(|value| (key, value)));
        }
    }
    Ok(figures)
}
