//! Simulated users and their hidden utilities: the worth of every answer to each user.
//!
//! `line` is one number per user, `p · effect − (1 − p) · cost`. `taste` and `choice` add hidden factors of user × (task,
//! LLM). In `persona`, quality also weighs more on some tasks than on others, and short questions call for terse LLMs.

pub mod file;
mod persona;
mod signal;
mod taste;

use ndarray::Array2;

use super::hash::{Domain, h, unit};
use super::split::lowest;
use super::{Dataset, UserInfo};

use file::WorldId;
use persona::Persona;
use taste::Tastes;

/// Key of the protocol's figures; another key draws other users, tastes and habits.
pub const KEY: u64 = 42;

/// The model of hidden utility, and the form of feedback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum WorldKind {
    /// One weight between quality and cost per user; answers are rated.
    #[default]
    Line,
    /// Tastes by task beside the weight; answers are rated.
    Taste,
    /// The users of `taste`, who only name the best of all answers.
    Choice,
    /// Weights by task, tastes, and habits about length; answers get one to five stars.
    Persona,
}

/// Which answers to a seen query a user gives feedback on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// All answers.
    #[default]
    Full,
    /// The answer of one LLM.
    Bandit,
}

/// Users, and everything their utilities depend on.
#[derive(Debug, Clone)]
pub struct World {
    kind: WorldKind,
    key: u64,
    people: Vec<Resident>,
    tastes: Option<Tastes>,
    persona: Option<Persona>,
}

/// One user of a world.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Resident {
    /// The number that its randomness is hashed from.
    number: u64,
    /// Weight on quality.
    preference: f64,
}

/// One user with everything that is hashed from its number looked up.
#[derive(Debug, Clone)]
pub struct Person<'a> {
    world: &'a World,
    number: u64,
    /// Weight on quality by task; one number where it is the same on all tasks.
    weights: Vec<f64>,
    /// `[tasks, llms]`, empty in `line`.
    tastes: Array2<f64>,
    /// What a short query adds by LLM, empty where length does not matter.
    lengths: Vec<f64>,
}

/// Why a world cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The nine users of the paper have fixed preferences.
    #[error(
        "world `{0}` is defined for users with uniform preferences: expected s1000 (or --users 1000), found the paper's nine users"
    )]
    Nine(&'static str),
    /// The nine users of the paper are not drawn.
    #[error("the paper's nine users have fixed preferences: expected no --key, or s1000 (or --users 1000)")]
    NineKey,
    /// A choice needs all answers.
    #[error(
        "world `choice` has no bandit feedback: the best of one answer says nothing; expected full feedback, or another world"
    )]
    BanditChoice,
    /// Users whose hidden utilities are not known.
    #[error("user `{0}` is not of a simulated world: expected a number as its id")]
    Stranger(String),
}

impl Feedback {
    /// Returns the word for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Bandit => "bandit",
        }
    }
}

impl WorldKind {
    /// Returns the name on the command line and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Taste => "taste",
            Self::Choice => "choice",
            Self::Persona => "persona",
        }
    }

    /// Refuses feedback that the world does not have.
    pub fn check(self, feedback: Feedback) -> Result<(), WorldError> {
        match (self, feedback) {
            (Self::Choice, Feedback::Bandit) => Err(WorldError::BanditChoice),
            _ => Ok(()),
        }
    }
}

impl World {
    /// Makes the world `line` of users with these preferences.
    pub fn line(preferences: &[f64]) -> Self {
        let people = (0..).zip(preferences).map(|(number, &preference)| Resident { number, preference }).collect();
        Self { kind: WorldKind::Line, key: KEY, people, tastes: None, persona: None }
    }

    /// Makes a world of the users with these numbers over the queries, tasks and LLMs of a data set.
    pub fn new(dataset: &Dataset, kind: WorldKind, key: u64, numbers: impl IntoIterator<Item = u64>) -> Self {
        let resident = |number| Resident { number, preference: preference(key, number) };
        let people = numbers.into_iter().map(resident).collect();
        let tastes = (kind != WorldKind::Line).then(|| Tastes::new(dataset, key));
        let mut world = Self { kind, key, people, tastes, persona: None };
        if kind == WorldKind::Persona {
            world.persona = Some(Persona::new(dataset, key));
            world.persona = world.persona.take().map(|persona| persona.calibrated(&world, dataset));
        }
        world
    }

    /// Makes the world that simulated users were drawn from; their ids are their numbers.
    pub fn of_users(dataset: &Dataset, kind: WorldKind, key: u64, users: &[UserInfo]) -> Result<Self, WorldError> {
        let number = |user: &UserInfo| user.id.parse().map_err(|_| WorldError::Stranger(user.id.clone()));
        Ok(Self::new(dataset, kind, key, users.iter().map(number).collect::<Result<Vec<u64>, _>>()?))
    }

