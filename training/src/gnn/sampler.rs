//! The sampler: which groups of a user validate, which a step reads, and which it hides.

use crate::data::Interactions;
use crate::graph::evidence::Evidence;
use crate::model::rng::Rng;

use super::batch::Sample;
use super::constants::{HISTORY, VALIDATION_SHARE};

/// Streams of random numbers.
const VALIDATE: u64 = 12;
const ORDER: u64 = 13;
const MASK: u64 = 14;
/// Largest share of groups that is hidden.
const MOST_HIDDEN: f64 = 0.9;

/// Groups of each user.
#[derive(Debug)]
pub struct Sampler {
    /// Groups to learn from.
    pub training: Vec<Vec<usize>>,
    /// Groups that decide which epoch is kept.
    pub validation: Vec<Vec<usize>>,
    seed: u64,
    mask_rate: f64,
    batch_size: usize,
}

impl Sampler {
    /// Sets a share of every user's queries aside for validation; a query's groups stay together.
    pub fn new(evidence: &Evidence, seed: u64, mask_rate: f64, batch_size: usize) -> Self {
        let (mut training, mut validation) = (Vec::new(), Vec::new());
        for user in 0..evidence.user_count() {
            let query = |group: usize| evidence.query.get(group).map_or(0, |&query| u64::from(query));
            let hash = |query: u64| Rng::new(seed, &[VALIDATE, user as u64, query]).bits();
            let mut queries: Vec<(u64, u64)> =
                evidence.groups_of(user).map(query).map(|query| (hash(query), query)).collect();
            queries.sort_unstable();
            queries.dedup();
            queries.truncate(share(queries.len(), VALIDATION_SHARE));
            let kept = |group: &usize| queries.iter().any(|&(_, kept)| kept == query(*group));
            let (aside, rest) = evidence.groups_of(user).partition(kept);
            training.push(rest);
            validation.push(aside);
        }
        Self { training, validation, seed, mask_rate, batch_size }
    }

    /// Returns the number of steps of an epoch: as many as read every group about once.
    pub fn steps(&self) -> usize {
        let groups: usize = self.training.iter().map(Vec::len).sum();
        let users = self.training.len().max(1);
        users.div_ceil(self.batch_size) * (groups / users).div_ceil(HISTORY).max(1)
    }

    /// Returns the samples of a step; the same numbers always give the same.
    pub fn step(&self, epoch: usize, step: usize) -> Vec<Sample> {
        let users = self.training.len();
        let rounds = users.div_ceil(self.batch_size).max(1);
        let mut order: Vec<usize> = (0..users).collect();
        Rng::new(self.seed, &[ORDER, epoch as u64, (step / rounds) as u64]).shuffle(&mut order);
        let mut rng = Rng::new(self.seed, &[MASK, epoch as u64, step as u64]);
        // Much, more, or most of a user's history is hidden, so that users with short and with long ones are learned.
        let rates =
            [self.mask_rate, (2.0 * self.mask_rate).min(MOST_HIDDEN), (1.0 - self.mask_rate / 2.0).min(MOST_HIDDEN)];
        let rate = rates.get(rng.index(rates.len())).copied().unwrap_or(self.mask_rate);
        let chosen = order.chunks(self.batch_size).nth(step % rounds).unwrap_or_default();
        chosen.iter().filter_map(|&user| self.training.get(user)).map(|groups| masked(groups, rate, &mut rng)).collect()
    }

    /// Returns the interactions without those of validation groups.
    pub fn without_validation(&self, interactions: &Interactions, evidence: &Evidence) -> Interactions {
        let mut rest = Interactions { users: interactions.users.clone(), offsets: vec![0], entries: Vec::new() };
        for (user, aside) in self.validation.iter().enumerate() {
            let mut queries: Vec<u32> = aside.iter().filter_map(|&group| evidence.query.get(group)).copied().collect();
            queries.sort_unstable();
            let kept = interactions.of(user).iter().filter(|entry| queries.binary_search(&entry.query).is_err());
            rest.entries.extend(kept.copied());
            rest.offsets.push(rest.entries.len());
        }
        rest
    }
}

/// Splits a sample of a user's groups into those that are read and those that are hidden.
fn masked(groups: &[usize], rate: f64, rng: &mut Rng) -> Sample {
    let mut drawn = groups.to_vec();
    if drawn.len() > HISTORY {
        rng.shuffle(&mut drawn);
        drawn.truncate(HISTORY);
    }
    let mut sample = Sample::default();
    for group in drawn {
        let side = if rng.uniform() < rate { &mut sample.hidden } else { &mut sample.visible };
        side.push(group);
    }
    sample
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "invariant: a share of a count is at least 0 and at most the count"
)]
fn share(count: usize, share: f64) -> usize {
    (count as f64 * share) as usize
}
