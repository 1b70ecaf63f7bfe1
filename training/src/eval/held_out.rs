//! Users the model has never seen, embedded from a few rated queries.

use anyhow::Result;
use personaroute_bundle::signals::Rated;
use tch::Tensor;

use crate::data::hash::{Domain, h};
use crate::data::simulate::{Feedback, answer, disturbed, lowest, rate};
use crate::data::{Dataset, Interactions, Split, UserInfo};
use crate::model::{Model, Router, TaskInput};

use super::metric::Metrics;
use super::truth::Truth;
use super::{Field, measure};
use crate::eval::model_router::ModelRouter;

/// Sizes of support that are measured.
pub const SUPPORTS: [usize; 6] = [0, 1, 3, 5, 10, 20];
/// How many users of S1000 are held out.
pub const USERS: usize = 200;

/// The held-out users of a population, and everybody else's interactions.
pub struct HeldOut {
    /// Their numbers.
    pub users: Vec<u32>,
    preferences: Vec<f64>,
    /// Interactions of the others.
    pub rest: Interactions,
}

/// Rated queries of held-out users: how many, and how much of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Support {
    /// Seed of the split.
    pub seed: u64,
    /// Queries.
    pub queries: usize,
    /// Rewards of all LLMs, or of one.
    pub feedback: Feedback,
    /// Standard deviation of noise on the rewards.
    pub noise: f64,
}

impl HeldOut {
    /// Takes `users` out of `all`.
    pub fn new(all: &Interactions, users: Vec<u32>) -> Self {
        let mut rest = Interactions { offsets: vec![0], ..Interactions::default() };
        let mut preferences = Vec::new();
        for (number, user) in (0_u32..).zip(&all.users) {
            if users.binary_search(&number).is_ok() {
                preferences.push(user.preference.unwrap_or(0.5));
                continue;
            }
            rest.users.push(user.clone());
            rest.entries.extend_from_slice(all.of(number as usize));
            rest.offsets.push(rest.entries.len());
        }
        Self { users, preferences, rest }
    }

    /// Returns what each of these users rated.
    pub fn rated(&self, field: &Field<'_>, support: Support) -> Vec<Vec<Rated>> {
        let of = |(&user, &p): (&u32, &f64)| rated(field.dataset, field.split, support, user, p);
        self.users.iter().zip(&self.preferences).map(of).collect()
    }

    /// Measures the model on these users, embedded as `[users, user_dim]`, with their task declared.
    pub fn measure(&self, model: &dyn Model, field: &Field<'_>, embeddings: &Tensor) -> Result<Metrics> {
        let net =
            ModelRouter::new("held_out", model, field.dataset, (&field.split.test, TaskInput::Declared), embeddings)?;
        self.on(field, &net)
    }

    /// Measures a model that was trained on everybody, on these users only.
    pub fn trained(&self, model: &dyn Model, all: &[UserInfo], field: &Field<'_>) -> Result<Metrics> {
        let own: Vec<UserInfo> = self.users.iter().filter_map(|&user| all.get(user as usize)).cloned().collect();
        let net = ModelRouter::declared(model, field.dataset, &own, &field.split.test)?;
        self.on(field, &net)
    }

    /// Measures on these users instead of the field's.
    fn on(&self, field: &Field<'_>, router: &dyn Router) -> Result<Metrics> {
        let truth = Truth::Formula { dataset: field.dataset, preferences: self.preferences.clone() };
        let nothing = Interactions::default();
        Ok(measure(&Field::new(field.dataset, &truth, field.split, &nothing, field.seed), router)?.metrics)
    }
}

/// Returns what a held-out user rated: the first validation queries in the order of its hash.
fn rated(dataset: &Dataset, split: &Split, support: Support, user: u32, preference: f64) -> Vec<Rated> {
    let number = u64::from(user);
    let hash = |id: u64| h(support.seed, Domain::Support, number, id);
    let rows = lowest(dataset, &split.validation, support.queries, hash);
    let mut all = Vec::new();
    for row in rows {
        let Some(query) = dataset.queries.get(row as usize) else { continue };
        let only = h(support.seed, Domain::Bandit, number, query.id) % dataset.llms.len().max(1) as u64;
        let entries = rate(dataset, row, preference);
        let seen = entries.filter(|entry| support.feedback == Feedback::Full || u64::from(entry.llm) == only);
        all.extend(seen.map(|entry| Rated {
            llm: u32::from(entry.llm),
            task: Some(query.task),
            query: query.id,
            reward: match support.noise > 0.0 {
                true => {
                    let answer = answer(dataset, query.id, entry.llm.into());
                    disturbed(entry.value, (support.seed, support.noise), number, answer)
                }
                false => entry.value,
            },
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::outcome::tests::shared;
    use crate::data::outcome::{self, Cost};
    use crate::data::split::{Ratio, split};

    #[test]
    fn support_comes_from_validation_queries_only_and_grows_by_prefixes() {
        let Some(folder) = shared("zeroeval") else { return };
        let data = outcome::read(&folder, Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 0);
        let of = |queries, feedback| rated(&data, &split, Support { seed: 0, queries, feedback, noise: 0.0 }, 5, 0.5);
        let (three, ten) = (of(3, Feedback::Full), of(10, Feedback::Full));
        assert_eq!((three.len(), ten.len()), (30, 100));
        assert!(three.iter().zip(&ten).all(|(a, b)| (a.llm, a.query) == (b.llm, b.query)));
        let allowed: Vec<u64> = split.validation.iter().map(|&row| data.queries[row as usize].id).collect();
        assert!(ten.iter().all(|rated| allowed.contains(&rated.query)));
        let one = of(10, Feedback::Bandit);
        assert_eq!(one.len(), 10);
        assert!(one.iter().all(|rated| ten.iter().any(|full| (full.llm, full.query) == (rated.llm, rated.query))));
    }

    #[test]
    fn held_out_users_are_not_among_the_rest() {
        let users = ["0", "1", "2"].map(|id| UserInfo { id: id.to_owned(), preference: Some(0.25) }).to_vec();
        let entry = |query| crate::data::Interaction::rating(query, 0, 0.0);
        let all = Interactions { users, offsets: vec![0, 1, 3, 4], entries: (0..4).map(entry).collect() };
        let held_out = HeldOut::new(&all, vec![1]);
        let queries: Vec<u32> = held_out.rest.entries.iter().map(|entry| entry.query).collect();
        assert_eq!((queries, held_out.rest.offsets.clone()), (vec![0, 3], vec![0, 1, 2]));
        assert_eq!((held_out.rest.users[1].id.as_str(), held_out.preferences.len()), ("2", 1));
    }
}
