//! Refuses requests that break a rule of the contract, before anything is computed for them.

use crate::model::{Candidate, Interaction, Model, Request, RoutingError};

/// Most candidates of one request.
pub const MAX_CANDIDATES: usize = 4_096;

/// Most interactions of one adaptation: bounds the plugin's memory at about 3 MB.
pub const MAX_INTERACTIONS: usize = 65_536;

/// Task names that a refusal still lists.
const MAX_LISTED: usize = 12;

/// What the checks have worked out on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The column of the declared task.
    pub task: Option<usize>,
}

/// Checks a request.
pub fn request(model: &Model, request: &Request) -> Result<Checked, RoutingError> {
    let n_candidates = request.candidates.len();
    if !(1..=MAX_CANDIDATES).contains(&n_candidates) {
        return Err(invalid(format!("candidates: expected 1 to {MAX_CANDIDATES}, found {n_candidates}")));
    }
    for candidate in &request.candidates {
        check_candidate(model, candidate)?;
    }
    check_unique(&request.candidates)?;
    if request.preference.is_some_and(|preference| !(0.0..=1.0).contains(&preference)) {
        return Err(invalid("preference: expected 0 to 1".into()));
    }
    let task = request.task.as_deref().map(|task| task_column(model, task)).transpose()?;
    Ok(Checked { task })
}

/// Checks the interactions of an adaptation.
pub fn interactions(interactions: &[Interaction]) -> Result<(), RoutingError> {
    if interactions.len() > MAX_INTERACTIONS {
        let found = interactions.len();
        return Err(invalid(format!("interactions: expected at most {MAX_INTERACTIONS}, found {found}")));
    }
    match interactions.iter().position(|interaction| !interaction.reward.is_finite()) {
        Some(idx) => Err(invalid(format!("interactions[{idx}].reward: expected a finite number"))),
        None => Ok(()),
    }
}

fn check_candidate(model: &Model, candidate: &Candidate) -> Result<(), RoutingError> {
    let llm = &candidate.llm;
    if llm.is_empty() {
        return Err(invalid("candidates: expected an id, found an empty string".into()));
    }
    if candidate.column.is_some_and(|column| column >= model.llm_columns) {
        let columns = model.llm_columns;
        return Err(invalid(format!("candidate {llm}: expected a column below {columns}")));
    }
    let is_price = |price: f32| price.is_finite() && price >= 0.0;
    if !is_price(candidate.input_price) || !is_price(candidate.output_price) {
        return Err(invalid(format!("candidate {llm}: expected finite prices of at least 0")));
    }
    Ok(())
}

fn check_unique(candidates: &[Candidate]) -> Result<(), RoutingError> {
    let mut ids: Vec<&str> = candidates.iter().map(|candidate| candidate.llm.as_str()).collect();
    ids.sort_unstable();
    match ids.array_windows().find(|[left, right]| left == right) {
        Some([twice, _]) => Err(invalid(format!("candidate {twice}: expected once, found twice"))),
        None => Ok(()),
    }
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
    use crate::fake::{candidate, model, request as sample};

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
        assert_eq!(refusal(|r| r.candidates.clear()), "candidates: expected 1 to 4096, found 0");
        assert_eq!(refusal(|r| r.candidates[0].llm.clear()), "candidates: expected an id, found an empty string");
        assert_eq!(refusal(|r| r.candidates[1].llm = "a".into()), "candidate a: expected once, found twice");
        assert_eq!(refusal(|r| r.candidates[1].column = Some(3)), "candidate b: expected a column below 3");
        assert_eq!(
            refusal(|r| r.candidates[0].input_price = f32::NAN),
            "candidate a: expected finite prices of at least 0"
        );
        assert_eq!(
            refusal(|r| r.candidates[0].output_price = -1.0),
            "candidate a: expected finite prices of at least 0"
        );
        assert_eq!(refusal(|r| r.task = Some("cooking".into())), "task: expected one of code, math");
        for preference in [-0.01, 1.01, f32::NAN] {
            assert_eq!(refusal(|r| r.preference = Some(preference)), "preference: expected 0 to 1");
        }
    }

    #[test]
    fn number_of_candidates_is_bounded() {
        let many =
            |n| move |r: &mut Request| r.candidates = (0..n).map(|idx| candidate(&format!("llm{idx}"), None)).collect();
        assert_eq!(refusal(many(MAX_CANDIDATES + 1)), "candidates: expected 1 to 4096, found 4097");
        assert_eq!(refusal(many(MAX_CANDIDATES)), "Ok(Checked { task: None })");
    }

    #[test]
    fn declared_task_is_found() {
        let mut declared = sample(&["a"]);
        declared.task = Some("math".into());
        assert_eq!(request(&model(), &declared), Ok(Checked { task: Some(1) }));
    }

    #[test]
    fn interactions_are_bounded_and_finite() {
        let rated = |reward| Interaction { llm_column: 0, task_column: None, query: 0, reward };
        assert_eq!(interactions(&[rated(1.0)]), Ok(()));
        assert!(interactions(&[rated(1.0), rated(f32::INFINITY)]).is_err());
        assert!(interactions(&vec![rated(1.0); MAX_INTERACTIONS + 1]).is_err());
    }
}
