//! Prepares interactions for the plugin: checks them and converts names to scorer columns.

use super::candidates;
use crate::{
    Interaction, InteractionKind, QueryFeatures, RouteError, TaskHint,
    bindings::exports::personaroute::router::learning,
    bundle::{folder::Bundle, manifest::TextEncoder},
};

/// Most interactions of one adaptation.
const MAX_INTERACTIONS: usize = 4096;

/// An interaction in scorer columns.
pub(super) struct Columns<'a> {
    interaction: &'a Interaction,
    llm: u32,
    task: Task,
}

/// What is known of a query's task, by column.
enum Task {
    Unknown,
    Declared(u32),
    Guessed(Vec<f32>),
}

/// Converts interactions; those with LLMs that the bundle does not know are left out.
pub(super) fn wit<'a>(
    interactions: &'a [Interaction],
    columns: &candidates::Columns,
    bundle: &Bundle,
) -> Result<Vec<Columns<'a>>, RouteError> {
    if interactions.len() > MAX_INTERACTIONS {
        let found = interactions.len();
        return Err(RouteError::InvalidRequest(format!("{found} interactions, at most {MAX_INTERACTIONS}")));
    }
    let mut known = Vec::with_capacity(interactions.len());
    for interaction in interactions {
        check(interaction, bundle)?;
        let llm = columns.of(&interaction.llm, &bundle.catalog, 0);
        if let Some(llm) = llm.and_then(|column| u32::try_from(column).ok()) {
            known.push(Columns { interaction, llm, task: task(&interaction.task, bundle) });
        }
    }
    Ok(known)
}

impl Columns<'_> {
    pub(super) fn wit(&self) -> learning::Interaction<'_> {
        let Self { interaction, llm, task } = self;
        learning::Interaction {
            llm_column: *llm,
            task: match task {
                Task::Unknown => learning::TaskHint::Unknown,
                Task::Declared(column) => learning::TaskHint::Declared(*column),
                Task::Guessed(probabilities) => learning::TaskHint::Guessed(probabilities),
            },
            query: match &interaction.query {
                QueryFeatures::None => learning::QueryFeatures::None,
                QueryFeatures::Ngrams(ids) => learning::QueryFeatures::Ngrams(ids),
                QueryFeatures::Embedding(values) => learning::QueryFeatures::Embedding(values),
            },
            group: interaction.group,
            kind: match interaction.kind {
                InteractionKind::Rating => learning::InteractionKind::Rating,
                InteractionKind::Choice => learning::InteractionKind::Choice,
            },
            value: interaction.value,
            weight: interaction.weight,
        }
    }
}

/// Accepts numbers in range, and features of the bundle's encoder.
fn check(interaction: &Interaction, bundle: &Bundle) -> Result<(), RouteError> {
    let Interaction { llm, value, weight, .. } = interaction;
    if !value.is_finite() {
        return Err(RouteError::InvalidRequest(format!("the value of an interaction with {llm} is not finite")));
    }
    if !(0.0..=1.0).contains(weight) {
        return Err(RouteError::InvalidRequest(format!(
            "the weight of an interaction with {llm} is {weight}, not 0 to 1"
        )));
    }
    let probable = |probability: &f32| (0.0..=1.001).contains(probability);
    if let TaskHint::Guessed(all) = &interaction.task
        && !(all.iter().all(|(_, probability)| probable(probability))
            && probable(&all.iter().map(|(_, probability)| probability).sum()))
    {
        return Err(RouteError::InvalidRequest(format!(
            "the task probabilities of an interaction with {llm} are not 0 to 1 in all"
        )));
    }
    let fits = match (&interaction.query, &bundle.manifest.text_encoder) {
        (QueryFeatures::None, _) => true,
        (QueryFeatures::Ngrams(ids), TextEncoder::Lexical(lexical)) => {
            ids.len() <= lexical.max_ids as usize && ids.iter().all(|id| (0..=i64::from(lexical.buckets)).contains(id))
        }
        (QueryFeatures::Embedding(values), TextEncoder::Embedding(encoder)) => {
            values.len() == encoder.dim && values.iter().all(|value| value.is_finite())
        }
        (QueryFeatures::Ngrams(_) | QueryFeatures::Embedding(_), _) => false,
    };
    match fits {
        true => Ok(()),
        false => Err(RouteError::InvalidRequest(format!(
            "the query features of an interaction with {llm} are not those of the bundle's encoder"
        ))),
    }
}

fn task(hint: &TaskHint, bundle: &Bundle) -> Task {
    let column = |name: &String| bundle.tasks.column(name);
    match hint {
        TaskHint::Unknown => Task::Unknown,
        TaskHint::Declared(name) => {
            let column = column(name).and_then(|column| u32::try_from(column).ok());
            column.map_or(Task::Unknown, Task::Declared)
        }
        TaskHint::Guessed(all) => {
            let mut probabilities = vec![0.0; bundle.tasks.tasks.len()];
            for (name, probability) in all {
                if let Some(sum) = column(name).and_then(|column| probabilities.get_mut(column)) {
                    *sum += probability;
                }
            }
            Task::Guessed(probabilities)
        }
    }
}
