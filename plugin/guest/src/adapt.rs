//! Computes a user's profile from interactions with the adapter graph.

use personaroute_bundle::interaction::{AdapterInputs, TextInput};

use crate::host::{Elements, Host, Tensor, take_output};
use crate::model::{Interaction, Model, Profile, RoutingError, TextEncoder, UserState};
use crate::validate;

/// Returns the profile of a user who had `start` before these interactions; without interactions, `start` unchanged.
pub fn adapt(
    host: &impl Host,
    model: &Model,
    start: Profile,
    interactions: &[Interaction],
) -> Result<Profile, RoutingError> {
    validate::interactions(model, interactions)?;
    if start.embedding.len() != model.prior.len() {
        let (expected, found) = (model.prior.len(), start.embedding.len());
        return Err(RoutingError::InvalidRequest(format!(
            "start.embedding: expected {expected} values, found {found}"
        )));
    }
    if interactions.is_empty() {
        return Ok(start);
    }
    let text = match model.text_encoder {
        TextEncoder::Lexical(..) => TextInput::Ngrams,
        TextEncoder::Embedding(dim) => TextInput::Embedding(dim as usize),
    };
    let inputs = AdapterInputs::new(&[interactions], model.tasks.len(), text);
    let mut outputs = host.run("adapter", &tensors(model, &start, &[start.interactions as f32], &inputs))?;
    let embedding = take_output(&mut outputs, "user", start.embedding.len())?;
    if embedding.iter().any(|value| !value.is_finite()) {
        return Err(RoutingError::Inference("adapter: the embedding is not finite".into()));
    }
    let preference = take_output(&mut outputs, "preference", 1)?.pop().filter(|preference| preference.is_finite());
    let certainty = take_output(&mut outputs, "certainty", 1)?.pop().filter(|certainty| certainty.is_finite());
    // `validate` has bounded the number.
    let added = u32::try_from(interactions.len()).unwrap_or(u32::MAX);
    Ok(Profile {
        embedding,
        state: UserState::Adapted,
        interactions: start.interactions.saturating_add(added),
        preference: preference.map(|preference| preference.clamp(0.0, 1.0)),
        certainty: certainty.unwrap_or(0.0).clamp(0.0, 1.0),
    })
}

fn tensors<'data>(
    model: &Model,
    start: &'data Profile,
    start_interactions: &'data [f32],
    inputs: &'data AdapterInputs,
) -> Vec<Tensor<'data>> {
    // The plugin's memory bounds every extent below 2^32.
    let extent = |extent: usize| u32::try_from(extent).unwrap_or(u32::MAX);
    let per_user = |name, values: &'data [f32]| Tensor {
        name,
        dims: vec![1, extent(values.len())],
        elements: Elements::Float32(values),
    };
    let dims = vec![1, extent(inputs.interactions)];
    let float = |name, values: &'data [f32]| Tensor { name, dims: dims.clone(), elements: Elements::Float32(values) };
    let whole = |name, values: &'data [i64]| Tensor { name, dims: dims.clone(), elements: Elements::Int64(values) };
    let wide = |mut tensor: Tensor<'data>, width: usize| {
        tensor.dims.push(extent(width));
        tensor
    };
    let text = match model.text_encoder {
        TextEncoder::Lexical(..) => wide(whole("ngrams", &inputs.ngrams), inputs.text),
        TextEncoder::Embedding(_) => wide(float("query", &inputs.query), inputs.text),
    };
    vec![
        per_user("start", &start.embedding),
        per_user("start_interactions", start_interactions),
        whole("llm", &inputs.llm),
        wide(float("task", &inputs.task), model.tasks.len()),
        text,
        whole("kind", &inputs.kind),
        float("value", &inputs.value),
        float("weight", &inputs.weight),
        whole("group", &inputs.group),
    ]
}

#[cfg(test)]
mod tests {
    use personaroute_bundle::interaction::{InteractionKind, QueryFeatures, TaskColumns};

    use super::*;
    use crate::fake::{FakeHost, model};
    use crate::host::Output;

    fn known() -> Profile {
        Profile {
            embedding: vec![0.1, 0.2],
            state: UserState::Known,
            interactions: 9,
            preference: Some(0.3),
            certainty: 0.5,
        }
    }

