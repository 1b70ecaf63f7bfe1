//! Refuses requests that violate the contract, before anything is computed.

use personaroute_bundle::interaction::{QueryFeatures, TaskColumns};
use personaroute_bundle::lexical::ENCODING_VERSION;

use crate::model::{Candidates, Interaction, Model, NONE, Request, RoutingError, TextEncoder};

/// Most candidates of one request.
pub const MAX_CANDIDATES: usize = 4_096;

/// Most interactions of one adaptation, as the host allows.
pub const MAX_INTERACTIONS: usize = 4_096;

/// Most task names that an error lists.
const MAX_LISTED: usize = 12;

/// The results of validating a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The column of the declared task.
    pub task: Option<usize>,
}

/// Validates a request.
pub fn request(model: &Model, request: &Request) -> Result<Validated, RoutingError> {
    encoding(model)?;
    let n_candidates = request.candidates.len();
    if !(1..=MAX_CANDIDATES).contains(&n_candidates) {
        return Err(invalid(format!("candidates: expected 1 to {MAX_CANDIDATES}, found {n_candidates}")));
    }
    check_lengths(&request.candidates)?;
    for position in 0..n_candidates {
        check_candidate(model, &request.candidates, position)?;
    }
    if request.preference.is_some_and(|preference| !(0.0..=1.0).contains(&preference)) {
        return Err(invalid("preference: expected 0 to 1".into()));
    }
    let task = request.task.as_deref().map(|task| task_column(model, task)).transpose()?;
    Ok(Validated { task })
}

/// Validates the interactions of an adaptation.
pub fn interactions(model: &Model, interactions: &[Interaction]) -> Result<(), RoutingError> {
    encoding(model)?;
    if interactions.len() > MAX_INTERACTIONS {
        let found = interactions.len();
        return Err(invalid(format!("interactions: expected at most {MAX_INTERACTIONS}, found {found}")));
    }
    for (idx, interaction) in interactions.iter().enumerate() {
        check_interaction(model, interaction)
            .map_err(|(field, expected)| invalid(format!("interactions[{idx}].{field}: expected {expected}")))?;
    }
    Ok(())
}

/// Returns the field that violates a rule, and what it should be.
fn check_interaction(model: &Model, interaction: &Interaction) -> Result<(), (&'static str, String)> {
    let tasks = model.tasks.len();
    if interaction.llm >= model.llm_columns {
        return Err(("llm-column", format!("a column below {}", model.llm_columns)));
    }
    if !interaction.value.is_finite() {
        return Err(("value", "a finite number".into()));
    }
    if !(0.0..=1.0).contains(&interaction.weight) {
        return Err(("weight", "0 to 1".into()));
    }
    let probable = |probability: &f32| (0.0..=1.001).contains(probability);
    match &interaction.task {
        TaskColumns::Unknown => {}
        TaskColumns::Declared(column) if (*column as usize) < tasks => {}
        TaskColumns::Declared(_) => return Err(("task", format!("a column below {tasks}"))),
        TaskColumns::Guessed(all) if all.len() == tasks && all.iter().all(probable) && probable(&all.iter().sum()) => {}
        TaskColumns::Guessed(_) => return Err(("task", format!("{tasks} probabilities, at most 1 in all"))),
    }
    match (&interaction.query, &model.text_encoder) {
        (QueryFeatures::None, _) => Ok(()),
        (QueryFeatures::Ngrams(ids), TextEncoder::Lexical(_, lexical)) => {
            let known = 0..=i64::from(lexical.buckets);
            let fits = ids.len() <= lexical.max_ids as usize && ids.iter().all(|id| known.contains(id));
            let expected = || format!("at most {} ids of at most {}", lexical.max_ids, lexical.buckets);
            if fits { Ok(()) } else { Err(("query", expected())) }
        }
        (QueryFeatures::Embedding(values), TextEncoder::Embedding(dim)) => {
            let fits = values.len() == *dim as usize && values.iter().all(|value| value.is_finite());
            if fits { Ok(()) } else { Err(("query", format!("{dim} finite values"))) }
        }
        (QueryFeatures::Ngrams(_), TextEncoder::Embedding(dim)) => Err(("query", format!("a vector of {dim} values"))),
        (QueryFeatures::Embedding(_), TextEncoder::Lexical(..)) => Err(("query", "ids of the lexical encoding".into())),
    }
}

