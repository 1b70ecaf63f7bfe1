//! Users the model has never seen, embedded from a few rated queries.

use anyhow::Result;
use personaroute_bundle::interaction::AdapterInteraction;
use tch::Tensor;

use crate::data::noise::{answer, disturbed};
use crate::data::world::{Feedback, Person, World};
use crate::data::{Dataset, Interaction, Interactions, Split, UserInfo};
use crate::graph::interaction::adapter_interactions;
use crate::graph::query::TextEncoder;
use crate::model::{Model, Router, TaskInput};

use super::ground_truth::GroundTruth;
use super::metric::Metrics;
use super::{EvalSet, measure};
use crate::eval::model_router::ModelRouter;

/// Sizes of support that are measured.
pub const SUPPORTS: [usize; 6] = [0, 1, 3, 5, 10, 20];
/// Sizes of support in worlds with tastes, up to all that a user has seen.
pub const OWN_SUPPORTS: [usize; 5] = [0, 3, 10, 20, 40];
/// How many users of S1000 are held out.
pub const USERS: usize = 200;

/// The held-out users of a population, and everybody else's interactions.
pub struct HeldOut {
    /// Their positions in the population.
    pub users: Vec<u32>,
    /// Who they are.
    world: World,
    /// Interactions of the others.
    pub rest: Interactions,
}

/// Which queries held-out users say something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Validation queries, drawn for the purpose.
    Validation,
    /// The first of the training queries that the user has seen, as a user that training knows.
    Own,
}

/// Rated queries of held-out users: how many, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Support {
    /// Seed of the split.
    pub seed: u64,
    /// Queries.
    pub queries: usize,
    /// Which queries.
    pub source: Source,
    /// Rewards of all LLMs, or of one.
    pub feedback: Feedback,
    /// Standard deviation of noise on the rewards.
    pub noise: f64,
}

impl HeldOut {
    /// Takes `users` out of `all`, whose hidden utilities are those of `world`.
    pub fn new(all: &Interactions, world: &World, users: Vec<u32>) -> Self {
        let mut rest = Interactions { offsets: vec![0], ..Interactions::default() };
        for (number, user) in (0_u32..).zip(&all.users) {
            if users.binary_search(&number).is_ok() {
                continue;
            }
            rest.users.push(user.clone());
            rest.entries.extend_from_slice(all.of(number as usize));
            rest.offsets.push(rest.entries.len());
        }
        Self { world: world.subset(users.iter().map(|&user| user as usize)), users, rest }
    }

    /// Returns what each of these users said, with queries as this encoder reads them.
    pub fn said(&self, set: &EvalSet<'_>, encoder: &TextEncoder, support: Support) -> Vec<Vec<AdapterInteraction>> {
        let of = |user| said(set.dataset, set.split, support, &self.world.person(user));
        (0..self.world.len()).map(|user| adapter_interactions(set.dataset, encoder, &of(user))).collect()
    }

    /// Measures the model on these users, embedded as `[users, user_dim]`, with their task declared.
    pub fn measure(&self, model: &dyn Model, set: &EvalSet<'_>, embeddings: &Tensor) -> Result<Metrics> {
        let router =
            ModelRouter::new("held_out", model, set.dataset, (&set.split.test, TaskInput::Declared), embeddings)?;
        self.on(set, &router)
    }

    /// Measures a model that was trained on everybody, on these users only.
    pub fn trained(&self, model: &dyn Model, all: &[UserInfo], set: &EvalSet<'_>) -> Result<Metrics> {
        let own: Vec<UserInfo> = self.users.iter().filter_map(|&user| all.get(user as usize)).cloned().collect();
        let router = ModelRouter::declared(model, set.dataset, &own, &set.split.test)?;
        self.on(set, &router)
    }

    /// Returns the held-out users' hidden utilities.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Measures on these users instead of the set's.
    pub fn on(&self, set: &EvalSet<'_>, router: &dyn Router) -> Result<Metrics> {
        let truth = GroundTruth::Simulated { dataset: set.dataset, world: self.world.clone() };
        let nothing = Interactions::default();
        Ok(measure(&EvalSet::new(set.dataset, &truth, set.split, &nothing, set.seed), router)?.metrics)
    }
}

/// Returns what a held-out user said of the first queries in the order of its hash.
fn said(dataset: &Dataset, split: &Split, support: Support, person: &Person<'_>) -> Vec<Interaction> {
    let rows = match support.source {
        Source::Validation => person.support(dataset, &split.validation, support.seed, support.queries),
        Source::Own => person.seen(dataset, &split.train, support.seed, support.queries),
    };
    let mut said = person.signals(dataset, &rows, (support.seed, support.feedback));
    if support.noise > 0.0 {
        for entry in &mut said {
            let Some(query) = dataset.queries.get(entry.query as usize) else { continue };
            let answer = answer(dataset, query.id, entry.llm.into());
            entry.value = disturbed(entry.value, (support.seed, support.noise), person.number(), answer);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::outcome::tests::committed;
    use crate::data::outcome::{self, Cost};
    use crate::data::split::{Ratio, split};

    #[test]
    fn support_comes_from_validation_queries_only_and_grows_by_prefixes() {
        let data = outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 0);
        let world = World::line(&[0.5; 6]);
        let of = |queries, feedback| {
            let support = Support { seed: 0, queries, source: Source::Validation, feedback, noise: 0.0 };
            said(&data, &split, support, &world.person(5))
        };
        let (three, ten) = (of(3, Feedback::Full), of(10, Feedback::Full));
        assert_eq!((three.len(), ten.len()), (15, 50));
        assert!(three.iter().zip(&ten).all(|(a, b)| (a.llm, a.query) == (b.llm, b.query)));
        assert!(ten.iter().all(|entry| split.validation.contains(&entry.query)));
        let one = of(10, Feedback::Bandit);
        assert_eq!(one.len(), 10);
        assert!(one.iter().all(|entry| ten.iter().any(|full| (full.llm, full.query) == (entry.llm, entry.query))));
    }

    #[test]
    fn held_out_users_are_not_among_the_rest() {
        let users = ["0", "1", "2"].map(|id| UserInfo { id: id.to_owned(), preference: Some(0.25) }).to_vec();
        let entry = |query| crate::data::Interaction::rating(query, 0, 0.0);
        let all = Interactions { users, offsets: vec![0, 1, 3, 4], entries: (0..4).map(entry).collect() };
        let held_out = HeldOut::new(&all, &World::line(&[0.25; 3]), vec![1]);
        let queries: Vec<u32> = held_out.rest.entries.iter().map(|entry| entry.query).collect();
        assert_eq!((queries, held_out.rest.offsets.clone()), (vec![0, 3], vec![0, 1, 2]));
        assert_eq!((held_out.rest.users[1].id.as_str(), held_out.world.len()), ("2", 1));
    }
}
