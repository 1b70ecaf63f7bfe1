//! Simulates users over outcomes: which queries each user has seen, and its feedback on the answers.

use std::path::Path;

use super::error::DataError;
use super::hash::{Domain, h};
use super::user::{self, Layout, UserWriter};
use super::world::{Feedback, KEY, Person, World, WorldError, WorldKind};
use super::{Dataset, Interaction, Interactions, Split};

/// Which users there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Nine users with preferences 0.2, 0.3 … 1.0, as in the paper.
    Nine,
    /// So many users with preferences uniform in 0..1.
    Uniform(u32),
}

/// How interactions are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The split's seed.
    pub seed: u64,
    /// How many training queries each user has seen; nothing means all of them.
    pub seen: Option<usize>,
    /// All rewards of a seen query, or one.
    pub feedback: Feedback,
}

impl Users {
    /// Refuses worlds that these users are not of.
    pub fn check(self, kind: WorldKind, key: u64) -> Result<(), WorldError> {
        match self {
            Self::Nine if kind != WorldKind::Line => Err(WorldError::Nine(kind.as_str())),
            Self::Nine if key != KEY => Err(WorldError::NineKey),
            Self::Nine | Self::Uniform(_) => Ok(()),
        }
    }

    /// Makes the world of these users.
    pub fn world(self, dataset: &Dataset, kind: WorldKind, key: u64) -> Result<World, WorldError> {
        self.check(kind, key)?;
        match self {
            // Tenths are the nearest doubles to 0.2, 0.3 …, which 2.0 * 0.1 is not.
            Self::Nine => Ok(World::line(&(2..=10_u32).map(|tenths| f64::from(tenths) / 10.0).collect::<Vec<_>>())),
            Self::Uniform(count) => Ok(World::new(dataset, kind, key, 0..count.into())),
        }
    }
}

/// Returns the `count` users with the lowest held-out hash, in the order of their numbers; the same in every world.
pub fn held_out(users: u32, count: usize) -> Vec<u32> {
    let mut hashed: Vec<(u64, u32)> =
        (0..users).map(|user| (h(KEY, Domain::HeldOut, u64::from(user), 0), user)).collect();
    hashed.sort_unstable();
    let mut chosen: Vec<u32> = hashed.into_iter().take(count).map(|(_, user)| user).collect();
    chosen.sort_unstable();
    chosen
}

/// Returns the feedback of one user on the training queries it has seen, by query, then LLM.
pub fn entries(dataset: &Dataset, train: &[u32], draw: Draw, person: &Person<'_>) -> Vec<Interaction> {
    let mut rows = match draw.seen {
        Some(count) => person.seen(dataset, train, draw.seed, count),
        None => train.to_vec(),
    };
    rows.sort_unstable();
    person.signals(dataset, &rows, (draw.seed, draw.feedback))
}

/// Returns the interactions of all users, in memory.
pub fn population(dataset: &Dataset, split: &Split, world: &World, draw: Draw) -> Interactions {
    let mut all = Interactions { users: world.infos(), offsets: vec![0], entries: Vec::new() };
    for user in 0..world.len() {
        all.entries.extend(entries(dataset, &split.train, draw, &world.person(user)));
        all.offsets.push(all.entries.len());
    }
    all
}

