//! Which LLM each user's queries are sent to, and the CSV that `tests/fixtures/protocol.py` reads.

use std::path::Path;

use ndarray::Array2;

use crate::data::Dataset;
use crate::data::csv::Writer;
use crate::data::error::DataError;

use super::ground_truth::argmax;

/// Choices of one router: an LLM for every user and test query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    queries: Vec<u32>,
    users: Vec<Vec<u16>>,
}

impl Choices {
    /// Begins with no user.
    pub fn new(queries: Vec<u32>) -> Self {
        Self { queries, users: Vec::new() }
    }

    /// Adds the next user's choices, one a query.
    pub fn push(&mut self, chosen: Vec<u16>) {
        self.users.push(chosen);
    }

    /// Returns the choices by user.
    pub fn users(&self) -> &[Vec<u16>] {
        &self.users
    }

    /// Returns the queries chosen for.
    pub fn queries(&self) -> &[u32] {
        &self.queries
    }

    /// Writes `user, query_id, llm`; users by their number.
    pub fn write(&self, file: &Path, dataset: &Dataset) -> Result<(), DataError> {
        let mut output = Writer::create(file, &["user", "query_id", "llm"])?;
        for (user, chosen) in self.users.iter().enumerate() {
            let user = user.to_string();
            for (&query, &llm) in self.queries.iter().zip(chosen) {
                let id = dataset.queries.get(query as usize).map_or(0, |query| query.id);
                let name = dataset.llms.get(usize::from(llm)).map_or("", |llm| llm.id.as_str());
                output.record([user.as_str(), &id.to_string(), name])?;
            }
        }
        output.finish()
    }
}

/// Returns the LLM of highest utility in each row among those whose reward is known; the first among equals.
pub fn best(utilities: &Array2<f64>, rewards: &Array2<f64>) -> Vec<u16> {
    let known = |(&utility, &reward): (&f64, &f64)| if reward.is_nan() { f64::NAN } else { utility };
    let row = |(utilities, rewards): (ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>)| {
        u16::try_from(argmax(utilities.iter().zip(&rewards).map(known))).unwrap_or(u16::MAX)
    };
    utilities.rows().into_iter().zip(rewards.rows()).map(row).collect()
}
