//! Matrix factorisation of rewards, users against (task, LLM): personal, and from nothing but rewards.
//!
//! `r(u, i) ≈ b(i) + p(u) · q(i)` by alternating least squares, weighted by how often each pair was rated.

use anyhow::Result;
use ndarray::{Array1, Array2, Axis};

use crate::data::Dataset;
use crate::data::hash::{Domain, h};
use crate::eval::EvalSet;
use crate::model::Router;

use super::linear::solve;

/// Length of the vectors.
const RANK: usize = 4;
/// Penalty on their squared length, in ratings.
const PENALTY: f64 = 4.0;
/// Rounds of alternation; the loss stands still after about five.
const ROUNDS: usize = 10;

/// The factors.
pub struct Factors<'a> {
    dataset: &'a Dataset,
    bias: Array1<f64>,
    users: Array2<f64>,
    items: Array2<f64>,
}

/// Mean reward of one user on one item against the item's bias, and how many ratings it stands for.
#[derive(Debug, Clone, Copy)]
struct Cell {
    other: usize,
    value: f64,
    count: f64,
}

impl<'a> Factors<'a> {
    /// Fits what the users have seen.
    pub fn new(set: &EvalSet<'a>) -> Self {
        let dataset = set.dataset;
        let items = dataset.tasks.len() * dataset.llms.len();
        let (sums, counts) = totals(set, items);
        let bias = biases(&sums, &counts);
        let (by_user, by_item) = cells(&sums, &counts, &bias);
        let mut item_factors = Array2::from_shape_fn((items, RANK), |(item, column)| {
            // Any small numbers that differ do; these are the same on every run.
            h(set.seed, Domain::Random, item as u64, column as u64) as f64 / u64::MAX as f64 - 0.5
        });
        let mut user_factors = Array2::zeros((by_user.len(), RANK));
        for _ in 0..ROUNDS {
            alternate(&by_user, &item_factors, &mut user_factors);
            alternate(&by_item, &user_factors, &mut item_factors);
        }
        Self { dataset, bias, users: user_factors, items: item_factors }
    }
}

impl Router for Factors<'_> {
    fn name(&self) -> &str {
        "matrix_factorisation"
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let scores = match user < self.users.nrows() {
            true => &self.bias + &self.items.dot(&self.users.row(user)),
            false => self.bias.clone(),
        };
        let llms = self.dataset.llms.len();
        Ok(Array2::from_shape_fn((queries.len(), llms), |(at, llm)| {
            let query = queries.get(at).and_then(|&query| self.dataset.queries.get(query as usize));
            let item = query.map_or(0, |query| query.task as usize) * llms + llm;
            scores.get(item).copied().unwrap_or(f64::NAN)
        }))
    }
}

/// Sums and counts of rewards, `[users, items]`.
fn totals(set: &EvalSet<'_>, items: usize) -> (Array2<f64>, Array2<f64>) {
    let shape = (set.seen.users.len(), items);
    let (mut sums, mut counts) = (Array2::zeros(shape), Array2::zeros(shape));
    let llms = set.dataset.llms.len();
    for user in 0..shape.0 {
        for entry in set.seen.of(user) {
            let task = set.dataset.queries.get(entry.query as usize).map_or(0, |query| query.task as usize);
            let place = (user, task * llms + usize::from(entry.llm));
            let totals = (sums.get_mut(place), counts.get_mut(place), entry.reward());
            if let (Some(sum), Some(count), Some(reward)) = totals {
                *sum += f64::from(reward);
                *count += 1.0;
            }
        }
    }
    (sums, counts)
}

/// Mean reward of each item, the mean of all where it has none.
fn biases(sums: &Array2<f64>, counts: &Array2<f64>) -> Array1<f64> {
    let overall = sums.sum() / counts.sum().max(1.0);
    let (sums, counts) = (sums.sum_axis(Axis(0)), counts.sum_axis(Axis(0)));
    sums.iter().zip(&counts).map(|(sum, count)| if *count > 0.0 { sum / count } else { overall }).collect()
}

type Lists = Vec<Vec<Cell>>;

fn cells(sums: &Array2<f64>, counts: &Array2<f64>, bias: &Array1<f64>) -> (Lists, Lists) {
    let (mut by_user, mut by_item) = (vec![Vec::new(); sums.nrows()], vec![Vec::new(); sums.ncols()]);
    for (((user, item), &count), &sum) in counts.indexed_iter().zip(sums).filter(|((_, count), _)| **count > 0.0) {
        let value = sum / count - bias.get(item).copied().unwrap_or(0.0);
        if let (Some(own), Some(of)) = (by_user.get_mut(user), by_item.get_mut(item)) {
            own.push(Cell { other: item, value, count });
            of.push(Cell { other: user, value, count });
        }
    }
    (by_user, by_item)
}

/// Solves the ridge regression of each list on the vectors of the other side.
fn alternate(lists: &[Vec<Cell>], others: &Array2<f64>, own: &mut Array2<f64>) {
    for (list, mut target) in lists.iter().zip(own.rows_mut()) {
        let mut gram = Array2::<f64>::eye(RANK) * PENALTY;
        let mut right = Array2::<f64>::zeros((RANK, 1));
        for cell in list.iter().filter(|cell| cell.other < others.nrows()) {
            let vector = others.row(cell.other);
            let column = vector.insert_axis(Axis(1));
            gram.scaled_add(cell.count, &column.dot(&column.t()));
            right.scaled_add(cell.count * cell.value, &column);
        }
        if let Some(solved) = solve(&gram, &right) {
            target.assign(&solved.index_axis(Axis(1), 0));
        }
    }
}
