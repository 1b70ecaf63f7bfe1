//! Each user's own mean reward per task and LLM, from nothing but what that user has seen.

use anyhow::Result;
use ndarray::Array2;

use crate::data::Dataset;
use crate::eval::Field;
use crate::eval::truth::Mean;
use crate::model::Router;

/// The best LLM per user and task; over all tasks where the user has seen nothing of one.
pub struct Own<'a> {
    dataset: &'a Dataset,
    /// Per user: mean reward `[tasks, llms]`.
    means: Vec<Array2<f64>>,
}

impl<'a> Own<'a> {
    /// Averages what each user has seen.
    pub fn new(field: &Field<'a>) -> Self {
        let means = (0..field.truth.users()).map(|user| table(field, user)).collect();
        Self { dataset: field.dataset, means }
    }
}

impl Router for Own<'_> {
    fn name(&self) -> &str {
        "best_per_user_task_own_40"
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let task = |at: usize| {
            let query = queries.get(at).and_then(|&query| self.dataset.queries.get(query as usize));
            query.map_or(0, |query| query.task as usize)
        };
        let means = self.means.get(user);
        Ok(Array2::from_shape_fn((queries.len(), self.dataset.llms.len()), |(at, llm)| {
            means.and_then(|means| means.get((task(at), llm))).copied().unwrap_or(0.0)
        }))
    }
}

fn table(field: &Field<'_>, user: usize) -> Array2<f64> {
    let (tasks, llms) = (field.dataset.tasks.len(), field.dataset.llms.len());
    let mut cells = Array2::from_elem((tasks, llms), Mean::default());
    let mut overall = vec![Mean::default(); llms];
    for entry in field.seen.of(user) {
        let task = field.dataset.queries.get(entry.query as usize).map_or(0, |query| query.task as usize);
        let Some(reward) = entry.reward().map(f64::from) else { continue };
        if let Some(cell) = cells.get_mut((task, usize::from(entry.llm))) {
            cell.add(reward);
        }
        if let Some(mean) = overall.get_mut(usize::from(entry.llm)) {
            mean.add(reward);
        }
    }
    let seen = |task: usize| cells.row(task).iter().any(|cell| !cell.value().is_nan());
    Array2::from_shape_fn((tasks, llms), |(task, llm)| {
        let own = cells.get((task, llm)).map(Mean::value);
        let any = overall.get(llm).map(Mean::value);
        if seen(task) { own } else { any }.unwrap_or(f64::NAN)
    })
}
