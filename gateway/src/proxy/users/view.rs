//! A user as `/v1/users/{id}` shows it.

use serde::Serialize;

use crate::{
    api::feedback::Said,
    decide::Learned,
    learning::{Decision, Known, Signal, TaskGuess, UserData},
};

/// Most decisions that are shown, the newest ones.
const DECISIONS: usize = 50;

/// What is known of a user.
#[derive(Debug, Serialize)]
pub(super) struct UserView<'a> {
    user: &'a str,
    state: &'static str,
    signals: usize,
    preference: Preference,
    /// How far the signals have moved the user's embedding.
    moved: f32,
    /// Recent decisions, newest first, with the signals for them.
    decisions: Vec<DecisionView<'a>>,
    /// Signals for answers that are no recent decision, newest first.
    other_signals: Vec<SignalView<'a>>,
}

#[derive(Debug, Serialize)]
struct Preference {
    /// What the user has declared.
    declared: Option<f32>,
    /// What the signals imply.
    learned: Option<f32>,
    /// What training has found.
    trained: Option<f32>,
}

#[derive(Debug, Serialize)]
struct DecisionView<'a> {
    id: &'a str,
    at: String,
    model: &'a str,
    llm: &'a str,
    task: Option<&'a TaskGuess>,
    propensity: Option<f32>,
    candidates: Vec<&'a str>,
    signals: Vec<SignalView<'a>>,
}

#[derive(Debug, Serialize)]
struct SignalView<'a> {
    decision_id: &'a str,
    at: String,
    kind: &'static str,
    said: &'a Said,
}

impl<'a> UserView<'a> {
    /// Returns what is shown of `user`; `is_trained` is whether the bundle knows the user.
    pub(super) fn of(user: &'a str, data: &'a UserData, known: Option<&Known>, is_trained: bool) -> Self {
        let learned = known.and_then(|known| known.learned).unwrap_or_default();
        let profile = known.and_then(|known| known.profile.as_ref());
        let state = profile.map_or(if is_trained { "known" } else { "new" }, |profile| profile.state.as_str());
        let Learned { declared_preference: declared, trained_preference: trained, .. } = learned;
        let decisions: Vec<&Decision> = data.decisions.iter().rev().take(DECISIONS).collect();
        let is_other = |signal: &&Signal| !decisions.iter().any(|decision| decision.id == signal.decision);
        Self {
            user,
            state,
            signals: data.signals.len(),
            preference: Preference { declared, learned: learned.learned_preference, trained },
            moved: learned.moved,
            other_signals: data.signals.iter().rev().filter(is_other).take(DECISIONS).map(signal_view).collect(),
            decisions: decisions.into_iter().map(|decision| decision_view(decision, &data.signals)).collect(),
        }
    }
}

fn decision_view<'a>(decision: &'a Decision, signals: &'a [Signal]) -> DecisionView<'a> {
    DecisionView {
        id: &decision.id,
        at: time(decision.time),
        model: &decision.origin.model,
        llm: &decision.origin.llm,
        task: decision.origin.task.as_ref(),
        propensity: decision.origin.propensity,
        candidates: decision.candidates.iter().map(|candidate| candidate.llm.as_str()).collect(),
        signals: signals.iter().filter(|signal| signal.decision == decision.id).map(signal_view).collect(),
    }
}

fn signal_view(signal: &Signal) -> SignalView<'_> {
    SignalView { decision_id: &signal.decision, at: time(signal.at), kind: signal.kind().as_str(), said: &signal.said }
}

/// Returns a time as RFC 3339 writes it.
fn time(millis: u64) -> String {
    let timestamp = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    timestamp.map(|timestamp| timestamp.to_string()).unwrap_or_default()
}
