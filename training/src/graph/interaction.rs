//! Interactions of a few users as the adapter reads them, with the embeddings that they start from.

use personaroute_bundle::interaction::{
    AdapterInputs, AdapterInteraction, InteractionKind, QueryFeatures, TaskColumns, TextInput,
};
use tch::{Kind, Tensor};

use super::query::{QueryInputs, SHAPE_TOKENS, TextEncoder};
use crate::data::{Dataset, Interaction, SignalKind};

/// Marks the group of a vote, which is never a query's.
const VOTE: u64 = 1 << 63;

/// Interactions of several users, padded to the longest list.
#[derive(Debug)]
pub struct InteractionBatch {
    /// The adapter's inputs by user and interaction.
    pub inputs: AdapterInputs,
    /// Number of task columns.
    pub tasks: usize,
    /// `[users, user_dim]`: the embeddings to start from.
    pub start: Tensor,
    /// `[users, 1]`: how many interactions stand behind them.
    pub start_interactions: Tensor,
}

impl InteractionBatch {
    /// Lays out interactions of users who start from embeddings `[users, user_dim]` with so many interactions behind them.
    pub fn new(
        users: &[Vec<AdapterInteraction>],
        (tasks, text): (usize, TextInput),
        (start, start_interactions): (&[Vec<f32>], &[f32]),
    ) -> Self {
        let user_dim = start.first().map_or(0, Vec::len);
        Self {
            inputs: AdapterInputs::new(users, tasks, text),
            tasks,
            start: Tensor::from_slice(&start.concat()).view([users.len() as i64, user_dim as i64]),
            start_interactions: Tensor::from_slice(start_interactions).view([-1, 1]),
        }
    }

    /// The same, all from the prior.
    pub fn from_prior(users: &[Vec<AdapterInteraction>], columns: (usize, TextInput), prior: &[f32]) -> Self {
        Self::new(users, columns, (&vec![prior.to_vec(); users.len()], &vec![0.0; users.len()]))
    }

    /// Returns a column of integers, `[users, interactions]`.
    pub fn whole(&self, column: &[i64]) -> Tensor {
        Tensor::from_slice(column).view(self.shape())
    }

    /// Returns a column of numbers, `[users, interactions]`.
    pub fn real(&self, column: &[f32]) -> Tensor {
        Tensor::from_slice(column).view(self.shape())
    }

    /// Returns `[users, interactions, tasks]`.
    pub fn task(&self) -> Tensor {
        let [users, interactions] = self.shape();
        Tensor::from_slice(&self.inputs.task).view([users, interactions, self.tasks as i64])
    }

    /// Returns the weights of interactions of one kind, `[users, interactions]`; 0 for the others.
    pub fn weight(&self, kind: InteractionKind) -> Tensor {
        let code = match kind {
            InteractionKind::Rating => 0,
            InteractionKind::Choice => 1,
        };
        self.real(&self.inputs.weight) * self.whole(&self.inputs.kind).eq(code).to_kind(Kind::Float)
    }

    /// Returns the shape tokens of each query `[users · interactions, tokens]`, 0 where they are not known; nothing for
    /// embeddings.
    pub fn shape_tokens(&self) -> Option<Tensor> {
        if self.inputs.ngrams.is_empty() {
            return None;
        }
        let ids = Tensor::from_slice(&self.inputs.ngrams).view([-1, self.inputs.text as i64]);
        Some(ids.narrow(1, 0, SHAPE_TOKENS.min(self.inputs.text) as i64))
    }

    fn shape(&self) -> [i64; 2] {
        [self.inputs.users as i64, self.inputs.interactions as i64]
    }
}

/// Returns what a user said, as the adapter reads it, with the task declared; of two votes each is a choice among two.
pub fn adapter_interactions(dataset: &Dataset, encoder: &TextEncoder, said: &[Interaction]) -> Vec<AdapterInteraction> {
    let queries: Vec<u32> = said.iter().map(|entry| entry.query).collect();
    let features = features(&QueryInputs::build(encoder, dataset, &queries));
    let mut found = Vec::with_capacity(said.len());
    for (vote, (entry, query)) in (0_u64..).zip(said.iter().zip(features)) {
        let Some(Query { task, id }) =
            dataset.queries.get(entry.query as usize).map(|query| Query { task: query.task, id: query.id })
        else {
            continue;
        };
        let one = AdapterInteraction {
            llm: entry.llm.into(),
            task: TaskColumns::Declared(task),
            query,
            kind: InteractionKind::Choice,
            value: entry.value,
            weight: 1.0,
            group: id,
        };
        match entry.kind {
            SignalKind::Rating => found.push(AdapterInteraction { kind: InteractionKind::Rating, ..one }),
            SignalKind::Choice => found.push(one),
            SignalKind::Vote { against, .. } => {
                let group = VOTE | vote;
                let other = AdapterInteraction { llm: against.into(), value: 1.0 - one.value, group, ..one.clone() };
                found.extend([AdapterInteraction { group, ..one }, other]);
            }
        }
    }
    found
}

/// What is needed of a query.
struct Query {
    task: u32,
    id: u64,
}

fn features(inputs: &QueryInputs) -> Vec<QueryFeatures> {
    match inputs {
        QueryInputs::Lexical(ids) => ids.iter().cloned().map(QueryFeatures::Ngrams).collect(),
        QueryInputs::Embedding(rows) => rows.iter().cloned().map(QueryFeatures::Embedding).collect(),
    }
}
