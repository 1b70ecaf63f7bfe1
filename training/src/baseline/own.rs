//! Each user's own mean reward per task and LLM, from nothing but what that user has seen.

use anyhow::Result;
use ndarray::Array2;

use crate::data::Dataset;
use crate::data::world::WorldKind;
use crate::eval::EvalSet;
use crate::eval::ground_truth::Mean;
use crate::model::Router;

/// The best LLM per user and task; over all tasks where the user has seen nothing of one.
pub struct Own<'a> {
    dataset: &'a Dataset,
    /// Per user: mean reward `[tasks, llms]`.
    means: Vec<Array2<f64>>,
}

impl<'a> Own<'a> {
    /// Averages what each user has seen.
    pub fn new(set: &EvalSet<'a>) -> Self {
        // With tastes by task, everybody's mean of a task says more than the user's own mean of other tasks.
        let others = set.truth.world().filter(|world| world.kind() != WorldKind::Line).map(|_| population(set));
        let means = (0..set.truth.users()).map(|user| table(set, user, others.as_ref())).collect();
        Self { dataset: set.dataset, means }
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

/// Returns everybody's mean reward per task and LLM, 0 where nobody has rated any.
fn population(set: &EvalSet<'_>) -> Array2<f64> {
    let mut cells = Array2::from_elem((set.dataset.tasks.len(), set.dataset.llms.len()), Mean::default());
    (0..set.seen.users.len()).for_each(|user| add(set, user, &mut cells));
    cells.mapv(|cell| if cell.value().is_nan() { 0.0 } else { cell.value() })
}

/// Returns one user's means; where it has seen nothing, those of `others`, or its own over all tasks.
fn table(set: &EvalSet<'_>, user: usize, others: Option<&Array2<f64>>) -> Array2<f64> {
    let (tasks, llms) = (set.dataset.tasks.len(), set.dataset.llms.len());
    let mut cells = Array2::from_elem((tasks, llms), Mean::default());
    add(set, user, &mut cells);
    if let Some(others) = others {
        return Array2::from_shape_fn((tasks, llms), |place| {
            let own = cells.get(place).map(Mean::value).filter(|mean| !mean.is_nan());
            own.or_else(|| others.get(place).copied()).unwrap_or(f64::NAN)
        });
    }
    let mut overall = vec![Mean::default(); llms];
    for entry in set.seen.of(user) {
        if let (Some(mean), Some(reward)) = (overall.get_mut(usize::from(entry.llm)), entry.reward()) {
            mean.add(f64::from(reward));
        }
    }
    let seen = |task: usize| cells.row(task).iter().any(|cell| !cell.value().is_nan());
    Array2::from_shape_fn((tasks, llms), |(task, llm)| {
        let own = cells.get((task, llm)).map(Mean::value);
        let any = overall.get(llm).map(Mean::value);
        if seen(task) { own } else { any }.unwrap_or(f64::NAN)
    })
}

fn add(set: &EvalSet<'_>, user: usize, cells: &mut Array2<Mean>) {
    for entry in set.seen.of(user) {
        let task = set.dataset.queries.get(entry.query as usize).map_or(0, |query| query.task as usize);
        let cell = cells.get_mut((task, usize::from(entry.llm)));
        if let (Some(cell), Some(reward)) = (cell, entry.reward()) {
            cell.add(f64::from(reward));
        }
    }
}
