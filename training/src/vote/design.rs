//! The design of the logistic model: the parameters of each vote's left and right answer, by block.

use tch::{Device, Tensor};

use crate::data::vote::{Vote, Votes};

/// A group of parameters that share a ridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The population's position bias, for the left side.
    Position,
    /// The population's strength of an LLM.
    Llm,
    /// Its deviation on a task.
    TaskLlm,
    /// Its deviation on a query: all users see the same answer.
    QueryLlm,
    /// A user's position bias, minus the population's.
    UserPosition,
    /// A user's strength of an LLM, minus the population's.
    UserLlm,
    /// Its deviation on a task.
    UserTaskLlm,
    /// Its deviation on a query.
    UserQueryLlm,
}

/// Number of blocks.
pub const BLOCKS: usize = 8;

/// All parameters of all votes: one column a block.
#[derive(Debug)]
pub struct Design {
    /// For each block the keys that occur, ascending.
    keys: Vec<Vec<u64>>,
    /// Offset of each block's parameters; the last entry is their number.
    offsets: Vec<usize>,
    /// `[votes, BLOCKS]`: parameters added for the left answer.
    pub left: Tensor,
    /// `[votes, BLOCKS]`: parameters subtracted for the right answer; where there is none, the one behind the last, always 0.
    pub right: Tensor,
    shape: Shape,
}

/// Extents that make keys out of indices.
#[derive(Debug, Clone, Copy)]
struct Shape {
    tasks: u64,
    queries: u64,
    llms: u64,
}

/// One side of a vote.
#[derive(Debug, Clone, Copy)]
struct Side {
    user: u64,
    task: u64,
    query: u64,
    llm: u64,
}

impl Block {
    /// All blocks, in the order of columns.
    pub const ALL: [Self; BLOCKS] = [
        Self::Position,
        Self::Llm,
        Self::TaskLlm,
        Self::QueryLlm,
        Self::UserPosition,
        Self::UserLlm,
        Self::UserTaskLlm,
        Self::UserQueryLlm,
    ];

    /// Returns its column.
    pub fn column(self) -> usize {
        self as usize
    }

    /// Returns whether it belongs to the side rather than to the answer.
    fn is_position(self) -> bool {
        matches!(self, Self::Position | Self::UserPosition)
    }

    fn key(self, side: Side, shape: Shape) -> u64 {
        let Side { user, task, query, llm } = side;
        match self {
            Self::Position => 0,
            Self::Llm => llm,
            Self::TaskLlm => task * shape.llms + llm,
            Self::QueryLlm => query * shape.llms + llm,
            Self::UserPosition => user,
            Self::UserLlm => user * shape.llms + llm,
            Self::UserTaskLlm => (user * shape.tasks + task) * shape.llms + llm,
            Self::UserQueryLlm => (user * shape.queries + query) * shape.llms + llm,
        }
    }
}

impl Design {
    /// Numbers the parameters of all votes; those of no training vote stay 0.
    pub fn build(votes: &Votes, device: Device) -> Self {
        let data = &votes.dataset;
        let shape =
            Shape { tasks: data.tasks.len() as u64, queries: data.queries.len() as u64, llms: data.llms.len() as u64 };
        let sides: Vec<[Side; 2]> = votes.votes.iter().map(|vote| sides(votes, vote)).collect();
        let keys: Vec<Vec<u64>> = Block::ALL
            .iter()
            .map(|block| {
                let mut keys: Vec<u64> = sides.iter().flatten().map(|&side| block.key(side, shape)).collect();
                keys.sort_unstable();
                keys.dedup();
                keys
            })
            .collect();
        let mut offsets = vec![0];
        offsets.extend(keys.iter().scan(0, |total, keys| {
            *total += keys.len();
            Some(*total)
        }));
        let mut design =
            Self { keys, offsets, left: Tensor::from_slice(&[0_i64]), right: Tensor::from_slice(&[0_i64]), shape };
        let [left, right] = [0, 1].map(|at| design.column(&sides, at).to_device(device));
        (design.left, design.right) = (left, right);
        design
    }

    /// Returns the number of parameters, the one that is always 0 not counted.
    pub fn parameters(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Returns the positions of a block's parameters.
    pub fn range(&self, block: Block) -> std::ops::Range<usize> {
        let at = |place: usize| self.offsets.get(place).copied().unwrap_or(0);
        at(block.column())..at(block.column() + 1)
    }

    /// Returns the block's parameters `values` as a dense row-major table of so many elements, 0 where nobody voted.
    pub fn dense(&self, block: Block, values: &[f64], elements: usize) -> Vec<f64> {
        let mut dense = vec![0.0; elements];
        let own = values.get(self.range(block)).unwrap_or_default();
        for (&key, &value) in self.keys.get(block.column()).into_iter().flatten().zip(own) {
            if let Some(place) = usize::try_from(key).ok().and_then(|key| dense.get_mut(key)) {
                *place = value;
            }
        }
        dense
    }

    fn column(&self, sides: &[[Side; 2]], at: usize) -> Tensor {
        let none = self.parameters() as i64;
        let place = |block: &Block, side: Side| {
            let key = block.key(side, self.shape);
            let found = self.keys.get(block.column()).and_then(|keys| keys.binary_search(&key).ok());
            found.map_or(none, |found| (self.range(*block).start + found) as i64)
        };
        let flat: Vec<i64> = sides
            .iter()
            .filter_map(|pair| pair.get(at))
            .flat_map(|&side| Block::ALL.iter().map(move |block| (block, side)))
            .map(|(block, side)| if at == 1 && block.is_position() { none } else { place(block, side) })
            .collect();
        Tensor::from_slice(&flat).view([sides.len() as i64, BLOCKS as i64])
    }
}

fn sides(votes: &Votes, vote: &Vote) -> [Side; 2] {
    let task = votes.dataset.queries.get(vote.query as usize).map_or(0, |query| u64::from(query.task));
    let side = |llm: u16| Side { user: vote.user.into(), task, query: vote.query.into(), llm: llm.into() };
    [side(vote.left), side(vote.right)]
}