/// Writes a folder in the outcomes layout with users, interactions, split and world; `progress` is called once per user.
pub fn write(
    dataset: &Dataset,
    split: &Split,
    world: &World,
    draw: Draw,
    out: &Path,
    mut progress: impl FnMut(),
) -> Result<u64, DataError> {
    let layout = match world.kind() {
        WorldKind::Choice => Layout::Signals,
        WorldKind::Line | WorldKind::Taste | WorldKind::Persona => Layout::Ratings,
    };
    let mut writer = UserWriter::create(out, layout)?;
    let mut count = 0;
    for (user, info) in world.infos().iter().enumerate() {
        let entries = entries(dataset, &split.train, draw, &world.person(user));
        count += entries.len() as u64;
        writer.push(dataset, info, &entries)?;
        progress();
    }
    writer.finish()?;
    user::write_split(out, dataset, split, draw.seed)?;
    world.id().write(out)?;
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
    use crate::data::outcome::tests::{answers, committed};
    use crate::data::world::file::WorldId;
    use crate::data::world::tests::{first_split, generated};

    /// What `unit(42, 2, u)` of `tests/fixtures/protocol.py` is for the users 0, 1 and 999, and its mean over the thousand.
    const S1000: [f64; 4] = [0.4101355185106347, 0.19765007986665606, 0.9835436467505269, 0.5102127188593727];

    fn outcomes() -> Dataset {
        outcome::read(&committed("outcomes"), Cost::CostLog, &[]).unwrap()
    }

    #[test]
    fn nine_users_have_the_papers_preferences() {
        let data = generated();
        let nine = Users::Nine.world(&data, WorldKind::Line, KEY).unwrap();
        let preferences: Vec<f64> = nine.infos().iter().map(|user| user.preference.unwrap()).collect();
        assert_eq!(preferences, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]);
    }

    #[test]
    fn the_thousand_users_are_those_of_the_protocol() {
        let world = Users::Uniform(1000).world(&generated(), WorldKind::Line, KEY).unwrap();
        let preferences: Vec<f64> = world.infos().iter().map(|user| user.preference.unwrap()).collect();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        near(preferences[0], S1000[0]);
        near(preferences[1], S1000[1]);
        near(preferences[999], S1000[2]);
        near(preferences.iter().sum::<f64>() / 1000.0, S1000[3]);
        let held_out = held_out(1000, 200);
        assert_eq!(held_out.len(), 200);
        assert_eq!(answers()["sum_of_held_out_users"], held_out.iter().sum::<u32>());
    }

    #[test]
    fn users_have_seen_what_the_protocol_says() {
        let (data, expected) = (outcomes(), &answers()["seeds"]["1"]["user_17"]);
        let world = Users::Uniform(18).world(&data, WorldKind::Line, KEY).unwrap();
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 1);
        let draw = Draw { seed: 1, seen: Some(40), feedback: Feedback::Full };
        let full = entries(&data, &split.train, draw, &world.person(17));
        assert_eq!(full.len(), 40 * 5);
        let ids: u64 = full.chunks(5).map(|own| data.queries[own[0].query as usize].id).sum();
        assert_eq!(expected["sum_of_ids"], ids);
        let bandit = entries(&data, &split.train, Draw { feedback: Feedback::Bandit, ..draw }, &world.person(17));
        assert_eq!(bandit.len(), 40);
        assert_eq!(expected["sum_of_bandit_llms"], bandit.iter().map(|entry| u32::from(entry.llm)).sum::<u32>());
        assert!(bandit.iter().all(|entry| full.contains(entry)));
    }

    #[test]
    fn a_folder_of_choices_names_its_world_and_keeps_its_signals() {
        let data = generated();
        let split = first_split(&data);
        let world = Users::Uniform(5).world(&data, WorldKind::Choice, 7).unwrap();
        let draw = Draw { seed: 1, seen: Some(3), feedback: Feedback::Full };
        let out = tempfile::tempdir().unwrap();
        write(&data, &split, &world, draw, out.path(), || ()).unwrap();
        assert_eq!(WorldId::read(out.path()).unwrap(), Some(WorldId { world: WorldKind::Choice, key: 7 }));
        let read = user::read(out.path(), &data).unwrap();
        assert_eq!(read, population(&data, &split, &world, draw));
        assert!(read.users.iter().all(|user| user.preference.is_none()));
    }

    #[test]
    fn a_simulated_folder_reads_back_as_what_was_drawn() {
        let (folder, data) = (committed("outcomes"), outcomes());
        let split = split(&data.queries, data.tasks.len(), Ratio::PROTOCOL, 3);
        let draw = Draw { seed: 3, seen: Some(5), feedback: Feedback::Full };
        let out = tempfile::tempdir().unwrap();
        copy_outcomes(&folder, out.path()).unwrap();
        let world = Users::Uniform(12).world(&data, WorldKind::Line, KEY).unwrap();
        let count = write(&data, &split, &world, draw, out.path(), || ()).unwrap();
        let again = outcome::read(out.path(), Cost::CostLog, &[]).unwrap();
        assert_eq!((count, &again.fingerprint), (12 * 5 * 5, &data.fingerprint));
        let expected = population(&data, &split, &world, draw);
        assert_eq!(user::read(out.path(), &again).unwrap(), expected);
        assert_eq!(user::read_split(out.path(), &again).unwrap(), Some((split, 3)));
    }
}
