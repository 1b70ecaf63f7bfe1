//! Simulates users over outcomes (multi-cost-efficiency): a weight between quality and cost each, and what they have seen.

use std::path::Path;

use super::error::DataError;
use super::hash::{Domain, h, sm};
use super::user::{self, Columns, Writer};
use super::{Dataset, Interaction, Interactions, Split, UserInfo};

/// Seed of the population itself: the same people for every split.
const POPULATION: u64 = 42;

/// Which users there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Nine users with preferences 0.2, 0.3 … 1.0, as in the paper.
    Nine,
    /// So many users with preferences uniform in 0..1.
    Uniform(u32),
}

/// Which rewards of a seen query a user knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    /// Those of all LLMs.
    #[default]
    Full,
    /// That of one LLM.
    Bandit,
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

/// How interactions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The split's seed.
    pub seed: u64,
    /// How many training queries each user has seen; all when nothing is said.
    pub seen: Option<usize>,
    /// All rewards of a seen query, or one.
    pub feedback: Feedback,
}

impl Users {
    /// Returns the users; ids are their numbers.
    pub fn infos(self) -> Vec<UserInfo> {
        (0_u32..)
            .zip(self.preferences())
            .map(|(user, p)| UserInfo { id: user.to_string(), preference: Some(p) })
            .collect()
    }

    /// Returns the weight on quality of each user.
    pub fn preferences(self) -> Vec<f64> {
        match self {
            // Tenths are the nearest doubles to 0.2, 0.3 …, which 2.0 * 0.1 is not.
            Self::Nine => (2..=10_u32).map(|tenths| f64::from(tenths) / 10.0).collect(),
            Self::Uniform(count) => (0..u64::from(count)).map(preference).collect(),
        }
    }
}

