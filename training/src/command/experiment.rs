//! What `train` and `evaluate` share: data with its warnings, the set of measurement, the table of all routers.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::note;
use crate::baseline;
use crate::config::Config;
use crate::data::load::load;
use crate::data::source::{Loaded, Options};
use crate::data::world::file::WorldId;
use crate::data::world::{KEY, World, WorldKind};
use crate::data::{Interactions, UserInfo};
use crate::eval::ground_truth::GroundTruth;
use crate::eval::{EvalSet, Outcome, measure};
use crate::model::Router;
use crate::report::Row;

/// Data, and what routers may learn from it.
pub struct Experiment {
    /// Everything that was read.
    pub loaded: Loaded,
    /// Interactions on training queries.
    pub seen: Interactions,
    /// The hidden utilities of the users, where they are known.
    world: Option<World>,
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
        config.check_counts(users, tasks)?;
        for warning in &loaded.warnings {
            note(&format!("warning: {warning}"));
        }
        let seen = loaded.training();
        let world = world(&loaded, loaded.world)?;
        Ok(Self { loaded, seen, world, seconds: started.elapsed().as_secs_f64() })
    }

    /// Measures by the hidden utilities of a world whose users the data does not say it holds.
    pub fn set_world(&mut self, kind: Option<WorldKind>, key: Option<u64>) -> Result<()> {
        let found = self.loaded.world;
        let kind = kind.or(found.map(|found| found.world)).unwrap_or_default();
        let key = key.or(found.map(|found| found.key)).unwrap_or(KEY);
        let given = WorldId { world: kind, key };
        if let Some(found) = found.filter(|found| *found != given) {
            let [found, given] = [found, given].map(|id| format!("{} (key {})", id.world.as_str(), id.key));
            bail!("{}: its users are of world {found}, not {given}", self.loaded.dataset.name);
        }
        self.world = world(&self.loaded, Some(given))?;
        Ok(())
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

    /// Returns the rewards of all users: hidden utilities where they are known, observed elsewhere.
    pub fn truth(&self) -> GroundTruth<'_> {
        let dataset = &self.loaded.dataset;
        match &self.world {
            Some(world) => GroundTruth::Simulated { dataset, world: world.clone() },
            None => GroundTruth::Observed { interactions: &self.loaded.interactions, llms: dataset.llms.len() },
        }
    }

    /// Returns what routers are measured on.
    pub fn eval_set<'a>(&'a self, truth: &'a GroundTruth<'a>) -> EvalSet<'a> {
        EvalSet::new(&self.loaded.dataset, truth, &self.loaded.split, &self.seen, self.loaded.seed)
    }

    /// Returns whether users have seen less than every training outcome.
    pub fn sparse(&self) -> bool {
        let everything = self.loaded.split.train.len() * self.loaded.dataset.llms.len() * self.users().len();
        self.seen.entries.len() < everything
    }
}

/// Returns the users as a world: the named one, or `line` where their preferences explain every reward.
fn world(loaded: &Loaded, id: Option<WorldId>) -> Result<Option<World>> {
    let users = &loaded.interactions.users;
    if let Some(WorldId { world, key }) = id.filter(|id| id.world != WorldKind::Line) {
        let made = World::of_users(&loaded.dataset, world, key, users);
        return made.map(Some).with_context(|| loaded.dataset.name.clone());
    }
    let preferences = users.iter().map(|user| user.preference).collect::<Option<Vec<f64>>>();
    Ok(preferences.filter(|_| loaded.explained).map(|preferences| World::line(&preferences)))
}

/// Measures routers, then the baselines; the first router's outcome comes with its choices.
pub fn table(set: &EvalSet<'_>, routers: &[&dyn Router], sparse: bool) -> Result<(Vec<Row>, Option<Outcome>)> {
    let mut rows = Vec::new();
    let mut first = None;
    for router in routers {
        let outcome = measure(set, *router)?;
        rows.push(Row { name: outcome.name.clone(), metrics: outcome.metrics });
        first = first.or(Some(outcome));
    }
    for router in baseline::all(set, sparse)? {
        let outcome = measure(set, router.as_ref())?;
        rows.push(Row { name: outcome.name, metrics: outcome.metrics });
    }
    Ok((rows, first))
}
