//! Factor models of users × (task, LLM) means, by alternating ridge regressions; users of other data are folded in.
//!
//! Each cell's mean over the population and each user's own offset are taken off first. Personal by task, and blind to the
//! query itself.

use anyhow::{Result, bail};
use ndarray::Array2;
use tch::{Device, Kind, Tensor};

use crate::data::world::WorldKind;
use crate::data::{Dataset, Interactions};
use crate::eval::EvalSet;
use crate::model::Router;

/// Ranks in the table.
pub const RANKS: [i64; 5] = [1, 2, 4, 6, 8];
/// Rounds of alternation.
const ROUNDS: usize = 40;
/// Length of the loadings that alternation begins with, relative to singular vectors.
const START: f64 = 0.1;
/// Ratings that a user's offset is shrunk by.
const OFFSET_RIDGE: f64 = 3.0;
/// Most cells of all users: the tables are dense.
const MOST: usize = 100_000_000;

/// Mean reward of every user in every (task, LLM) cell, `[users, cells]`, and how many ratings it stands for.
pub struct Cells {
    mean: Tensor,
    count: Tensor,
}

/// A fitted factor model.
pub struct Factors {
    rank: i64,
    ridge: f64,
    /// `[cells]`.
    mean: Tensor,
    /// `[users, rank]`.
    users: Tensor,
    /// `[cells, rank]`.
    loadings: Tensor,
}

/// A factor model as a router.
pub struct FactorCells {
    name: String,
    /// Task of each query.
    tasks: Vec<usize>,
    llms: usize,
    /// `[users, cells]`.
    scores: Array2<f64>,
}

impl Cells {
    /// Averages what users said; refuses more cells than fit into memory.
    pub fn new(dataset: &Dataset, seen: &Interactions) -> Result<Self> {
        let (users, llms) = (seen.users.len(), dataset.llms.len());
        let cells = dataset.tasks.len() * llms;
        if users * cells > MOST {
            bail!("factor models: expected at most {MOST} cells of all users, found {}", users * cells);
        }
        let (mut sum, mut count) = (vec![0.0; users * cells], vec![0.0; users * cells]);
        for user in 0..users {
            for entry in seen.of(user) {
                let task = dataset.queries.get(entry.query as usize).map_or(0, |query| query.task as usize);
                let place = user * cells + task * llms + usize::from(entry.llm);
                if let (Some(sum), Some(count), Some(reward)) =
                    (sum.get_mut(place), count.get_mut(place), entry.reward())
                {
                    *sum += f64::from(reward);
                    *count += 1.0;
                }
            }
        }
        let shape = [users as i64, cells as i64];
        let [sum, count] = [sum, count].map(|table| Tensor::from_slice(&table).view(shape));
        Ok(Self { mean: sum / count.clamp_min(1.0), count })
    }

    /// Returns the mean of each cell over all ratings, `[cells]`.
    fn population(&self) -> Tensor {
        let total = (&self.mean * &self.count).sum_dim_intlist([0_i64].as_slice(), false, Kind::Double);
        total / self.count.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double).clamp_min(1.0)
    }

    /// Returns what is left after the population's means and each user's offset, 0 where nothing was rated.
    fn centred(&self, population: &Tensor) -> Tensor {
        let by_user = |table: &Tensor| table.sum_dim_intlist([1_i64].as_slice(), true, Kind::Double);
        let beyond = &self.mean - population;
        let offset = by_user(&(&beyond * &self.count)) / (by_user(&self.count) + OFFSET_RIDGE);
        (beyond - offset) * self.count.gt(0.0)
    }
}

