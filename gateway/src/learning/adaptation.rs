//! From a user's signals to the profile of the next request, through the plugin.

use personaroute_host::{Interaction, InteractionKind, Profile, QueryFeatures as Features, RouteError, TaskHint};

use super::{
    clock,
    record::{Declared, Signal, UserData},
    resolve,
};
use crate::{
    api::feedback::Said,
    config::Learning,
    decide::Learned,
    routing::{QueryFeatures, RewardRange, Scorer},
};

/// The number of later signals that weigh as much as a declared preference.
const DECLARED_WEIGHT: f32 = 5.0;

/// The preference by which effect and cost are weighed for users of whom none is known.
const NEUTRAL_PREFERENCE: f32 = 0.5;

/// A profile made from signals.
#[derive(Debug, Clone, Default)]
pub(super) struct Adapted {
    /// The profile; none if the user has no signals, so that the router uses its own.
    pub(super) profile: Option<Profile>,
    /// The preference of requests that declare none.
    pub(super) preference: Option<f32>,
    /// What has changed; none without signals and declared preference.
    pub(super) learned: Option<Learned>,
}

/// Returns the profile of `user` from the newest signals in `data`, in the embedding space of `bundle`.
///
/// # Errors
///
/// Fails as the plugin does.
pub(super) fn adapt(
    scorer: &dyn Scorer,
    user: &str,
    data: &UserData,
    config: &Learning,
    bundle: &str,
) -> Result<Adapted, RouteError> {
    let declared = data.declared;
    if data.signals.is_empty() && declared.is_none() {
        return Ok(Adapted::default());
    }
    let start = scorer.start_profile(user);
    let mut learned = Learned {
        signals: data.signals.len(),
        declared_preference: declared.map(|declared| declared.preference),
        trained_preference: start.as_ref().and_then(|profile| profile.preference),
        ..Learned::default()
    };
    let adapted = match start.filter(|_| !data.signals.is_empty()) {
        Some(start) => {
            let preference = declared.map(|declared| declared.preference).or(start.preference);
            let scale = Scale { range: scorer.reward_range(), preference: preference.unwrap_or(NEUTRAL_PREFERENCE) };
            let interactions = interactions(data, config, scale, bundle);
            let adapted = scorer.adapt(&start, &interactions)?;
            learned.moved = distance(&start.embedding, &adapted.embedding);
            learned.learned_preference = adapted.preference;
            Some(adapted)
        }
        None => None,
    };
    let preference = declared.map(|declared| blended(declared, adapted.as_ref(), &data.signals));
    Ok(Adapted { profile: adapted, preference, learned: Some(learned) })
}

/// How what users say becomes rewards.
#[derive(Debug, Clone, Copy)]
struct Scale {
    range: RewardRange,
    /// Weighs measured effects against costs.
    preference: f32,
}

impl Scale {
    /// Returns the reward of a rating from 0 to 1.
    fn reward(self, rating: f32) -> f32 {
        self.range.least + rating * (self.range.most - self.range.least)
    }

    /// Returns the reward of a measured outcome.
    fn outcome(self, effect: f32, cost: f32) -> f32 {
        self.preference * effect - (1.0 - self.preference) * cost
    }
}

/// Returns the interactions that the plugin adapts to: the newest signals, each weighed by its age.
fn interactions(data: &UserData, config: &Learning, scale: Scale, bundle: &str) -> Vec<Interaction> {
    use InteractionKind::{Choice, Rating};
    let (now, half_life) = (clock::now(), clock::millis(config.half_life));
    let older = data.signals.len().saturating_sub(config.history);
    let mut interactions = Vec::new();
    for signal in data.signals.iter().skip(older) {
        let weight = weight(signal.at, now, half_life);
        let about = |llm: &String, kind: InteractionKind, value: f32| Interaction {
            llm: llm.clone(),
            task: task(signal),
            query: features(signal, bundle),
            group: resolve::group(&signal.decision),
            kind,
            value,
            weight,
        };
        match &signal.said {
            Said::Rating { llm, rating } => {
                interactions.extend(llm.iter().map(|llm| about(llm, Rating, scale.reward(*rating))));
            }
            Said::Thumbs { llm, up } => {
                let reward = scale.reward(f32::from(u8::from(*up)));
                interactions.extend(llm.iter().map(|llm| about(llm, Rating, reward)));
            }
            Said::Best { best, shown } => {
                interactions.extend(shown.iter().map(|llm| about(llm, Choice, f32::from(u8::from(llm == best)))));
            }
            Said::Pair { better, worse } => {
                interactions.extend([about(better, Choice, 1.0), about(worse, Choice, 0.0)]);
            }
            Said::Outcome { llm, effect, cost } => {
                interactions.extend(llm.iter().map(|llm| about(llm, Rating, scale.outcome(*effect, *cost))));
            }
        }
    }
    interactions
}

fn task(signal: &Signal) -> TaskHint {
    match &signal.origin.task {
        None => TaskHint::Unknown,
        Some(task) if task.probability >= 1.0 => TaskHint::Declared(task.name.clone()),
        Some(task) => TaskHint::Guessed(vec![(task.name.clone(), task.probability.max(0.0))]),
    }
}

/// Returns the query's features, unless another bundle's encoder computed them.
fn features(signal: &Signal, bundle: &str) -> Features {
    match signal.origin.features.as_ref().filter(|_| signal.origin.bundle == bundle) {
        None => Features::None,
        Some(QueryFeatures::Lexical(ids)) => Features::Ngrams(ids.iter().copied().map(i64::from).collect()),
        Some(QueryFeatures::Dense(vector)) => Features::Embedding(vector.clone()),
    }
}

/// Returns the weight of a signal from the time `at`: a half after each half-life.
fn weight(at: u64, now: u64, half_life: u64) -> f32 {
    let halvings = now.saturating_sub(at) as f64 / half_life.max(1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "from 0 to 1, rounded once")]
    let weight = (-halvings).exp2() as f32;
    weight
}

/// Returns the preference of requests: the declared one, from which later signals move it.
fn blended(declared: Declared, adapted: Option<&Profile>, signals: &[Signal]) -> f32 {
    let Some(learned) = adapted.and_then(|profile| profile.preference) else { return declared.preference };
    let later = signals.iter().filter(|signal| signal.at > declared.at).count();
    let later = f32::from(u16::try_from(later).unwrap_or(u16::MAX));
    let share = later / (later + DECLARED_WEIGHT);
    (declared.preference + share * (learned - declared.preference)).clamp(0.0, 1.0)
}

fn distance(from: &[f32], to: &[f32]) -> f32 {
    from.iter().zip(to).map(|(from, to)| (to - from).powi(2)).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests;