/// Refuses a feature encoding of another version: its ids would mean other words.
fn encoding(model: &Model) -> Result<(), RoutingError> {
    match model.text_encoder {
        TextEncoder::Lexical(version, _) if version != ENCODING_VERSION => Err(invalid(format!(
            "text-encoder: this plugin has feature encoding {ENCODING_VERSION}, and the bundle {version}"
        ))),
        TextEncoder::Lexical(..) | TextEncoder::Embedding(_) => Ok(()),
    }
}

/// Refuses columns that do not have one entry for each candidate.
fn check_lengths(candidates: &Candidates) -> Result<(), RoutingError> {
    let expected = candidates.len();
    let lengths = [
        ("id-ends", candidates.id_ends.len()),
        ("input-prices", candidates.input_prices.len()),
        ("output-prices", candidates.output_prices.len()),
        ("context-windows", candidates.context_windows.len()),
    ];
    match lengths.into_iter().find(|(_, found)| *found != expected) {
        Some((list, found)) => Err(invalid(format!("candidates.{list}: expected {expected} entries, found {found}"))),
        None => Ok(()),
    }
}

fn check_candidate(model: &Model, candidates: &Candidates, position: usize) -> Result<(), RoutingError> {
    let llm = candidates.id(position);
    if llm.is_empty() {
        return Err(invalid(format!("candidates: expected an id at {position}, found none")));
    }
    let columns = model.llm_columns;
    if candidates.columns.get(position).is_some_and(|column| *column >= columns && *column != NONE) {
        return Err(invalid(format!("candidate {llm}: expected a column below {columns}")));
    }
    let is_price = |prices: &[f32]| prices.get(position).is_some_and(|price| price.is_finite() && *price >= 0.0);
    if !is_price(&candidates.input_prices) || !is_price(&candidates.output_prices) {
        return Err(invalid(format!("candidate {llm}: expected finite prices of at least 0")));
    }
    Ok(())
}

fn task_column(model: &Model, task: &str) -> Result<usize, RoutingError> {
    model.tasks.iter().position(|known| known == task).ok_or_else(|| {
        let listed: Vec<&str> = model.tasks.iter().take(MAX_LISTED).map(String::as_str).collect();
        let more = if model.tasks.len() > MAX_LISTED { ", …" } else { "" };
        invalid(format!("task: expected one of {}{more}", listed.join(", ")))
    })
}