impl Factors {
    /// Fits `rank` factors.
    pub fn fit(cells: &Cells, rank: i64, ridge: f64) -> Self {
        let mean = cells.population();
        let centred = cells.centred(&mean);
        let (_, _, vectors) = centred.svd(true, true);
        let mut loadings = vectors.narrow(1, 0, rank) * START;
        let mut users = Tensor::zeros([0], (Kind::Double, Device::Cpu));
        let (by_cell, counts) = (centred.tr(), cells.count.tr());
        for _ in 0..ROUNDS {
            users = regress(&centred, &cells.count, &loadings, ridge);
            loadings = regress(&by_cell, &counts, &users, ridge);
        }
        Self { rank, ridge, mean, users, loadings }
    }

    /// Returns the model of other users, whose factors follow from what they said.
    #[must_use]
    pub fn folded_in(&self, cells: &Cells) -> Self {
        let users = regress(&cells.centred(&self.mean), &cells.count, &self.loadings, self.ridge);
        let [mean, loadings] = [&self.mean, &self.loadings].map(Tensor::shallow_clone);
        Self { users, mean, loadings, ..*self }
    }

    /// Returns the model as a router of its users.
    pub fn router(&self, name: String, dataset: &Dataset) -> Result<FactorCells> {
        let scores = &self.mean + self.users.matmul(&self.loadings.tr());
        let shape = scores.size2()?;
        let values = Vec::<f64>::try_from(scores.reshape([-1]))?;
        let scores = Array2::from_shape_vec((usize::try_from(shape.0)?, usize::try_from(shape.1)?), values)?;
        let tasks = dataset.queries.iter().map(|query| query.task as usize).collect();
        Ok(FactorCells { name, tasks, llms: dataset.llms.len(), scores })
    }

    /// Returns the number of factors.
    pub fn rank(&self) -> i64 {
        self.rank
    }
}

impl Router for FactorCells {
    fn name(&self) -> &str {
        &self.name
    }

    fn utilities(&self, user: usize, queries: &[u32]) -> Result<Array2<f64>> {
        let task = |at: usize| queries.get(at).and_then(|&query| self.tasks.get(query as usize)).copied().unwrap_or(0);
        Ok(Array2::from_shape_fn((queries.len(), self.llms), |(at, llm)| {
            self.scores.get((user, task(at) * self.llms + llm)).copied().unwrap_or(f64::NAN)
        }))
    }
}

/// Fits every rank that the data bears, as routers.
pub fn all(set: &EvalSet<'_>, world: WorldKind) -> Result<Vec<FactorCells>> {
    let cells = Cells::new(set.dataset, set.seen)?;
    ranks(&cells)
        .map(|rank| Factors::fit(&cells, rank, ridge(world, rank)).router(format!("factors_{rank}"), set.dataset))
        .collect()
}

/// Returns the ranks that a table bears.
fn ranks(cells: &Cells) -> impl Iterator<Item = i64> + use<> {
    let least = cells.mean.size().into_iter().min().unwrap_or(0);
    RANKS.into_iter().filter(move |&rank| rank <= least)
}

/// Returns the penalty on squared factors, in ratings: small where rewards are told exactly.
pub fn ridge(world: WorldKind, rank: i64) -> f64 {
    match world {
        WorldKind::Line | WorldKind::Taste => 0.02 * rank as f64,
        WorldKind::Choice | WorldKind::Persona => 2.0,
    }
}

/// Solves one ridge regression a row of `values` `[rows, columns]` on `factors` `[columns, rank]`: `[rows, rank]`.
fn regress(values: &Tensor, count: &Tensor, factors: &Tensor, ridge: f64) -> Tensor {
    let rank = factors.size().last().copied().unwrap_or(0);
    // [columns, rank, rank] -> [columns, rank * rank]
    let outer = (factors.unsqueeze(2) * factors.unsqueeze(1)).view([-1, rank * rank]);
    let gram = count.matmul(&outer).view([-1, rank, rank]) + Tensor::eye(rank, (Kind::Double, Device::Cpu)) * ridge;
    let right = (count * values).matmul(factors).unsqueeze(2);
    Tensor::linalg_solve(&gram, &right, true).squeeze_dim(2)
}
