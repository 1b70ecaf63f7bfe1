//! All ratings as flat columns on a device, and sums of columns by user, answer and (task, LLM).

use tch::{Device, Kind, Tensor};

use crate::data::{Dataset, Interactions};

/// Ratings, one per element of a column.
#[derive(Debug)]
pub struct Ratings {
    /// Index in the data set of each row's query, ascending.
    pub queries: Vec<u32>,
    /// `[queries]`: task of each.
    pub tasks: Tensor,
    /// `[ratings]`: index of the user.
    pub user: Tensor,
    /// `[ratings]`: row of the query times the number of LLMs, plus the LLM.
    pub answer: Tensor,
    /// `[ratings]`: task times the number of LLMs, plus the LLM.
    pub pair: Tensor,
    /// `[ratings]`: reward, in units.
    pub reward: Tensor,
    /// Number of users.
    pub users: i64,
    /// Number of LLMs.
    pub llms: i64,
    /// Number of tasks.
    pub task_count: i64,
    /// Standard deviation of the rewards: the unit of [`Ratings::reward`].
    pub unit: f64,
}

impl Ratings {
    /// Flattens the interactions.
    pub fn new(dataset: &Dataset, interactions: &Interactions, device: Device) -> Self {
        let mut row_of: Vec<i64> = vec![-1; dataset.queries.len()];
        for entry in interactions.entries.iter().filter(|entry| entry.reward().is_some()) {
            if let Some(row) = row_of.get_mut(entry.query as usize) {
                *row = 0;
            }
        }
        let mut queries = Vec::new();
        for (query, row) in (0_u32..).zip(&mut row_of).filter(|(_, row)| **row == 0) {
            *row = queries.len() as i64;
            queries.push(query);
        }
        let llms = dataset.llms.len() as i64;
        let task = |query: u32| dataset.queries.get(query as usize).map_or(0, |query| i64::from(query.task));
        let tasks: Vec<i64> = queries.iter().map(|&query| task(query)).collect();
        let count = interactions.entries.len();
        let [mut user, mut answer, mut pair] = [(); 3].map(|()| Vec::with_capacity(count));
        let mut reward = Vec::with_capacity(count);
        for number in 0..interactions.users.len() {
            for entry in interactions.of(number) {
                let known = row_of.get(entry.query as usize).zip(entry.reward());
                let Some((&row, rating)) = known else { continue };
                user.push(number as i64);
                answer.push(row * llms + i64::from(entry.llm));
                pair.push(task(entry.query) * llms + i64::from(entry.llm));
                reward.push(f64::from(rating));
            }
        }
        let flat = |column: &[i64]| Tensor::from_slice(column).to_device(device);
        let reward = Tensor::from_slice(&reward).to_device(device);
        let unit = if count > 1 { reward.std(false).double_value(&[]) } else { 0.0 };
        let unit = if unit > 1e-9 { unit } else { 1.0 };
        Self {
            tasks: flat(&tasks),
            queries,
            user: flat(&user),
            answer: flat(&answer),
            pair: flat(&pair),
            reward: reward / unit,
            users: interactions.users.len() as i64,
            llms,
            task_count: dataset.tasks.len() as i64,
            unit,
        }
    }

    /// Returns the same ratings minus a known part of each reward.
    pub fn without(&self, known: &Tensor) -> Self {
        Self {
            queries: self.queries.clone(),
            tasks: self.tasks.shallow_clone(),
            user: self.user.shallow_clone(),
            answer: self.answer.shallow_clone(),
            pair: self.pair.shallow_clone(),
            reward: &self.reward - known,
            ..*self
        }
    }

    /// Returns the device of the columns.
    pub fn device(&self) -> Device {
        self.reward.device()
    }

    /// Returns the number of ratings of each user.
    pub fn ratings(&self) -> Tensor {
        self.by_user(&self.reward.ones_like())
    }

    /// Sums a column by user.
    pub fn by_user(&self, column: &Tensor) -> Tensor {
        total(&self.user, column, self.users)
    }

    /// Returns the user of each rating times the number of LLMs, plus the LLM.
    pub fn user_llm(&self) -> Tensor {
        &self.user * self.llms + self.pair.remainder(self.llms)
    }

    /// Sums a column by user and LLM, `[users, llms]`.
    pub fn by_user_llm(&self, column: &Tensor) -> Tensor {
        total(&self.user_llm(), column, self.users * self.llms).view([self.users, self.llms])
    }

    /// Sums a column by answer.
    pub fn by_answer(&self, column: &Tensor) -> Tensor {
        total(&self.answer, column, self.queries.len() as i64 * self.llms)
    }

    /// Sums a column by (task, LLM) pair.
    pub fn by_pair(&self, column: &Tensor) -> Tensor {
        total(&self.pair, column, self.task_count * self.llms)
    }

    /// Returns a column of answers as `[queries, llms]`.
    pub fn as_rows(&self, column: &Tensor) -> Tensor {
        column.view([-1, self.llms])
    }

    /// Returns the task and LLM of each answer, as [`Ratings::pair`] numbers them.
    pub fn pair_of_answer(&self) -> Tensor {
        let llm = Tensor::arange(self.llms, (Kind::Int64, self.device()));
        (self.tasks.unsqueeze(1) * self.llms + llm).view([-1])
    }

    /// Returns initial preference scores: the first principal component of the users' mean deviations per LLM.
    pub fn initial_scores(&self) -> Tensor {
        let count = self.by_pair(&self.reward.ones_like()).clamp_min(1.0);
        let mean = self.by_pair(&self.reward) / count;
        let deviation = &self.reward - mean.index_select(0, &self.pair);
        let user_llm = self.user_llm();
        let size = self.users * self.llms;
        let ratings = total(&user_llm, &deviation.ones_like(), size);
        // One or two ratings of an LLM are noisy: shrink the mean.
        let table = (total(&user_llm, &deviation, size) / (ratings + 1.0)).view([self.users, self.llms]);
        let centred = &table - table.mean_dim(0, true, Kind::Double);
        let (_, vectors) = centred.tr().matmul(&centred).to_device(Device::Cpu).linalg_eigh("L");
        let main = vectors.select(1, self.llms - 1).to_device(self.device());
        self.standardised(&centred.mv(&main))
    }

    /// Returns a column of users with mean 0 and variance 1 over those who rated anything, 0 for the others.
    pub fn standardised(&self, column: &Tensor) -> Tensor {
        let seen = self.ratings().gt(0.0).to_kind(Kind::Double);
        let count = seen.sum(Kind::Double).clamp_min(1.0);
        let mean = (column * &seen).sum(Kind::Double) / &count;
        let centred = (column - mean) * &seen;
        let deviation = (centred.square().sum(Kind::Double) / count).sqrt();
        centred / deviation.clamp_min(1e-12)
    }
}

fn total(index: &Tensor, column: &Tensor, size: i64) -> Tensor {
    Tensor::zeros([size], (Kind::Double, column.device())).index_add(0, index, column)
}
