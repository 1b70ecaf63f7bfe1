//! What `protocol` prints: means over seeds, as one JSON object or as tables.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::gain::{self, Draws};
use super::unseen::{self, LeftOutTask};
use crate::cli::Protocol;
use crate::data::Setting;
use crate::eval::coverage::Coverage;
use crate::eval::metric::Metrics;
use crate::report::{self, Row};

/// What one seed gave.
#[derive(Default)]
pub(super) struct SeedResult {
    pub(super) seed: u64,
    pub(super) rows: Vec<Row>,
    pub(super) train_seconds: f64,
    /// Held-out users by kind and size of their support.
    pub(super) held_out: Vec<Row>,
    /// How often the intervals of these users hold the truth.
    pub(super) coverage: Vec<Coverage>,
    /// New LLMs by how many queries they were observed on, means over draws.
    pub(super) new_llms: Vec<Row>,
    /// The same by draw.
    pub(super) draws: Draws,
    /// Routers on tasks left out of training, means over tasks.
    pub(super) unseen_tasks: Vec<Row>,
    /// The same by task.
    pub(super) left_out: Vec<LeftOutTask>,
}

/// What the figures are about.
pub(super) struct Summary<'a> {
    pub(super) args: &'a Protocol,
    pub(super) setting: Setting,
    pub(super) data: &'a str,
    pub(super) weights: &'a BTreeMap<String, f64>,
}

impl Summary<'_> {
    /// Returns one JSON object: `router`, `baselines`, `seeds`, and what was asked for besides.
    pub(super) fn json(&self, seeds: &[SeedResult]) -> String {
        let mut object = Map::new();
        object.insert("data".to_owned(), json!(self.data));
        object.insert("users".to_owned(), json!(self.args.users()));
        object.insert("setting".to_owned(), json!(self.setting.as_str()));
        object.insert("feedback".to_owned(), json!(self.args.feedback().as_str()));
        object.insert("world".to_owned(), json!(self.args.world().as_str()));
        object.insert("key".to_owned(), json!(self.args.key()));
        object.insert("cost".to_owned(), json!(self.args.cost().as_str()));
        if self.args.noise > 0.0 {
            object.insert("noise".to_owned(), json!(self.args.noise));
        }
        object.extend(report::json(&means(seeds, |seed| &seed.rows), self.weights));
        for (key, part) in PARTS {
            let rows = means(seeds, part);
            if !rows.is_empty() {
                object.insert(key.to_owned(), Value::Object(figures(&rows)));
            }
        }
        let coverage = coverage(seeds);
        if !coverage.is_empty() {
            object.insert("coverage".to_owned(), json!(coverage));
        }
        let gains = gain::json(&draws(seeds));
        if !gains.is_empty() {
            object.insert("new_llms_gain".to_owned(), Value::Object(gains));
        }
        let left_out = unseen::json(&left_out(seeds));
        if !left_out.is_empty() {
            object.insert("unseen_tasks_reward".to_owned(), Value::Object(left_out));
        }
        object.insert("seeds".to_owned(), seeds.iter().map(|seed| self.one(seed)).collect());
        Value::Object(object).to_string()
    }

    /// Returns the tables.
    pub(super) fn text(&self, seeds: &[SeedResult]) -> String {
        let numbers = self.args.seeds();
        let [users, world, feedback] = [self.args.users(), self.args.world().as_str(), self.args.feedback().as_str()];
        let setting = self.setting.as_str();
        let mut text = format!("{}, {users}, world {world}, setting {setting}, {feedback} feedback", self.data);
        text.push_str(&format!(", mean of seeds {numbers:?}\n\n"));
        text.push_str(&report::table::markdown(&means(seeds, |seed| &seed.rows)));
        for (key, part) in PARTS {
            let rows = means(seeds, part);
            if !rows.is_empty() {
                text.push_str(&format!("\n{}\n\n{}", key.replace('_', " "), report::table::markdown(&rows)));
            }
        }
        let coverage = coverage(seeds);
        if !coverage.is_empty() {
            text.push_str("\n| 90 % intervals | hold | mean uncertainty | error |\n|---|---:|---:|---:|\n");
            for Coverage { name, covered, uncertainty, error } in coverage {
                let covered = 100.0 * covered;
                text.push_str(&format!("| {name} | {covered:.1} % | {uncertainty:.4} | {error:.4} |\n"));
            }
        }
        let gains = gain::markdown(&draws(seeds));
        if !gains.is_empty() {
            text.push('\n');
            text.push_str(&gains);
        }
        let left_out = unseen::markdown(&left_out(seeds));
        if !left_out.is_empty() {
            text.push_str(&format!("\nReward by task left out:\n\n{left_out}"));
        }
        text
    }

    fn one(&self, seed: &SeedResult) -> Value {
        let mut one = Map::new();
        one.insert("seed".to_owned(), json!(seed.seed));
        one.insert("train_seconds".to_owned(), json!(seed.train_seconds));
        one.extend(report::json(&seed.rows, self.weights));
        for (key, part) in PARTS.into_iter().filter(|(_, part)| !part(seed).is_empty()) {
            one.insert(key.to_owned(), Value::Object(figures(part(seed))));
        }
        Value::Object(one)
    }
}

/// Parts of a seed beside the main table.
type Part = fn(&SeedResult) -> &[Row];

const PARTS: [(&str, Part); 3] = [
    ("held_out", |seed| &seed.held_out),
    ("new_llms", |seed| &seed.new_llms),
    ("unseen_tasks", |seed| &seed.unseen_tasks),
];

/// Returns means over seeds.
fn coverage(seeds: &[SeedResult]) -> Vec<Coverage> {
    let names = seeds.first().map_or(&[][..], |seed| &seed.coverage).iter().map(|one| &one.name);
    let mean = |name: &String| {
        let of: Vec<&Coverage> = seeds.iter().flat_map(|seed| &seed.coverage).filter(|one| one.name == *name).collect();
        let mean = |value: fn(&Coverage) -> f64| of.iter().map(|one| value(one)).sum::<f64>() / of.len().max(1) as f64;
        Coverage {
            name: name.clone(),
            covered: mean(|one| one.covered),
            uncertainty: mean(|one| one.uncertainty),
            error: mean(|one| one.error),
        }
    };
    names.map(mean).collect()
}

fn draws(seeds: &[SeedResult]) -> Vec<&Draws> {
    seeds.iter().map(|seed| &seed.draws).filter(|draws| !draws.is_empty()).collect()
}

fn left_out(seeds: &[SeedResult]) -> Vec<&[LeftOutTask]> {
    seeds.iter().map(|seed| seed.left_out.as_slice()).filter(|left| !left.is_empty()).collect()
}

fn figures(rows: &[Row]) -> Map<String, Value> {
    rows.iter().map(|row| (row.name.clone(), json!(row.metrics))).collect()
}

fn means<'a>(seeds: &'a [SeedResult], part: impl Fn(&'a SeedResult) -> &'a [Row]) -> Vec<Row> {
    let names = seeds.first().map(|seed| part(seed).iter().map(|row| row.name.clone()).collect::<Vec<_>>());
    let of = |name: &str| {
        let rows = seeds.iter().flat_map(&part).filter(|row| row.name == name);
        rows.map(|row| row.metrics).collect::<Vec<_>>()
    };
    let mean = |name: String| Row { metrics: Metrics::mean(&of(&name)), name };
    names.unwrap_or_default().into_iter().map(mean).collect()
}
