//! Tests of the way from signals to interactions, and of declared preferences.

use std::time::Duration;

use personaroute_host::{Decision, RouteRequest, UserState};

use super::*;
use crate::{
    config::LearningStore,
    learning::record::{Origin, TaskGuess},
};

const DAY: u64 = 24 * 3_600_000;

fn config(history: usize) -> Learning {
    Learning {
        store: LearningStore::Memory,
        window: Duration::from_secs(1),
        retention: Duration::from_secs(1),
        half_life: Duration::from_millis(10 * DAY),
        history,
        max_decisions: 1,
        max_user_decisions: 1,
        max_user_signals: 1,
        max_profiles: 1,
        signals_per_minute: 1,
        body: 1,
        queue: 1,
        timeout: Duration::from_secs(1),
    }
}

fn signal(decision: &str, said: Said, at: u64) -> Signal {
    let task = Some(TaskGuess { name: "math".to_owned(), probability: 0.7 });
    let origin = Origin { task, ..Origin::default() };
    Signal { decision: decision.to_owned(), said, at, received: at, origin }
}

fn rating(decision: &str, rating: f32, at: u64) -> Signal {
    signal(decision, Said::Rating { llm: Some("a".to_owned()), rating }, at)
}

/// Adds the rewards to the start, and notes the mean as the preference.
struct Summing;

impl Scorer for Summing {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn route(&self, _: &RouteRequest) -> Result<Decision, RouteError> {
        Err(RouteError::Overloaded)
    }

    fn route_batch(&self, _: &[RouteRequest]) -> Vec<Result<Decision, RouteError>> {
        Vec::new()
    }

    fn start_profile(&self, _: &str) -> Option<Profile> {
        Some(Profile {
            embedding: vec![1.0],
            state: UserState::New,
            interactions: 0,
            preference: Some(0.5),
            certainty: 0.0,
        })
    }

    fn adapt(&self, start: &Profile, interactions: &[Interaction]) -> Result<Profile, RouteError> {
        let sum: f32 = interactions.iter().map(|interaction| interaction.value).sum();
        let embedding = start.embedding.iter().map(|value| value + sum).collect();
        let preference = Some(sum / interactions.len() as f32);
        Ok(Profile { embedding, state: UserState::Adapted, interactions: 1, preference, certainty: 0.5 })
    }
}

fn known(data: &UserData) -> Adapted {
    adapt(&Summing, "ada", data, &config(64), "v1").unwrap()
}

#[test]
fn ratings_become_rewards_in_the_training_datas_range_and_choices_one_or_zero() {
    let llm = || Some("a".to_owned());
    let said = [
        Said::Rating { llm: llm(), rating: 0.25 },
        Said::Thumbs { llm: llm(), up: true },
        Said::Thumbs { llm: llm(), up: false },
        Said::Best { best: "b".to_owned(), shown: vec!["a".to_owned(), "b".to_owned()] },
        Said::Pair { better: "b".to_owned(), worse: "a".to_owned() },
        Said::Outcome { llm: llm(), effect: 0.8, cost: 0.5 },
    ];
    let signals = said.into_iter().enumerate().map(|(idx, said)| signal(&format!("d{idx}"), said, 0)).collect();
    let data = UserData { signals, ..UserData::default() };
    let range = RewardRange { least: -1.0, most: 1.0 };
    let found = interactions(&data, &config(64), Scale { range, preference: 0.75 }, "v1");
    let rewards: Vec<(&str, f32)> = found.iter().map(|found| (found.llm.as_str(), found.value)).collect();
    let outcome = 0.75 * 0.8 - 0.25 * 0.5;
    let expected =
        [("a", -0.5), ("a", 1.0), ("a", -1.0), ("a", 0.0), ("b", 1.0), ("b", 1.0), ("a", 0.0), ("a", outcome)];
    assert_eq!(rewards, expected);
    assert_eq!(found[3].group, found[4].group, "the answers to one query are compared");
    assert_ne!(found[4].group, found[5].group);
    let kinds: Vec<bool> = found.iter().map(|found| found.kind == InteractionKind::Choice).collect();
    assert_eq!(kinds, [false, false, false, true, true, true, true, false]);
    assert!(found.iter().all(|found| found.task == TaskHint::Guessed(vec![("math".to_owned(), 0.7)])));
}

#[test]
fn features_of_another_bundle_are_left_out() {
    let mut signal = rating("d", 0.5, 0);
    signal.origin.features = Some(QueryFeatures::Lexical(vec![3, 5]));
    signal.origin.bundle = "v1".to_owned();
    assert_eq!(features(&signal, "v1"), Features::Ngrams(vec![3, 5]));
    assert_eq!(features(&signal, "v2"), Features::None);
}

#[test]
fn only_the_newest_signals_shape_a_profile() {
    let data = UserData {
        signals: (0..5_u8).map(|idx| rating(&format!("d{idx}"), f32::from(idx) / 10.0, 0)).collect(),
        ..UserData::default()
    };
    let scale = Scale { range: RewardRange { least: 0.0, most: 1.0 }, preference: 0.5 };
    let found = interactions(&data, &config(2), scale, "v1");
    assert_eq!(found.iter().map(|found| found.value).collect::<Vec<_>>(), [0.3, 0.4]);
}

#[test]
fn a_signal_weighs_half_after_each_half_life() {
    assert_eq!(weight(0, 0, DAY), 1.0);
    assert_eq!(weight(0, DAY, DAY), 0.5);
    assert_eq!(weight(0, 2 * DAY, DAY), 0.25);
    assert_eq!(weight(DAY, 0, DAY), 1.0, "a clock that is ahead");
}

#[test]
fn without_signals_nothing_is_adapted() {
    let nobody = known(&UserData::default());
    assert!(nobody.profile.is_none() && nobody.preference.is_none() && nobody.learned.is_none());
}

#[test]
fn signals_move_the_profile_from_where_it_starts() {
    let adapted = known(&UserData { signals: vec![rating("d", 1.0, 0)], ..UserData::default() });
    let learned = adapted.learned.unwrap();
    assert_eq!(adapted.profile.unwrap().embedding, [2.0]);
    assert_eq!((learned.signals, learned.moved), (1, 1.0));
    assert_eq!((learned.trained_preference, learned.learned_preference), (Some(0.5), Some(1.0)));
    assert_eq!(adapted.preference, None, "the profile's own");
}

#[test]
fn a_declared_preference_counts_at_once_and_later_signals_move_it() {
    let declared = Some(Declared { preference: 0.2, at: 1_000 });
    let alone = known(&UserData { declared, ..UserData::default() });
    assert_eq!((alone.preference, alone.profile.is_none()), (Some(0.2), true));
    let earlier = known(&UserData { declared, signals: vec![rating("d", 1.0, 999)], ..UserData::default() });
    assert_eq!(earlier.preference, Some(0.2), "what was said before the declaration does not outweigh it");
    let signals = (0..5).map(|idx| rating(&format!("d{idx}"), 1.0, 2_000 + idx)).collect();
    let later = known(&UserData { declared, signals, ..UserData::default() });
    assert!((later.preference.unwrap() - 0.6).abs() < 1e-6, "five signals weigh as much: {:?}", later.preference);
}
