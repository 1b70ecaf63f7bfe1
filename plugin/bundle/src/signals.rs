//! The adapter input `signals`: each reward of a user, absolute and relative to the other responses to the same query.

/// One response that a user rated.
///
/// ```
/// use personaroute_bundle::signals::{Rated, signals};
///
/// let rated = |query, reward| Rated { llm: 0, task: None, query, reward };
/// let of_user = signals(&[rated(1, 0.9), rated(2, 0.4), rated(1, 0.5)]);
/// assert_eq!(of_user[1], [0.4, 0.0, 0.0]); // the only response to query 2
/// assert!((of_user[0][1] - 0.2).abs() < 1e-6 && of_user[0][2] == 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rated {
    /// Scorer column of the LLM that responded.
    pub llm: u32,
    /// Scorer column of the task; `None` when unknown.
    pub task: Option<u32>,
    /// Groups the responses of several LLMs to one query of this user.
    pub query: u64,
    /// The user's reward, on the training data's scale.
    pub reward: f32,
}

/// Returns the adapter input `signals` for each of a user's ratings, in their order: the reward, the reward minus the
/// mean reward of this user's responses to the same query (0 for a single one), and 1 if there is more than one.
///
/// Sums are computed in 64 bits in the given order, so that the result is the same on every machine.
pub fn signals(rated: &[Rated]) -> Vec<[f32; 3]> {
    let mut by_query: Vec<(u64, usize)> = rated.iter().enumerate().map(|(idx, rated)| (rated.query, idx)).collect();
    by_query.sort_unstable();
    let mut signals: Vec<[f32; 3]> = rated.iter().map(|rated| [rated.reward, 0.0, 0.0]).collect();
    for responses in by_query.chunk_by(|(left, _), (right, _)| left == right).filter(|responses| responses.len() > 1) {
        let rewards = responses.iter().filter_map(|(_, idx)| rated.get(*idx)).map(|rated| f64::from(rated.reward));
        let mean = rewards.sum::<f64>() / responses.len() as f64;
        for (_, idx) in responses {
            if let Some([reward, over_mean, compared]) = signals.get_mut(*idx) {
                #[expect(clippy::cast_possible_truncation, reason = "a difference of f32 values, rounded once")]
                let difference = (f64::from(*reward) - mean) as f32;
                *over_mean = difference;
                *compared = 1.0;
            }
        }
    }
    signals
}

/// Returns the adapter input `group`: a number for each of a user's ratings, which those of one query share. It is the
/// position of the first of them.
pub fn groups(rated: &[Rated]) -> Vec<i64> {
    let mut by_query: Vec<(u64, usize)> = rated.iter().enumerate().map(|(idx, rated)| (rated.query, idx)).collect();
    by_query.sort_unstable();
    let mut groups = vec![0; rated.len()];
    for answers in by_query.chunk_by(|(left, _), (right, _)| left == right) {
        let first = answers.first().and_then(|(_, idx)| i64::try_from(*idx).ok()).unwrap_or(0);
        for (_, idx) in answers {
            if let Some(group) = groups.get_mut(*idx) {
                *group = first;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rated(query: u64, reward: f32) -> Rated {
        Rated { llm: 0, task: None, query, reward }
    }

    #[test]
    fn ratings_of_one_query_are_one_group() {
        assert_eq!(groups(&[rated(9, 0.0), rated(4, 0.0), rated(9, 1.0)]), [0, 1, 0]);
        assert!(groups(&[]).is_empty());
    }

    #[test]
    fn no_ratings_give_no_signals() {
        assert!(signals(&[]).is_empty());
    }

    #[test]
    fn a_single_response_is_not_compared() {
        assert_eq!(signals(&[rated(3, -0.5), rated(4, 2.0)]), [[-0.5, 0.0, 0.0], [2.0, 0.0, 0.0]]);
    }

    #[test]
    fn responses_to_one_query_are_compared_in_any_order() {
        let found = signals(&[rated(1, 1.0), rated(2, 5.0), rated(1, 0.0), rated(1, 0.5)]);
        assert_eq!(found, [[1.0, 0.5, 1.0], [5.0, 0.0, 0.0], [0.0, -0.5, 1.0], [0.5, 0.0, 1.0]]);
    }

    proptest! {
        #[test]
        fn differences_of_a_query_sum_to_nothing(rewards in prop::collection::vec((0_u64..6, -10.0_f32..10.0), 0..60)) {
            let rated: Vec<Rated> = rewards.iter().map(|(query, reward)| rated(*query, *reward)).collect();
            let found = signals(&rated);
            prop_assert_eq!(found.len(), rated.len());
            for query in 0..6 {
                let of_query = || rated.iter().zip(&found).filter(|(rated, _)| rated.query == query);
                let sum: f32 = of_query().map(|(_, signal)| signal[1]).sum();
                prop_assert!(sum.abs() < 1e-3);
                let compared = of_query().count() > 1;
                prop_assert!(of_query().all(|(rated, signal)| signal[0] == rated.reward && (signal[2] == 1.0) == compared));
            }
        }
    }
}
