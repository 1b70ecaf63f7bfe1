//! Sums of outcomes by task, from which every user's mean utility follows without a look at each query again.

use ndarray::Array2;

use crate::data::Dataset;
use crate::data::world::{Person, World};

/// Sums over some queries, `[tasks, llms]`.
#[derive(Debug, Clone)]
pub struct Totals {
    cells: Array2<Cell>,
}

/// Sums over the queries of one task whose outcome with one LLM is known.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    effect: f64,
    cost: f64,
    length: f64,
    count: f64,
}

impl Totals {
    /// Sums up some queries.
    pub fn new(dataset: &Dataset, world: &World, queries: &[u32]) -> Self {
        let mut cells = Array2::from_elem((dataset.tasks.len(), dataset.llms.len()), Cell::default());
        for &query in queries {
            let task = dataset.queries.get(query as usize).map_or(0, |query| query.task as usize);
            for llm in 0..dataset.llms.len() {
                let place = (query as usize, llm);
                let outcome = dataset.effect.get(place).zip(dataset.cost.get(place));
                let known = outcome.filter(|(effect, cost)| !effect.is_nan() && !cost.is_nan());
                let (Some((&effect, &cost)), Some(cell)) = (known, cells.get_mut((task, llm))) else { continue };
                cell.effect += f64::from(effect);
                cell.cost += f64::from(cost);
                cell.length += world.length(query);
                cell.count += 1.0;
            }
        }
        Self { cells }
    }

    /// Returns a user's mean utility of each LLM, NaN where no outcome is known.
    pub fn means(&self, person: &Person<'_>) -> Vec<f64> {
        let mean = |llm: usize| {
            let (mut sum, mut count) = (0.0, 0.0);
            for (task, cell) in self.cells.column(llm).iter().enumerate() {
                let weight = person.weight(task);
                sum += weight * cell.effect - (1.0 - weight) * cell.cost;
                sum += cell.count * person.taste(task, llm) + cell.length * person.length_weight(llm);
                count += cell.count;
            }
            sum / count
        };
        (0..self.cells.ncols()).map(mean).collect()
    }
}
