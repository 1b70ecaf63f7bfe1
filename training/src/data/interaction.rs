//! Users' feedback on answers, grouped by user: ratings, choices among shown answers, and votes between two answers.

pub mod builder;

use super::UserInfo;

/// Signals grouped by user, then by query (compressed sparse rows).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interactions {
    /// Users; a user index is a position here.
    pub users: Vec<UserInfo>,
    /// `users + 1` positions into `entries`: those of user `u` are `offsets[u]..offsets[u + 1]`.
    pub offsets: Vec<usize>,
    /// One signal each; those of a user are sorted by query, then kind, then LLM, and votes keep the order of the data.
    pub entries: Vec<Interaction>,
}

/// One signal of a user about the answer of an LLM to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interaction {
    /// Index of the query.
    pub query: u32,
    /// Index of the LLM that answered.
    pub llm: u16,
    /// Its meaning depends on [`SignalKind`].
    pub value: f32,
    /// What kind of signal it is.
    pub kind: SignalKind,
}

/// The kind of a signal. Each kind needs a loss of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SignalKind {
    /// The user rated the answer by itself: the value is its reward.
    #[default]
    Rating,
    /// The user named the best of several answers: the value is 1 for it and 0 for every other answer shown.
    ///
    /// All choice entries of a user and query are one choice. A choice without a 1 carries no information.
    Choice,
    /// The user compared two answers: the value is 1 where `llm` won, 0 where `against` won, and ½ for a tie.
    ///
    /// A user may vote several times on the same query and pair.
    Vote {
        /// Index of the other LLM.
        against: u16,
        /// Whether the answer of `llm` is known to have been on the left. People favour a side, so a model needs a term for
        /// it, which must not count where the sides are unknown.
        is_left: bool,
    },
}

impl Interaction {
    /// Returns a rating of an answer.
    pub fn rating(query: u32, llm: u16, reward: f32) -> Self {
        Self { query, llm, value: reward, kind: SignalKind::Rating }
    }

    /// Returns the value of a signal about one answer: the reward of a rating, 1 or 0 of a choice; nothing for a vote.
    ///
    /// Models and baselines that know no votes read this.
    pub fn reward(&self) -> Option<f32> {
        (!self.kind.is_vote()).then_some(self.value)
    }

    /// Returns the order inside a user: by query, then kind, then LLM.
    pub(crate) fn key(&self) -> (u32, u8, u16) {
        (self.query, self.kind.rank(), self.llm)
    }
}

impl SignalKind {
    /// Returns whether the signal compares two answers, so that its value is not about one answer.
    pub fn is_vote(self) -> bool {
        matches!(self, Self::Vote { .. })
    }

    fn rank(self) -> u8 {
        match self {
            Self::Rating => 0,
            Self::Choice => 1,
            Self::Vote { .. } => 2,
        }
    }
}

impl Interactions {
    /// Returns the entries of one user; empty for an index that does not exist.
    pub fn of(&self, user: usize) -> &[Interaction] {
        let bounds = self.offsets.get(user).zip(self.offsets.get(user + 1));
        bounds.and_then(|(&start, &end)| self.entries.get(start..end)).unwrap_or_default()
    }

    /// Returns the interactions whose query is marked in `kept` (one flag per query), for the same users.
    pub fn restricted(&self, kept: &[bool]) -> Self {
        let mut part = Self { users: self.users.clone(), offsets: vec![0], entries: Vec::new() };
        for user in 0..self.users.len() {
            let visible = self.of(user).iter().filter(|e| kept.get(e.query as usize).copied().unwrap_or(false));
            part.entries.extend(visible);
            part.offsets.push(part.entries.len());
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_of_one_answer_is_a_reward() {
        let rating = Interaction::rating(3, 0, 0.5);
        let vote = SignalKind::Vote { against: 1, is_left: true };
        assert_eq!(rating.reward(), Some(0.5));
        assert_eq!(Interaction { kind: SignalKind::Choice, ..rating }.reward(), Some(0.5));
        assert_eq!(Interaction { kind: vote, ..rating }.reward(), None);
    }
}