fn invalid(message: String) -> RoutingError {
    RoutingError::InvalidRequest(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{model, request as sample};

    fn refusal(change: impl FnOnce(&mut Request)) -> String {
        let mut changed = sample(&["a", "b"]);
        change(&mut changed);
        match request(&model(), &changed) {
            Err(RoutingError::InvalidRequest(message)) => message,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        assert_eq!(refusal(|r| r.candidates = Candidates::default()), "candidates: expected 1 to 4096, found 0");
        assert_eq!(refusal(|r| r.candidates.id_ends[0] = 0), "candidates: expected an id at 0, found none");
        assert_eq!(refusal(|r| r.candidates.id_ends[1] = 9), "candidates: expected an id at 1, found none");
        assert_eq!(
            refusal(|r| r.candidates.input_prices.truncate(1)),
            "candidates.input-prices: expected 2 entries, found 1"
        );
        assert_eq!(refusal(|r| r.candidates.columns[1] = 3), "candidate b: expected a column below 3");
        let prices = "candidate a: expected finite prices of at least 0";
        assert_eq!(refusal(|r| r.candidates.input_prices[0] = f32::NAN), prices);
        assert_eq!(refusal(|r| r.candidates.output_prices[0] = -1.0), prices);
        assert_eq!(refusal(|r| r.task = Some("cooking".into())), "task: expected one of code, math");
        for preference in [-0.01, 1.01, f32::NAN] {
            assert_eq!(refusal(|r| r.preference = Some(preference)), "preference: expected 0 to 1");
        }
    }

    #[test]
    fn number_of_candidates_is_bounded() {
        let many = |n| {
            move |r: &mut Request| {
                r.candidates = Candidates::default();
                (0..n).for_each(|idx| r.candidates.push(&format!("llm{idx}"), None));
            }
        };
        assert_eq!(refusal(many(MAX_CANDIDATES + 1)), "candidates: expected 1 to 4096, found 4097");
        assert_eq!(refusal(many(MAX_CANDIDATES)), "Ok(Validated { task: None })");
    }

    #[test]
    fn declared_task_is_found() {
        let mut declared = sample(&["a"]);
        declared.task = Some("math".into());
        assert_eq!(request(&model(), &declared), Ok(Validated { task: Some(1) }));
    }

    #[test]
    fn another_version_of_the_encoding_is_refused() {
        let TextEncoder::Lexical(_, lexical) = model().text_encoder else { panic!("the sample is lexical") };
        let model = Model { text_encoder: TextEncoder::Lexical(ENCODING_VERSION + 1, lexical), ..model() };
        let message = "text-encoder: this plugin has feature encoding 2, and the bundle 3";
        assert_eq!(request(&model, &sample(&["a"])), Err(invalid(message.into())));
        assert_eq!(interactions(&model, &[]), Err(invalid(message.into())));
    }

    #[test]
    fn each_broken_rule_of_an_interaction_is_named() {
        let refused = |change: fn(&mut Interaction)| {
            let mut interaction = Interaction::default();
            change(&mut interaction);
            match interactions(&model(), &[Interaction::default(), interaction]) {
                Err(RoutingError::InvalidRequest(message)) => message,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(refused(|_| ()), "Ok(())");
        assert_eq!(refused(|i| i.llm = 3), "interactions[1].llm-column: expected a column below 3");
        assert_eq!(refused(|i| i.value = f32::INFINITY), "interactions[1].value: expected a finite number");
        assert_eq!(refused(|i| i.weight = 1.5), "interactions[1].weight: expected 0 to 1");
        assert_eq!(refused(|i| i.weight = f32::NAN), "interactions[1].weight: expected 0 to 1");
        assert_eq!(refused(|i| i.task = TaskColumns::Declared(1)), "Ok(())");
        assert_eq!(refused(|i| i.task = TaskColumns::Declared(2)), "interactions[1].task: expected a column below 2");
        assert_eq!(refused(|i| i.task = TaskColumns::Guessed(vec![0.25, 0.5])), "Ok(())");
        for wrong in [|| vec![0.5], || vec![0.75, 0.5], || vec![-0.5, 0.5], || vec![f32::NAN, 0.5]] {
            let interaction = Interaction { task: TaskColumns::Guessed(wrong()), ..Interaction::default() };
            let expected = "interactions[0].task: expected 2 probabilities, at most 1 in all";
            assert_eq!(interactions(&model(), &[interaction]), Err(invalid(expected.into())));
        }
        assert_eq!(refused(|i| i.query = QueryFeatures::Ngrams(vec![0, 1_000])), "Ok(())");
        let ids = "interactions[1].query: expected at most 64 ids of at most 1000";
        assert_eq!(refused(|i| i.query = QueryFeatures::Ngrams(vec![1_001])), ids);
        assert_eq!(refused(|i| i.query = QueryFeatures::Ngrams(vec![1; 65])), ids);
        let vector = refused(|i| i.query = QueryFeatures::Embedding(vec![0.5]));
        assert_eq!(vector, "interactions[1].query: expected ids of the lexical encoding");
        assert!(interactions(&model(), &vec![Interaction::default(); MAX_INTERACTIONS + 1]).is_err());
    }
}
