//! Normal noise on the rewards of simulated users, the same for the same seed, user and answer.

use super::hash::{Domain, h, open, sm};
use super::{Dataset, Interactions, UserInfo};

/// Adds normal noise of some standard deviation to every reward; one of its own for each user, query and LLM.
pub fn disturb(all: &mut Interactions, dataset: &Dataset, (seed, deviation): (u64, f64)) {
    let bounds = all.offsets.iter().zip(all.offsets.iter().skip(1));
    // Simulated users are called by their numbers, also where some of them are missing.
    let number = |(at, info): (u64, &UserInfo)| info.id.parse().unwrap_or(at);
    let numbers = (0_u64..).zip(&all.users).map(number);
    let users: Vec<(u64, usize, usize)> =
        numbers.zip(bounds).map(|(number, (&begin, &end))| (number, begin, end)).collect();
    for (number, begin, end) in users {
        for entry in all.entries.get_mut(begin..end).unwrap_or_default() {
            let id = dataset.queries.get(entry.query as usize).map_or(0, |query| query.id);
            entry.value = disturbed(entry.value, (seed, deviation), number, answer(dataset, id, entry.llm.into()));
        }
    }
}

/// Returns a number for an answer.
pub fn answer(dataset: &Dataset, query: u64, llm: u64) -> u64 {
    query * dataset.llms.len() as u64 + llm
}

/// Returns a reward with normal noise, by the hashes of the user and the answer (Box and Muller's transform).
#[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
pub fn disturbed(reward: f32, (seed, deviation): (u64, f64), user: u64, answer: u64) -> f32 {
    let first = h(seed, Domain::Noise, user, answer);
    let [length, angle] = [first, sm(first)].map(open);
    let normal = (-2.0 * length.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    (f64::from(reward) + deviation * normal) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_deviation_that_was_asked_for_and_is_the_same_each_time() {
        let draws: Vec<f64> = (0..20_000).map(|at| f64::from(disturbed(0.5, (3, 0.1), at % 7, at))).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let deviation = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!((mean - 0.5).abs() < 0.003 && (deviation - 0.1).abs() < 0.002, "{mean} {deviation}");
        assert_eq!(disturbed(0.5, (3, 0.1), 4, 9), disturbed(0.5, (3, 0.1), 4, 9));
        assert_ne!(disturbed(0.5, (3, 0.1), 4, 9), disturbed(0.5, (4, 0.1), 4, 9));
    }
}