    fn rating() -> Interaction {
        Interaction { value: 1.0, ..Interaction::default() }
    }

    fn returning(user: &[f32], preference: f32, certainty: f32) -> FakeHost {
        let output = |name: &str, elements: &[f32]| Output { name: name.into(), elements: elements.into() };
        let own = [("preference", preference), ("certainty", certainty)];
        let own = own.map(|(name, value)| output(name, &[value]));
        FakeHost::returning([output("user", user)].into_iter().chain(own).collect())
    }

    #[test]
    fn no_interactions_change_nothing() {
        let host = FakeHost::returning(Vec::new());
        assert_eq!(adapt(&host, &model(), known(), &[]), Ok(known()));
        assert!(host.runs().is_empty());
    }

    #[test]
    fn interactions_become_the_inputs_that_the_manifest_describes() {
        let host = returning(&[1.0, -1.0], 0.8, 0.9);
        let declared = Interaction { llm: 2, task: TaskColumns::Declared(1), group: 7, ..rating() };
        let text = QueryFeatures::Ngrams(vec![4, 5]);
        let unknown = Interaction { value: 0.5, group: 8, query: text, weight: 0.25, ..rating() };
        let task = TaskColumns::Guessed(vec![0.5, 0.25]);
        let chosen = Interaction { llm: 1, task, group: 7, kind: InteractionKind::Choice, ..rating() };
        let adapted = adapt(&host, &model(), known(), &[declared, unknown, chosen]).unwrap();
        let expected = Profile {
            embedding: vec![1.0, -1.0],
            state: UserState::Adapted,
            interactions: 12,
            preference: Some(0.8),
            certainty: 0.9,
        };
        assert_eq!(adapted, expected);
        let runs = host.runs();
        assert_eq!(runs[0].graph, "adapter");
        assert_eq!(runs[0].float32("start"), (vec![1, 2], vec![0.1, 0.2]));
        assert_eq!(runs[0].float32("start_interactions"), (vec![1, 1], vec![9.0]));
        assert_eq!(runs[0].int64("llm"), (vec![1, 3], vec![2, 0, 1]));
        let task = vec![0.0, 1.0, 0.0, 0.0, 0.5, 0.25];
        assert_eq!(runs[0].float32("task"), (vec![1, 3, 2], task), "the second has no task");
        assert_eq!(runs[0].int64("ngrams"), (vec![1, 3, 2], vec![0, 0, 4, 5, 0, 0]));
        assert_eq!(runs[0].int64("kind"), (vec![1, 3], vec![0, 0, 1]));
        assert_eq!(runs[0].float32("value"), (vec![1, 3], vec![1.0, 0.5, 1.0]));
        assert_eq!(runs[0].float32("weight"), (vec![1, 3], vec![1.0, 0.25, 1.0]));
        assert_eq!(
            runs[0].int64("group"),
            (vec![1, 3], vec![0, 1, 0]),
            "the first and the last responded to one query"
        );
    }

    #[test]
    fn preference_and_certainty_are_clamped_or_dropped() {
        let own = |value| {
            let adapted = adapt(&returning(&[0.0, 0.0], value, value), &model(), known(), &[rating()]).unwrap();
            (adapted.preference, adapted.certainty)
        };
        assert_eq!([own(1.5), own(-0.5), own(f32::NAN)], [(Some(1.0), 1.0), (Some(0.0), 0.0), (None, 0.0)]);
    }

    #[test]
    fn broken_outputs_and_starts_are_refused() {
        let refused = |user: &[f32]| adapt(&returning(user, 0.5, 0.5), &model(), known(), &[rating()]).unwrap_err();
        let length = RoutingError::Inference("output user: expected 2 elements, found 1".into());
        assert_eq!(refused(&[0.0]), length);
        assert_eq!(refused(&[0.0, f32::NAN]), RoutingError::Inference("adapter: the embedding is not finite".into()));
        let short = Profile { embedding: vec![0.5], ..known() };
        let error = adapt(&FakeHost::default(), &model(), short, &[rating()]).unwrap_err();
        assert_eq!(error, RoutingError::InvalidRequest("start.embedding: expected 2 values, found 1".into()));
    }
}
