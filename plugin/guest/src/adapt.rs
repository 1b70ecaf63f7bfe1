//! Computes a user's profile from interactions with the adapter graph.

use personaroute_bundle::signals::{Rated, groups, signals};

use crate::host::{Elements, Host, Tensor, take_output};
use crate::model::{Interaction, Profile, RoutingError, UserState};
use crate::validate;

/// Returns the profile of a user with exactly these interactions; without interactions, `profile` unchanged.
///
/// The adapter's task index runs from 0 to `tasks`, which stands for an unknown task.
pub fn adapt(
    host: &impl Host,
    profile: Profile,
    tasks: u32,
    interactions: &[Interaction],
) -> Result<Profile, RoutingError> {
    validate::interactions(tasks, interactions)?;
    if interactions.is_empty() {
        return Ok(profile);
    }
    // `validate` has bounded the number.
    let n_interactions = u32::try_from(interactions.len()).unwrap_or(u32::MAX);
    let llm: Vec<i64> = interactions.iter().map(|interaction| interaction.llm_column.into()).collect();
    let task: Vec<i64> =
        interactions.iter().map(|interaction| interaction.task_column.unwrap_or(tasks).into()).collect();
    let rated: Vec<Rated> = interactions.iter().map(rated).collect();
    let signals = signals(&rated);
    let mask = vec![1.0; interactions.len()];
    let group = groups(&rated);
    let tensor = |name, elements| Tensor { name, dims: vec![1, n_interactions], elements };
    let mut signals = tensor("signals", Elements::Float32(signals.as_flattened()));
    signals.dims.push(3);
    let inputs = [
        tensor("llm", Elements::Int64(&llm)),
        tensor("task", Elements::Int64(&task)),
        signals,
        tensor("mask", Elements::Float32(&mask)),
        tensor("group", Elements::Int64(&group)),
    ];
    let mut outputs = host.run("adapter", &inputs)?;
    let embedding = take_output(&mut outputs, "user", profile.embedding.len())?;
    if embedding.iter().any(|value| !value.is_finite()) {
        return Err(RoutingError::Inference("adapter: the embedding is not finite".into()));
    }
    let preference = take_output(&mut outputs, "preference", 1)?.pop().filter(|preference| preference.is_finite());
    Ok(Profile {
        embedding,
        state: UserState::Adapted,
        interactions: n_interactions,
        preference: preference.map(|preference| preference.clamp(0.0, 1.0)),
    })
}

fn rated(interaction: &Interaction) -> Rated {
    let Interaction { llm_column: llm, task_column: task, query, reward } = *interaction;
    Rated { llm, task, query, reward }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeHost;
    use crate::host::Output;

    const TASKS: u32 = 2;

    fn profile() -> Profile {
        Profile { embedding: vec![0.1, 0.2], state: UserState::Known, interactions: 9, preference: Some(0.3) }
    }

    fn interaction(llm_column: u32, task_column: Option<u32>, query: u64, reward: f32) -> Interaction {
        Interaction { llm_column, task_column, query, reward }
    }

    fn returning(user: &[f32], preference: f32) -> FakeHost {
        let output = |name: &str, elements: &[f32]| Output { name: name.into(), elements: elements.into() };
        FakeHost::returning(vec![output("user", user), output("preference", &[preference])])
    }

    #[test]
    fn no_interactions_change_nothing() {
        let host = FakeHost::returning(Vec::new());
        assert_eq!(adapt(&host, profile(), TASKS, &[]), Ok(profile()));
        assert!(host.runs().is_empty());
    }

    #[test]
    fn interactions_become_the_inputs_that_the_manifest_describes() {
        let host = returning(&[1.0, -1.0], 0.8);
        let seen = [interaction(2, Some(1), 7, 1.0), interaction(0, None, 8, 0.5), interaction(1, Some(0), 7, 0.0)];
        let adapted = adapt(&host, profile(), TASKS, &seen).unwrap();
        let expected =
            Profile { embedding: vec![1.0, -1.0], state: UserState::Adapted, interactions: 3, preference: Some(0.8) };
        assert_eq!(adapted, expected);
        let runs = host.runs();
        assert_eq!(runs[0].graph, "adapter");
        assert_eq!(runs[0].int64("llm"), (vec![1, 3], vec![2, 0, 1]));
        assert_eq!(runs[0].int64("task"), (vec![1, 3], vec![1, 2, 0]), "the second has no task");
        let signals = vec![1.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, -0.5, 1.0];
        assert_eq!(runs[0].float32("signals"), (vec![1, 3, 3], signals));
        assert_eq!(runs[0].float32("mask"), (vec![1, 3], vec![1.0; 3]));
        assert_eq!(runs[0].int64("group"), (vec![1, 3], vec![0, 1, 0]), "the first and the last answered one query");
    }

    #[test]
    fn preference_is_clamped_or_dropped() {
        let seen = [interaction(0, None, 0, 1.0)];
        let preference = |value| adapt(&returning(&[0.0, 0.0], value), profile(), TASKS, &seen).unwrap().preference;
        assert_eq!((preference(1.5), preference(-0.5), preference(f32::NAN)), (Some(1.0), Some(0.0), None));
    }

    #[test]
    fn broken_outputs_are_refused() {
        let seen = [interaction(0, None, 0, 1.0)];
        let refused = |user: &[f32]| adapt(&returning(user, 0.5), profile(), TASKS, &seen).unwrap_err();
        let length = RoutingError::Inference("output user: expected 2 elements, found 1".into());
        assert_eq!(refused(&[0.0]), length);
        assert_eq!(refused(&[0.0, f32::NAN]), RoutingError::Inference("adapter: the embedding is not finite".into()));
    }
}
