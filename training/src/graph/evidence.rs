//! What users said, as the edges of a graph in columns: answers that were judged together form a group.

use crate::data::{Interaction, Interactions, SignalKind};

/// How the answers of a group were judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Each answer got a rating.
    Rating,
    /// One answer was named the best of those shown.
    Choice,
    /// One of two answers won, or they tied; the first one stood left if the sides are known.
    Vote {
        /// Whether the sides are known.
        sided: bool,
    },
}

/// Edges between users and answers, in columns.
///
/// Users point to ranges of groups, groups to ranges of edges.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// `users + 1` positions in the columns of groups.
    pub users: Vec<usize>,
    /// `groups + 1` positions in the columns of edges.
    pub groups: Vec<usize>,
    /// Query of each group.
    pub query: Vec<u32>,
    /// How the group was judged.
    pub judgement: Vec<Judgement>,
    /// LLM of each edge.
    pub llm: Vec<u16>,
    /// Rating; for choices and votes the share of the win, which adds up to 1 in a group.
    pub value: Vec<f32>,
}

/// One edge and what its group says of it.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Index of the LLM.
    pub llm: u16,
    /// Rating, or share of the win.
    pub value: f32,
    /// 1 for the left answer of a vote whose sides are known, else 0.
    pub left: f32,
}

impl Evidence {
    /// Reads interactions; choices that name no answer or one that was alone say nothing and are dropped.
    pub fn new(interactions: &Interactions) -> Self {
        let mut evidence = Self { users: vec![0], groups: vec![0], ..Self::default() };
        for user in 0..interactions.users.len() {
            for judged in interactions.of(user).chunk_by(together) {
                evidence.push(judged);
            }
            evidence.users.push(evidence.query.len());
        }
        evidence
    }

    /// Returns the number of users.
    pub fn user_count(&self) -> usize {
        self.users.len().saturating_sub(1)
    }

    /// Returns the groups of a user.
    pub fn groups_of(&self, user: usize) -> std::ops::Range<usize> {
        let bounds = self.users.get(user).zip(self.users.get(user + 1));
        bounds.map_or(0..0, |(&begin, &end)| begin..end)
    }

    /// Returns the edges of a group.
    pub fn edges_of(&self, group: usize) -> impl Iterator<Item = Edge> + '_ {
        let bounds = self.groups.get(group).zip(self.groups.get(group + 1));
        let (begin, end) = bounds.map_or((0, 0), |(&begin, &end)| (begin, end));
        let sided = matches!(self.judgement.get(group), Some(Judgement::Vote { sided: true }));
        let columns =
            self.llm.get(begin..end).unwrap_or_default().iter().zip(self.value.get(begin..end).unwrap_or_default());
        columns.enumerate().map(move |(place, (&llm, &value))| Edge {
            llm,
            value,
            left: if sided && place == 0 { 1.0 } else { 0.0 },
        })
    }

    fn push(&mut self, judged: &[Interaction]) {
        let Some(first) = judged.first() else { return };
        let before = self.llm.len();
        let judgement = match first.kind {
            SignalKind::Rating => self.push_values(judged, Judgement::Rating),
            SignalKind::Choice => self.push_choice(judged),
            SignalKind::Vote { against, is_left } => {
                self.push_edge(first.llm, first.value);
                self.push_edge(against, 1.0 - first.value);
                Judgement::Vote { sided: is_left }
            }
        };
        if self.llm.len() > before {
            self.query.push(first.query);
            self.judgement.push(judgement);
            self.groups.push(self.llm.len());
        }
    }

    fn push_choice(&mut self, judged: &[Interaction]) -> Judgement {
        let total: f32 = judged.iter().map(|entry| entry.value).sum();
        if total > 0.0 && judged.len() > 1 {
            judged.iter().for_each(|entry| self.push_edge(entry.llm, entry.value / total));
        }
        Judgement::Choice
    }

    fn push_values(&mut self, judged: &[Interaction], judgement: Judgement) -> Judgement {
        judged.iter().for_each(|entry| self.push_edge(entry.llm, entry.value));
        judgement
    }

    fn push_edge(&mut self, llm: u16, value: f32) {
        self.llm.push(llm);
        self.value.push(value);
    }
}

/// Whether two signals of a user, one after the other, belong to one group; each vote is a group of its own.
fn together(a: &Interaction, b: &Interaction) -> bool {
    a.query == b.query && a.kind == b.kind && !a.kind.is_vote()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::UserInfo;

    fn interactions(entries: Vec<Interaction>) -> Interactions {
        let users = vec![UserInfo { id: "u".to_owned(), preference: None }];
        Interactions { users, offsets: vec![0, entries.len()], entries }
    }

    #[test]
    fn each_kind_of_signal_becomes_groups_of_its_own() {
        let choice = |llm, value| Interaction { query: 1, llm, value, kind: SignalKind::Choice };
        let vote = SignalKind::Vote { against: 2, is_left: true };
        let evidence = Evidence::new(&interactions(vec![
            Interaction::rating(0, 0, 0.5),
            Interaction::rating(0, 1, 0.25),
            choice(0, 0.0),
            choice(1, 1.0),
            Interaction { query: 1, llm: 0, value: 1.0, kind: vote },
            Interaction { query: 1, llm: 0, value: 0.5, kind: vote },
        ]));
        assert_eq!(evidence.groups_of(0), 0..4);
        assert_eq!(evidence.query, [0, 1, 1, 1]);
        let [rating, choice, won, tied] = [0, 1, 2, 3].map(|group| evidence.edges_of(group).collect::<Vec<_>>());
        assert_eq!((rating.len(), rating[1].value, rating[0].left), (2, 0.25, 0.0));
        assert_eq!((choice[0].value, choice[1].value), (0.0, 1.0));
        assert_eq!((won[0].left, won[1].llm, won[1].value), (1.0, 2, 0.0));
        assert_eq!((tied[0].value, tied[1].value), (0.5, 0.5));
    }

    #[test]
    fn a_choice_without_a_best_answer_says_nothing() {
        let choice = |query, llm, value| Interaction { query, llm, value, kind: SignalKind::Choice };
        let evidence = Evidence::new(&interactions(vec![choice(0, 0, 0.0), choice(0, 1, 0.0), choice(1, 0, 1.0)]));
        assert_eq!((evidence.groups_of(0), evidence.llm.len()), (0..0, 0));
    }
}
