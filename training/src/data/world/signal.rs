//! The feedback of simulated users: ratings, stars, or the best of all answers.

use crate::data::hash::{Domain, h, uniform};
use crate::data::{Dataset, Interaction, SignalKind};

use super::{Feedback, Person, WorldKind};

/// Scale of the Gumbel noise that decides between nearly equal answers.
const CHOICE_NOISE: f64 = 0.1;
/// Queries are so far apart in the hash of a choice.
const QUERY_STEP: u64 = 1000;

impl Person<'_> {
    /// Returns the feedback of the user on the answers to some queries, in the order of the queries, then by LLM.
    ///
    /// `seed` is the seed of the split. The answers shown in bandit form depend on it, and so do choices between nearly
    /// equal answers.
    pub fn signals(&self, dataset: &Dataset, queries: &[u32], (seed, feedback): (u64, Feedback)) -> Vec<Interaction> {
        let utilities = self.utilities(dataset, queries);
        let mut all = Vec::new();
        for (row, &query) in utilities.rows().into_iter().zip(queries) {
            let id = dataset.queries.get(query as usize).map_or(0, |query| query.id);
            let shown = h(seed, Domain::Bandit, self.number, id) % dataset.llms.len().max(1) as u64;
            let is_shown = |llm: u16| feedback == Feedback::Full || u64::from(llm) == shown;
            let known: Vec<(u16, f64)> = (0..).zip(row.iter().copied()).filter(|(_, value)| !value.is_nan()).collect();
            let best = self.best(seed, id, &known);
            let said = known.into_iter().filter(|(llm, _)| is_shown(*llm));
            all.extend(said.map(|(llm, utility)| self.signal(query, llm, utility, best)));
        }
        all
    }

    #[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
    fn signal(&self, query: u32, llm: u16, utility: f64, best: Option<u16>) -> Interaction {
        match (self.world.kind, &self.world.persona) {
            (WorldKind::Choice, _) => {
                let value = f32::from(u8::from(best == Some(llm)));
                Interaction { query, llm, value, kind: SignalKind::Choice }
            }
            (WorldKind::Persona, Some(persona)) => {
                let stars = persona.stars(self.world.key, self.number, utility);
                Interaction::rating(query, llm, stars as f32)
            }
            (WorldKind::Line | WorldKind::Taste | WorldKind::Persona, _) => {
                Interaction::rating(query, llm, utility as f32)
            }
        }
    }

    /// Returns the answer that the user names best, where this world asks for one.
    fn best(&self, seed: u64, query: u64, known: &[(u16, f64)]) -> Option<u16> {
        if self.world.kind != WorldKind::Choice {
            return None;
        }
        let mut best: Option<(u16, f64)> = None;
        for &(llm, utility) in known {
            let answer = query.wrapping_mul(QUERY_STEP).wrapping_add(llm.into());
            let gumbel = -(-uniform(seed, Domain::ChoiceNoise, self.number, answer).ln()).ln();
            let liked = utility + CHOICE_NOISE * gumbel;
            if best.is_none_or(|(_, most)| liked > most) {
                best = Some((llm, liked));
            }
        }
        best.map(|(llm, _)| llm)
    }
}
