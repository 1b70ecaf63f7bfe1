//! What was decided: the candidates in order, with their scores.

use personaroute_host as host;
use pyo3::{pyclass, pymethods};

/// The scores of one candidate.
#[pyclass(frozen, get_all, module = "personaroute")]
#[derive(Clone)]
pub(crate) struct Score {
    llm: String,
    utility: f32,
    effect: f32,
    cost: f32,
    uncertainty: f32,
    excluded: Option<&'static str>,
}

#[pymethods]
impl Score {
    fn __repr__(&self) -> String {
        let Self { llm, utility, effect, cost, .. } = self;
        format!("Score({llm:?}, utility={utility:.4}, effect={effect:.4}, cost={cost:.4})")
    }
}

impl From<&host::Score> for Score {
    fn from(score: &host::Score) -> Self {
        Self {
            llm: score.llm.to_string(),
            utility: score.utility,
            effect: score.effect,
            cost: score.cost,
            uncertainty: score.uncertainty,
            excluded: score.excluded.map(host::Exclusion::as_str),
        }
    }
}

/// The candidates of one request, best first.
#[pyclass(frozen, get_all, module = "personaroute")]
pub(crate) struct Decision {
    ranking: Vec<Score>,
    user_state: &'static str,
    task: Option<String>,
    task_probability: Option<f32>,
    why: String,
    elapsed_seconds: f64,
}

#[pymethods]
impl Decision {
    /// The best candidate that may be used; `None` when each is excluded.
    #[getter]
    fn llm(&self) -> Option<&str> {
        let best = self.ranking.iter().find(|score| score.excluded.is_none());
        best.map(|score| score.llm.as_str())
    }

    fn __repr__(&self) -> String {
        let quoted = |name: Option<&str>| name.map_or_else(|| "None".to_owned(), |name| format!("{name:?}"));
        let (llm, task) = (quoted(self.llm()), quoted(self.task.as_deref()));
        format!("Decision(llm={llm}, user_state={:?}, task={task})", self.user_state)
    }
}

impl From<&host::Decision> for Decision {
    fn from(decision: &host::Decision) -> Self {
        Self {
            ranking: decision.ranking.iter().map(Score::from).collect(),
            user_state: decision.user_state.as_str(),
            task: decision.task.as_ref().map(|guess| guess.task.clone()),
            task_probability: decision.task.as_ref().map(|guess| guess.probability),
            why: decision.why.clone(),
            elapsed_seconds: decision.elapsed.as_secs_f64(),
        }
    }
}