    /// Returns the same world with some of its users, named by their positions.
    #[must_use]
    pub fn subset(&self, users: impl IntoIterator<Item = usize>) -> Self {
        let people = users.into_iter().filter_map(|user| self.people.get(user)).copied().collect();
        Self { people, ..self.clone() }
    }

    /// Returns the model of hidden utility.
    pub fn kind(&self) -> WorldKind {
        self.kind
    }

    /// Returns what a data folder keeps of the world.
    pub fn id(&self) -> WorldId {
        WorldId { world: self.kind, key: self.key }
    }

    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Returns whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Returns ids and, where one weight explains every reward, preferences.
    pub fn infos(&self) -> Vec<UserInfo> {
        let told = |user: &Resident| (self.kind == WorldKind::Line).then_some(user.preference);
        let info = |user: &Resident| UserInfo { id: user.number.to_string(), preference: told(user) };
        self.people.iter().map(info).collect()
    }

    /// Returns 1 for a query that is shorter than the median of its task and −1 for others; 0 where length does not matter.
    pub fn length(&self, query: u32) -> f64 {
        self.persona.as_ref().map_or(0.0, |persona| persona.length(query))
    }

    /// Looks up one user by position; a position beyond the last is a user of weight ½.
    pub fn person(&self, user: usize) -> Person<'_> {
        self.resident(self.people.get(user).copied().unwrap_or(Resident { number: user as u64, preference: 0.5 }))
    }

    fn resident(&self, user: Resident) -> Person<'_> {
        let Resident { number, preference } = user;
        let weights = match &self.persona {
            Some(persona) => persona.weights(self.key, number, preference),
            None => vec![preference],
        };
        let lengths = self.persona.as_ref().map_or_else(Vec::new, |persona| persona.lengths(self.key, number));
        let tastes = self.tastes.as_ref().map_or_else(Default::default, |tastes| tastes.of(self.key, number));
        Person { world: self, number, weights, tastes, lengths }
    }
}

impl Person<'_> {
    /// Returns the number that the user's randomness is hashed from.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the weight on quality on a task.
    pub fn weight(&self, task: usize) -> f64 {
        self.weights.get(task).or(self.weights.first()).copied().unwrap_or(0.5)
    }

    /// Returns what tastes add to the utility of an LLM on a task.
    pub fn taste(&self, task: usize, llm: usize) -> f64 {
        self.tastes.get((task, llm)).copied().unwrap_or(0.0)
    }

    /// Returns what a short query adds to the utility of an LLM, and a long one takes away.
    pub fn length_weight(&self, llm: usize) -> f64 {
        self.lengths.get(llm).copied().unwrap_or(0.0)
    }

    /// Returns the `count` training queries that the user has seen, in the order of its hash.
    pub fn seen(&self, dataset: &Dataset, train: &[u32], seed: u64, count: usize) -> Vec<u32> {
        lowest(dataset, train, count, |id| h(seed, Domain::Seen, self.number, id))
    }

    /// Returns the `count` validation queries that support the user where training does not know it.
    pub fn support(&self, dataset: &Dataset, validation: &[u32], seed: u64, count: usize) -> Vec<u32> {
        lowest(dataset, validation, count, |id| h(seed, Domain::Support, self.number, id))
    }

    /// Returns hidden utilities, `[queries, llms]`; NaN where an outcome is not known.
    pub fn utilities(&self, dataset: &Dataset, queries: &[u32]) -> Array2<f64> {
        let mut utilities = Array2::from_elem((queries.len(), dataset.llms.len()), f64::NAN);
        for (mut row, &query) in utilities.rows_mut().into_iter().zip(queries) {
            let task = dataset.queries.get(query as usize).map_or(0, |query| query.task as usize);
            let (weight, length) = (self.weight(task), self.world.length(query));
            for (llm, utility) in row.iter_mut().enumerate() {
                let place = (query as usize, llm);
                if let (Some(&effect), Some(&cost)) = (dataset.effect.get(place), dataset.cost.get(place)) {
                    let line = weight * f64::from(effect) - (1.0 - weight) * f64::from(cost);
                    *utility = line + self.taste(task, llm) + length * self.length_weight(llm);
                }
            }
        }
        utilities
    }
}

/// Returns the protocol's weight on quality of a user.
pub fn preference(key: u64, number: u64) -> f64 {
    unit(key, Domain::Preference, number, 0)
}

#[cfg(test)]
pub(crate) mod tests;
