//! Chooses ridges by cross-validation on training votes.

use tch::Tensor;

use super::design::{Block, Design};
use super::score::{Prediction, mean};
use super::solve::{Problem, Ridges, logits};
use crate::data::vote::{FOLDS, VoteSplit, Votes, Winner};

/// Steps of the search: factors by which each ridge is tried smaller and larger.
const STEPS: [f64; 2] = [0.4, 2.5];
/// Rounds over all blocks.
const ROUNDS: usize = 3;
/// Improvement of the log loss below which a step is not taken.
const TOLERANCE: f64 = 1e-4;

/// Where the search begins: about the inverse variance of the parameters of each block.
const START: [(Block, f64); 8] = [
    (Block::Position, 0.1),
    (Block::Llm, 1.0),
    (Block::TaskLlm, 3.0),
    (Block::QueryLlm, 3.0),
    (Block::UserPosition, 1.0),
    (Block::UserLlm, 2.0),
    (Block::UserTaskLlm, 4.0),
    (Block::UserQueryLlm, 6.0),
];

/// Returns the ridges the search begins with, of these blocks only.
pub fn start(blocks: &[Block]) -> Ridges {
    let mut ridges = Ridges::default();
    for ((block, ridge), place) in START.into_iter().zip(&mut ridges) {
        *place = blocks.contains(&block).then_some(ridge);
    }
    ridges
}

/// Training votes by fold.
pub struct Folds<'a> {
    votes: &'a Votes,
    design: &'a Design,
    /// Votes to fit, and votes to predict: the decided ones of frequent users, as in the test.
    parts: Vec<(Vec<usize>, Vec<usize>)>,
}

/// The best ridges so far, and the parameters of each fold's fit.
struct Best {
    loss: f64,
    ridges: Ridges,
    points: Vec<Tensor>,
}

impl<'a> Folds<'a> {
    /// Cuts the training votes into folds.
    pub fn new(votes: &'a Votes, design: &'a Design, split: &VoteSplit) -> Self {
        let fold = |row: usize| split.folds.get(row).copied().unwrap_or((0, false));
        let decided = |row: usize| votes.votes.get(row).is_some_and(|vote| vote.winner != Winner::Tie);
        let parts = (0..FOLDS).map(|own| {
            let (held, rest): (Vec<usize>, Vec<usize>) = split.train.iter().partition(|&&row| fold(row).0 == own);
            (rest, held.into_iter().filter(|&row| fold(row).1 && decided(row)).collect())
        });
        Self { votes, design, parts: parts.collect() }
    }

    /// Returns the better ridges found by trying each block's in turn, smaller and larger.
    pub fn tune(&self, ridges: Ridges) -> Ridges {
        if self.parts.iter().all(|(_, held)| held.is_empty()) {
            return ridges;
        }
        let mut points = Vec::new();
        let mut best = Best { loss: self.loss(&ridges, &mut points), ridges, points };
        for _ in 0..ROUNDS {
            let before = best.loss;
            for block in Block::ALL.into_iter().rev() {
                self.try_steps(block, &mut best);
            }
            if before - best.loss < TOLERANCE {
                break;
            }
        }
        best.ridges
    }

    /// Tries one block's ridge smaller, then larger, and keeps an improvement.
    fn try_steps(&self, block: Block, best: &mut Best) {
        let Some(now) = best.ridges.get(block.column()).copied().flatten() else { return };
        for step in STEPS {
            let mut ridges = best.ridges;
            ridges.iter_mut().skip(block.column()).take(1).for_each(|ridge| *ridge = Some(now * step));
            let mut points: Vec<Tensor> = best.points.iter().map(Tensor::copy).collect();
            let loss = self.loss(&ridges, &mut points);
            if loss < best.loss - TOLERANCE {
                *best = Best { loss, ridges, points };
                return;
            }
        }
    }

    /// Returns the mean log loss on held-out votes; `points` are the start of each fold's fit, and then its result.
    fn loss(&self, ridges: &Ridges, points: &mut Vec<Tensor>) -> f64 {
        let mut predictions: Vec<Prediction> = Vec::new();
        for (fold, (rest, held)) in self.parts.iter().enumerate() {
            let point = Problem::new(self.votes, self.design, ridges, rest).solve(points.get(fold));
            let logits = logits(self.design, ridges, &point, held);
            predictions.extend(Prediction::all(self.votes, held, &logits));
            match points.get_mut(fold) {
                Some(place) => *place = point,
                None => points.push(point),
            }
        }
        mean(&predictions).log_loss
    }

    /// Returns the votes to fit and to predict in each fold.
    pub fn parts(&self) -> &[(Vec<usize>, Vec<usize>)] {
        &self.parts
    }
}
