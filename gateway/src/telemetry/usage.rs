//! Who used what since the start: one row per user, key, LLM and requested model.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::json;

use crate::api::Usage;

/// What one answer used.
#[derive(Debug, Clone)]
pub struct Used {
    /// Whose request it was.
    pub user: Option<Arc<str>>,
    /// The name of its key; empty where nobody needs one.
    pub key: Arc<str>,
    /// The LLM that answered.
    pub model: Arc<str>,
    /// The virtual or concrete model that the client requested.
    pub requested_model: Arc<str>,
    /// Tokens.
    pub usage: Usage,
    /// Their price.
    pub usd: f64,
    /// Whether the tokens are the gateway's estimate, because the upstream told none.
    pub estimated: bool,
}

/// The table; rows beyond the most it may hold are counted together.
#[derive(Debug)]
pub struct UsageTable {
    rows: Mutex<HashMap<Name, Row>>,
    most: usize,
    since: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Name {
    user: Option<Arc<str>>,
    key: Arc<str>,
    model: Arc<str>,
    requested_model: Arc<str>,
    /// Stands for all that found no row of their own.
    others: bool,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Row {
    answers: u64,
    estimated_answers: u64,
    input_tokens: u64,
    cached_input_tokens: u64,
    output_tokens: u64,
    cost_usd: f64,
}

impl UsageTable {
    /// Returns an empty table of at most `most` rows.
    pub fn new(most: usize) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { rows: Mutex::default(), most, since }
    }

    /// Adds what an answer used.
    pub fn add(&self, used: Used) {
        let mut name = Name {
            user: used.user,
            key: used.key,
            model: used.model,
            requested_model: used.requested_model,
            others: false,
        };
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= self.most && !rows.contains_key(&name) {
            name = Name { others: true, ..Name::default() };
        }
        let row = rows.entry(name).or_default();
        row.answers += 1;
        row.estimated_answers += u64::from(used.estimated);
        row.input_tokens = row.input_tokens.saturating_add(used.usage.input);
        row.cached_input_tokens = row.cached_input_tokens.saturating_add(used.usage.cached);
        row.output_tokens = row.output_tokens.saturating_add(used.usage.output);
        row.cost_usd += used.usd;
    }

    /// Counts what `user` has used as nobody's.
    pub fn forget(&self, user: &str) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let own: Vec<Name> = rows.keys().filter(|name| name.user.as_deref() == Some(user)).cloned().collect();
        for name in own {
            let Some(row) = rows.remove(&name) else { continue };
            let kept = rows.entry(Name { user: None, ..name }).or_default();
            kept.answers += row.answers;
            kept.estimated_answers += row.estimated_answers;
            kept.input_tokens = kept.input_tokens.saturating_add(row.input_tokens);
            kept.cached_input_tokens = kept.cached_input_tokens.saturating_add(row.cached_input_tokens);
            kept.output_tokens = kept.output_tokens.saturating_add(row.output_tokens);
            kept.cost_usd += row.cost_usd;
        }
    }

    /// Returns the table as JSON, the dearest row first.
    pub fn render(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            user: Option<&'a str>,
            key: &'a str,
            model: &'a str,
            requested_model: &'a str,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            others: bool,
            #[serde(flatten)]
            row: &'a Row,
        }
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut lines = Vec::with_capacity(rows.len());
        for (Name { user, key, model, requested_model, others }, row) in &rows {
            lines.push(Line { user: user.as_deref(), key, model, requested_model, others: *others, row });
        }
        lines.sort_by(|a, b| b.row.cost_usd.total_cmp(&a.row.cost_usd));
        json!({"since": self.since, "usage": lines}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(user: &str) -> Used {
        let usage = Usage { input: 10, cached: 4, output: 5 };
        let [user, key, model, requested_model] = [user, "team", "GPT-4o", "auto"].map(Arc::from);
        Used { user: Some(user), key, model, requested_model, usage, usd: 0.25, estimated: false }
    }

    fn rows(table: &UsageTable) -> Vec<serde_json::Value> {
        let table: serde_json::Value = serde_json::from_str(&table.render()).unwrap();
        table["usage"].as_array().unwrap().clone()
    }

    #[test]
    fn answers_of_the_same_kind_add_up() {
        let table = UsageTable::new(10);
        table.add(used("ada"));
        table.add(Used { estimated: true, ..used("ada") });
        table.add(used("bob"));
        let rows = rows(&table);
        assert_eq!(rows.len(), 2);
        assert_eq!(
            rows[0],
            json!({
                "user": "ada", "key": "team", "model": "GPT-4o", "requested_model": "auto", "answers": 2, "estimated_answers": 1,
                "input_tokens": 20, "cached_input_tokens": 8, "output_tokens": 10, "cost_usd": 0.5,
            })
        );
    }

    #[test]
    fn rows_beyond_the_most_are_counted_together() {
        let table = UsageTable::new(2);
        for user in 0..10 {
            table.add(used(&user.to_string()));
        }
        let rows = rows(&table);
        assert_eq!(rows.len(), 3);
        assert_eq!((&rows[0]["others"], &rows[0]["answers"]), (&json!(true), &json!(8)));
    }
}
