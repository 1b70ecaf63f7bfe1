//! Ratings of new LLMs' answers, by users whose preference scores are known.

use super::floats;
use crate::closed_form::components::Components;
use crate::data::Interactions;

/// A rating of an answer of a new LLM.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NewRating {
    /// Row of the query in the components.
    pub row: usize,
    /// Preference score of the user.
    pub score: f64,
    /// Reward, minus what the user's factors add on average over LLMs.
    pub reward: f64,
}

/// Returns the ratings of each of `llms` LLMs' answers to training queries, by the users of `components`, in their order.
pub fn by_llm(components: &Components, seen: &Interactions, llms: usize) -> Vec<Vec<NewRating>> {
    let mut ratings = vec![Vec::new(); llms];
    // The loadings of a new LLM are the mean of the known ones.
    let factors = components.factors.as_ref().map_or_else(Vec::new, |factors| floats(&factors.mean_over_llms()));
    for (user, &score) in floats(&components.scores).iter().enumerate() {
        let factor = factors.get(user).copied().unwrap_or(0.0);
        for entry in seen.of(user) {
            let row = components.queries.binary_search(&entry.query).ok();
            if let Some(((row, reward), of)) = row.zip(entry.reward()).zip(ratings.get_mut(usize::from(entry.llm))) {
                of.push(NewRating { row, score, reward: f64::from(reward) - factor });
            }
        }
    }
    ratings
}
