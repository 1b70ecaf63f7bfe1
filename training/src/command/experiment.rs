//! What `train` and `evaluate` share: data with its warnings, the field of measurement, the table of all routers.

use std::time::Instant;

use anyhow::{Context, Result};

use super::note;
use crate::baseline;
use crate::config::Config;
use crate::data::load::{Loaded, Options, load};
use crate::data::{Interactions, UserInfo};
use crate::eval::truth::Truth;
use crate::eval::{Field, Outcome, measure};
use crate::model::Router;
use crate::report::Row;

/// Data, and what routers may learn from it.
pub struct Experiment {
    /// Everything that was read.
    pub loaded: Loaded,
    /// Interactions on training queries.
    pub seen: Interactions,
    /// How long reading took.
    seconds: f64,
}

impl Experiment {
    /// Reads the data of a configuration, and says what a reader should know.
    pub fn open(config: &Config) -> Result<Self> {
        let source = config.source.as_ref().context("the configuration names no data, and neither does --data")?;
        let options = Options {
            cost: config.cost,
            families: config.families.clone(),
            ratio: config.ratio,
            seed: config.seed,
            encoder: config.encoder.clone(),
        };
        let started = Instant::now();
        let loaded = load(source, &options)?;
        let (users, tasks) = (loaded.interactions.users.len(), loaded.dataset.tasks.len());
        for warning in loaded.warnings.iter().cloned().chain(config.contradictions(users, tasks)) {
            note(&format!("warning: {warning}"));
        }
        let seen = loaded.training();
        Ok(Self { loaded, seen, seconds: started.elapsed().as_secs_f64() })
    }

    /// Returns what was read, and how long that took.
    pub fn summary(&self) -> String {
        let data = &self.loaded.dataset;
        let counts = [data.queries.len(), data.llms.len(), data.tasks.len(), self.users().len()];
        let [queries, llms, tasks, users] = counts;
        let interactions = self.loaded.interactions.entries.len();
        let seconds = self.seconds;
        format!(
            "{}: {queries} queries, {llms} LLMs, {tasks} tasks, {users} users, {interactions} interactions, read in {seconds:.1} s",
            data.name
        )
    }

    /// Returns the users.
    pub fn users(&self) -> &[UserInfo] {
        &self.loaded.interactions.users
    }

    /// Returns the rewards of all users: computed where preferences explain them, observed elsewhere.
    pub fn truth(&self) -> Truth<'_> {
        let dataset = &self.loaded.dataset;
        let preferences = self.users().iter().map(|user| user.preference).collect::<Option<Vec<f64>>>();
        match preferences.filter(|_| self.loaded.explained) {
            Some(preferences) => Truth::Formula { dataset, preferences },
            None => Truth::Observed { interactions: &self.loaded.interactions, llms: dataset.llms.len() },
        }
    }

    /// Returns what routers are measured on.
    pub fn field<'a>(&'a self, truth: &'a Truth<'a>) -> Field<'a> {
        Field::new(&self.loaded.dataset, truth, &self.loaded.split, &self.seen, self.loaded.seed)
    }

    /// Returns whether users have seen less than every training outcome.
    pub fn sparse(&self) -> bool {
        let everything = self.loaded.split.train.len() * self.loaded.dataset.llms.len() * self.users().len();
        self.seen.entries.len() < everything
    }
}

/// Measures routers, then the baselines; the first router's outcome comes with its choices.
pub fn table(field: &Field<'_>, routers: &[&dyn Router], sparse: bool) -> Result<(Vec<Row>, Option<Outcome>)> {
    let mut rows = Vec::new();
    let mut first = None;
    for router in routers {
        let outcome = measure(field, *router)?;
        rows.push(Row { name: outcome.name.clone(), metrics: outcome.metrics });
        first = first.or(Some(outcome));
    }
    for router in baseline::all(field, sparse)? {
        let outcome = measure(field, router.as_ref())?;
        rows.push(Row { name: outcome.name, metrics: outcome.metrics });
    }
    Ok((rows, first))
}
