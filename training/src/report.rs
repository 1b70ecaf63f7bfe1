//! What a run or bundle shows people: a table and a chart, in a folder of their own.

pub mod chart;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::eval::metric::Metrics;

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The router's name.
    pub name: String,
    /// Its numbers.
    pub metrics: Metrics,
}

/// Returns the rows as `router`, `router_task_unknown` and `baselines`; with `weights`, each with its weighted score.
pub fn json(rows: &[Row], weights: &BTreeMap<String, f64>) -> Map<String, Value> {
    let (routers, baselines): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.name.starts_with("router"));
    let one = |row: &Row| {
        let mut figures = json!(row.metrics);
        if let (false, Value::Object(figures)) = (weights.is_empty(), &mut figures) {
            figures.insert("weighted".to_owned(), json!(row.metrics.weighted(weights)));
        }
        (row.name.clone(), figures)
    };
    let object = |rows: Vec<&Row>| rows.into_iter().map(one).collect::<Map<_, _>>();
    let mut all = object(routers);
    all.insert("baselines".to_owned(), Value::Object(object(baselines)));
    all
}

/// Writes `report.md`, `gap.svg` and `metrics.json` into `folder`.
pub fn write(folder: &Path, title: &str, rows: &[Row], weights: &BTreeMap<String, f64>) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).with_context(|| format!("write {}", folder.join(name).display()))
    };
    let chart = "![Gap closed by each router](gap.svg)\n\nGap closed is the share of the way from each user's best single LLM (0) to the best LLM for each user and query (1).";
    write("report.md", &format!("# {title}\n\n{}\n{chart}\n", table::markdown(rows)))?;
    write("metrics.json", &serde_json::to_string_pretty(&json(rows, weights))?)?;
    chart::write(&folder.join("gap.svg"), title, rows)
}
