//! The protocol's numbers: reward, oracle, best single LLM per user, gap closed, accuracy, routed differently.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::Serialize;

use super::ground_truth::Mean;

/// How close to the best a chosen reward must be to count as the best.
const EQUAL: f64 = 1e-12;

/// Means over users, then test queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Metrics {
    /// Reward of the chosen LLMs.
    pub reward: f64,
    /// Reward of each user's best single LLM on the training split.
    pub best_single_per_user: f64,
    /// Reward of the best LLM for each user and query.
    pub oracle: f64,
    /// `(reward − best_single_per_user) / (oracle − best_single_per_user)`.
    pub gap_closed: f64,
    /// Share of choices that are as good as the best.
    pub accuracy: f64,
    /// Mean over pairs of users: share of test queries sent to different LLMs.
    pub routed_differently: f64,
    /// Effect of the chosen LLMs.
    pub performance: f64,
    /// Normalised cost of the chosen LLMs.
    pub cost: f64,
}

impl Metrics {
    /// Returns the sum of performance, cost and reward with these weights (`metric.weights` of the configuration).
    pub fn weighted(&self, weights: &BTreeMap<String, f64>) -> f64 {
        let figure = |name: &str| match name {
            "performance" => self.performance,
            "cost" => self.cost,
            _ => self.reward,
        };
        weights.iter().map(|(name, weight)| weight * figure(name)).sum()
    }

    /// Returns the mean of several (one a seed).
    pub fn mean(all: &[Self]) -> Self {
        let mean = |value: fn(&Self) -> f64| all.iter().map(value).sum::<f64>() / all.len() as f64;
        Self {
            reward: mean(|m| m.reward),
            best_single_per_user: mean(|m| m.best_single_per_user),
            oracle: mean(|m| m.oracle),
            gap_closed: mean(|m| m.gap_closed),
            accuracy: mean(|m| m.accuracy),
            routed_differently: mean(|m| m.routed_differently),
            performance: mean(|m| m.performance),
            cost: mean(|m| m.cost),
        }
    }
}

/// Sums over users, from which the metrics follow.
#[derive(Debug, Clone)]
pub struct MetricSums {
    users: u32,
    reward: f64,
    single: f64,
    oracle: f64,
    accuracy: f64,
    effect: Mean,
    cost: Mean,
    /// `[queries, llms]`: how many users were sent where.
    sent: Array2<u32>,
}

/// Means over the test queries of one user.
#[derive(Debug, Default)]
struct Means {
    queries: u32,
    reward: f64,
    single: f64,
    oracle: f64,
    accuracy: f64,
}

impl MetricSums {
    /// Begins with no user.
    pub fn new(queries: usize, llms: usize) -> Self {
        let sent = Array2::zeros((queries, llms));
        Self {
            users: 0,
            reward: 0.0,
            single: 0.0,
            oracle: 0.0,
            accuracy: 0.0,
            effect: Mean::default(),
            cost: Mean::default(),
            sent,
        }
    }

    /// Adds a user: rewards `[queries, llms]`, the chosen LLM of each query, and the best single one.
    ///
    /// Queries without a known reward do not count; a user without any does not either.
    pub fn add(&mut self, rewards: &Array2<f64>, chosen: &[u16], single: usize) {
        let mut means = Means::default();
        for ((row, &llm), mut sent) in rewards.rows().into_iter().zip(chosen).zip(self.sent.rows_mut()) {
            let Some(&reward) = row.get(usize::from(llm)).filter(|reward| !reward.is_nan()) else { continue };
            let best = row.iter().copied().filter(|reward| !reward.is_nan()).fold(f64::NEG_INFINITY, f64::max);
            let alone = row.get(single).copied().filter(|reward| !reward.is_nan());
            means.queries += 1;
            means.reward += reward;
            means.oracle += best;
            // Where the user never rated its best single LLM on this query, the mean of those it rated stands in.
            means.single += alone.unwrap_or_else(|| mean_known(row.iter()));
            means.accuracy += f64::from(u8::from(reward >= best - EQUAL));
            if let Some(count) = sent.get_mut(usize::from(llm)) {
                *count += 1;
            }
        }
        if means.queries > 0 {
            let share = |sum: f64| sum / f64::from(means.queries);
            self.users += 1;
            self.reward += share(means.reward);
            self.single += share(means.single);
            self.oracle += share(means.oracle);
            self.accuracy += share(means.accuracy);
        }
    }

    /// Adds effect and cost of one user's chosen LLMs, means over the queries where they are known.
    pub fn add_outcome(&mut self, effect: f64, cost: f64) {
        self.effect.add(effect);
        self.cost.add(cost);
    }

    /// Returns the metrics of the users added.
    pub fn metrics(&self) -> Metrics {
        let mean = |sum: f64| sum / f64::from(self.users);
        let (reward, single, oracle) = (mean(self.reward), mean(self.single), mean(self.oracle));
        Metrics {
            reward,
            best_single_per_user: single,
            oracle,
            gap_closed: (reward - single) / (oracle - single),
            accuracy: mean(self.accuracy),
            routed_differently: self.differently(),
            performance: self.effect.value(),
            cost: self.cost.value(),
        }
    }

    /// One minus the share of pairs of users sent to the same LLM, mean over queries with at least two users.
    fn differently(&self) -> f64 {
        let (mut sum, mut queries) = (0.0, 0_u32);
        for row in self.sent.rows() {
            let users = f64::from(row.sum());
            if users < 2.0 {
                continue;
            }
            let same: f64 = row.iter().map(|&count| f64::from(count) * (f64::from(count) - 1.0)).sum();
            sum += 1.0 - same / (users * (users - 1.0));
            queries += 1;
        }
        if queries == 0 { 0.0 } else { sum / f64::from(queries) }
    }
}

fn mean_known<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    let (sum, count) =
        values.filter(|value| !value.is_nan()).fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn two_users_on_two_queries_give_the_numbers_done_by_hand() {
        let mut sums = MetricSums::new(2, 2);
        sums.add(&array![[1.0, 0.0], [0.0, 0.5]], &[0, 0], 1);
        sums.add(&array![[0.25, 0.75], [0.5, 0.5]], &[1, 0], 0);
        let metrics = sums.metrics();
        assert_eq!(metrics.reward, (0.5 + 0.625) / 2.0);
        assert_eq!(metrics.best_single_per_user, (0.25 + 0.375) / 2.0);
        assert_eq!(metrics.oracle, (0.75 + 0.625) / 2.0);
        assert_eq!(metrics.accuracy, (0.5 + 1.0) / 2.0);
        assert_eq!(metrics.routed_differently, 0.5);
        assert_eq!(metrics.gap_closed, (0.5625 - 0.3125) / (0.6875 - 0.3125));
    }

    #[test]
    fn what_is_not_known_does_not_count() {
        let mut sums = MetricSums::new(2, 2);
        sums.add(&array![[1.0, f64::NAN], [f64::NAN, f64::NAN]], &[0, 0], 1);
        sums.add(&array![[f64::NAN, f64::NAN], [f64::NAN, f64::NAN]], &[0, 0], 1);
        let metrics = sums.metrics();
        assert_eq!((metrics.reward, metrics.best_single_per_user, metrics.oracle), (1.0, 1.0, 1.0));
        assert_eq!(metrics.routed_differently, 0.0);
    }
}