/// Returns the protocol's preference of user `user`.
pub fn preference(user: u64) -> f64 {
    (h(POPULATION, Domain::Preference, user, 0) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns the `count` users with the lowest held-out hash, in the order of their numbers.
pub fn held_out(users: u32, count: usize) -> Vec<u32> {
    let mut hashed: Vec<(u64, u32)> =
        (0..users).map(|user| (h(POPULATION, Domain::HeldOut, u64::from(user), 0), user)).collect();
    hashed.sort_unstable();
    let mut chosen: Vec<u32> = hashed.into_iter().take(count).map(|(_, user)| user).collect();
    chosen.sort_unstable();
    chosen
}

/// Returns the `count` of `rows` with the lowest hash for this user, in the order of the hash.
pub fn lowest(dataset: &Dataset, rows: &[u32], count: usize, hash: impl Fn(u64) -> u64) -> Vec<u32> {
    let id = |row: u32| dataset.queries.get(row as usize).map_or(0, |query| query.id);
    let mut hashed: Vec<(u64, usize, u32)> =
        rows.iter().enumerate().map(|(at, &row)| (hash(id(row)), at, row)).collect();
    if count < hashed.len() {
        hashed.select_nth_unstable(count);
        hashed.truncate(count);
    }
    hashed.sort_unstable();
    hashed.into_iter().map(|(_, _, row)| row).collect()
}

/// Returns what one user has seen of the training queries, by query, then LLM.
pub fn entries(dataset: &Dataset, train: &[u32], draw: Draw, user: u32, preference: f64) -> Vec<Interaction> {
    let number = u64::from(user);
    let mut rows = match draw.seen {
        Some(count) => lowest(dataset, train, count, |id| h(draw.seed, Domain::Seen, number, id)),
        None => train.to_vec(),
    };
    rows.sort_unstable();
    let rated = |row: u32| {
        let id = dataset.queries.get(row as usize).map_or(0, |query| query.id);
        let only = (draw.feedback == Feedback::Bandit)
            .then(|| h(draw.seed, Domain::Bandit, number, id) % dataset.llms.len().max(1) as u64);
        rate(dataset, row, preference).filter(move |entry| only.is_none_or(|llm| u64::from(entry.llm) == llm))
    };
    rows.into_iter().flat_map(rated).collect()
}

/// Returns the rewards of every observed answer to a query.
#[expect(clippy::cast_possible_truncation, reason = "invariant: rewards are single precision")]
pub fn rate(dataset: &Dataset, row: u32, preference: f64) -> impl Iterator<Item = Interaction> + use<> {
    let values = |array: &ndarray::Array2<f32>| {
        let at = row as usize;
        if at < array.nrows() { array.row(at).to_vec() } else { Vec::new() }
    };
    let outcomes = values(&dataset.effect).into_iter().zip(values(&dataset.cost));
    (0_u16..).zip(outcomes).filter_map(move |(llm, (effect, cost))| {
        let reward = reward(preference, effect, cost);
        reward.is_finite().then_some(Interaction::rating(row, llm, reward as f32))
    })
}

/// Returns `p · effect − (1 − p) · cost`.
pub fn reward(preference: f64, effect: f32, cost: f32) -> f64 {
    preference * f64::from(effect) - (1.0 - preference) * f64::from(cost)
}

/// Returns the interactions of all users, in memory.
pub fn population(dataset: &Dataset, split: &Split, users: &[UserInfo], draw: Draw) -> Interactions {
    let mut all = Interactions { users: users.to_vec(), offsets: vec![0], entries: Vec::new() };
    for (number, user) in (0_u32..).zip(users) {
        let preference = user.preference.unwrap_or(0.5);
        all.entries.extend(entries(dataset, &split.train, draw, number, preference));
        all.offsets.push(all.entries.len());
    }
    all
}

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
    let [length, angle] = [first, sm(first)].map(|hash| ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64);
    let normal = (-2.0 * length.ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    (f64::from(reward) + deviation * normal) as f32
}

/// Writes a folder in the outcomes layout with users, interactions and split; `progress` hears of every user.
pub fn write(
    dataset: &Dataset,
    split: &Split,
    users: Users,
    draw: Draw,
    out: &Path,
    mut progress: impl FnMut(),
) -> Result<u64, DataError> {
    let mut writer = Writer::create(out, Columns::Ratings)?;
    let mut count = 0;
    for (number, user) in (0_u32..).zip(users.infos()) {
        let entries = entries(dataset, &split.train, draw, number, user.preference.unwrap_or(0.5));
        count += entries.len() as u64;
        writer.push(dataset, &user, &entries)?;
        progress();
    }
    writer.finish()?;
    user::write_split(out, dataset, split, draw.seed)?;
    Ok(count)
}

/// Copies the outcome files of `from` to `to`, so that the simulated folder stands alone.
pub fn copy_outcomes(from: &Path, to: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(to).map_err(|source| DataError::write(to, source))?;
    const NAMES: [&str; 9] = [
        "queries.csv",
        "queries.csv.gz",
        "outcomes.csv",
        "outcomes.csv.gz",
        "query_embeddings.npy",
        "llms.json",
        "llm_embeddings.json",
        "tasks.json",
        "task_embeddings.json",
    ];
    for name in NAMES {
        let source = from.join(name);
        if !source.is_file() {
            continue;
        }
        let target = to.join(name);
        let content = std::fs::read(&source).map_err(|error| DataError::read(&source, error))?;
        // Written anew rather than copied: the source's permissions (often read-only) must not come along.
        std::fs::write(&target, content).map_err(|error| DataError::write(&target, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outcome::{self, Cost};
    use super::super::split::{Ratio, split};
    use super::*;
    use crate::data::outcome::tests::shared;

    /// Printed by `tools/protocol.py`: users 0, 1, 999 and the mean of the thousand.
    const S1000: [f64; 4] = [0.4101355185106347, 0.19765007986665606, 0.9835436467505269, 0.5102127188593727];
    const HELD_OUT: u32 = 101906;
    const SEEN_17: u64 = 49592;
    const BANDIT_17: u32 = 162;

    #[test]
    fn nine_users_have_the_papers_preferences() {
        assert_eq!(Users::Nine.preferences(), [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
    }

    #[test]
    fn the_thousand_users_are_those_of_the_protocol() {
        let preferences = Users::Uniform(1000).preferences();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(preferences[0], S1000[0]);
        near(preferences[1], S1000[1]);
        near(preferences[999], S1000[2]);
        near(preferences.iter().sum::<f64>() / 1000.0, S1000[3]);
        let held_out = held_out(1000, 200);
        assert_eq!((held_out.len(), held_out.iter().sum::<u32>()), (200, HELD_OUT));
    }

    #[test]
    fn users_have_seen_what_the_protocol_says() {
        let Some(folder) = shared("zeroeval") else { return };
        let data = outcome::read(&folder, Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 1);
        let draw = Draw { seed: 1, seen: Some(40), feedback: Feedback::Full };
        let full = entries(&data, &split.train, draw, 17, preference(17));
        assert_eq!(full.len(), 400);
        let ids: u64 = full.chunks(10).map(|own| data.queries[own[0].query as usize].id).sum();
        assert_eq!(ids, SEEN_17);
        let bandit = entries(&data, &split.train, Draw { feedback: Feedback::Bandit, ..draw }, 17, preference(17));
        assert_eq!((bandit.len(), bandit.iter().map(|e| u32::from(e.llm)).sum::<u32>()), (40, BANDIT_17));
        assert!(bandit.iter().all(|entry| full.contains(entry)));
    }

    #[test]
    fn noise_has_the_deviation_that_was_asked_for_and_is_the_same_each_time() {
        let draws: Vec<f64> = (0..20_000).map(|at| f64::from(disturbed(0.5, (3, 0.1), at % 7, at))).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let deviation = (draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 20_000.0).sqrt();
        assert!((mean - 0.5).abs() < 0.003 && (deviation - 0.1).abs() < 0.002, "{mean} {deviation}");
        assert_eq!(disturbed(0.5, (3, 0.1), 4, 9), disturbed(0.5, (3, 0.1), 4, 9));
        assert_ne!(disturbed(0.5, (3, 0.1), 4, 9), disturbed(0.5, (4, 0.1), 4, 9));
    }

    #[test]
    fn a_simulated_folder_reads_back_as_what_was_drawn() {
        let Some(folder) = shared("zeroeval") else { return };
        let data = outcome::read(&folder, Cost::CostLog, &[]).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 3);
        let draw = Draw { seed: 3, seen: Some(5), feedback: Feedback::Full };
        let out = tempfile::tempdir().unwrap();
        copy_outcomes(&folder, out.path()).unwrap();
        let count = write(&data, &split, Users::Uniform(12), draw, out.path(), || ()).unwrap();
        let again = outcome::read(out.path(), Cost::CostLog, &[]).unwrap();
        assert_eq!((count, &again.fingerprint), (600, &data.fingerprint));
        let expected = population(&data, &split, &Users::Uniform(12).infos(), draw);
        assert_eq!(user::read(out.path(), &again).unwrap(), expected);
        assert_eq!(user::read_split(out.path(), &again).unwrap(), Some((split, 3)));
    }
}
