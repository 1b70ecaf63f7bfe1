//! Refuses requests that violate the contract, before anything is computed.

use crate::model::{Candidates, Interaction, Model, NONE, Request, RoutingError};

/// Most candidates of one request.
pub const MAX_CANDIDATES: usize = 4_096;

/// Most interactions of one adaptation: bounds the plugin's memory at about 3 MB.
pub const MAX_INTERACTIONS: usize = 65_536;

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
pub fn interactions(tasks: u32, interactions: &[Interaction]) -> Result<(), RoutingError> {
    if interactions.len() > MAX_INTERACTIONS {
        let found = interactions.len();
        return Err(invalid(format!("interactions: expected at most {MAX_INTERACTIONS}, found {found}")));
    }
    for (idx, interaction) in interactions.iter().enumerate() {
        if !interaction.reward.is_finite() {
            return Err(invalid(format!("interactions[{idx}].reward: expected a finite number")));
        }
        if interaction.task_column.is_some_and(|task| task >= tasks) {
            return Err(invalid(format!("interactions[{idx}].task-column: expected a column below {tasks}")));
        }
    }
    Ok(())
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
    fn interactions_are_bounded_and_finite() {
        let rated = |reward| Interaction { llm_column: 0, task_column: None, query: 0, reward };
        assert_eq!(interactions(2, &[rated(1.0)]), Ok(()));
        assert!(interactions(2, &[rated(1.0), rated(f32::INFINITY)]).is_err());
        assert!(interactions(2, &vec![rated(1.0); MAX_INTERACTIONS + 1]).is_err());
        let of_task = |task| interactions(2, &[Interaction { task_column: Some(task), ..rated(1.0) }]);
        let beyond = "interactions[0].task-column: expected a column below 2";
        assert_eq!((of_task(1), of_task(2)), (Ok(()), Err(invalid(beyond.into()))));
    }
}
