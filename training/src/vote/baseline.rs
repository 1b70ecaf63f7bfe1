//! The baselines of a model of votes: models without personal terms, win rates, a judge, random choice.

use std::collections::HashMap;

use super::design::{Block, Design};
use super::score::{Prediction, Row, mean, row};
use super::solve::{Problem, Ridges, logits};
use super::tune::{Folds, start};
use crate::data::vote::{Verdicts, VoteSplit, Votes};

/// Pseudo-counts that are tried for a user's win rates.
const PSEUDO_COUNTS: [f64; 5] = [2.0, 5.0, 10.0, 20.0, 40.0];
/// Probabilities are kept this far from 0 and 1.
const MARGIN: f64 = 1e-3;

/// Models of growing blocks, each with ridges of its own.
const MODELS: [(&str, &[Block]); 5] = [
    ("bradley_terry", &[Block::Llm]),
    ("bradley_terry_position", &[Block::Position, Block::Llm]),
    ("task_llm", &[Block::Position, Block::Llm, Block::TaskLlm]),
    ("user_position", &[Block::Position, Block::Llm, Block::TaskLlm, Block::UserPosition]),
    ("user_llm", &[Block::Position, Block::Llm, Block::TaskLlm, Block::UserPosition, Block::UserLlm]),
];

/// Measures all baselines on the test votes; the judge only where there are verdicts.
pub fn all(votes: &Votes, split: &VoteSplit, design: &Design, verdicts: Option<&Verdicts>) -> Vec<Row> {
    let folds = Folds::new(votes, design, split);
    let measured = |name: &str, logits: &[f64]| row(name, &Prediction::all(votes, &split.test, logits));
    let mut rows = Vec::new();
    for (name, blocks) in MODELS {
        let ridges = folds.tune(start(blocks));
        let point = Problem::new(votes, design, &ridges, &split.train).solve(None);
        rows.push(measured(name, &logits(design, &ridges, &point, &split.test)));
    }
    rows.push(measured("user_win_rates", &win_rates(votes, split, design, &folds)));
    if let Some(verdicts) = verdicts {
        rows.push(measured("gpt4_verdict", &verdict(votes, split, verdicts)));
    }
    rows.push(measured("random", &vec![0.0; split.test.len()]));
    rows
}

/// Predicts by each user's win rate of each LLM, shrunk to the population's; the strength is chosen on the folds.
fn win_rates(votes: &Votes, split: &VoteSplit, design: &Design, folds: &Folds<'_>) -> Vec<f64> {
    let by_fold: Vec<(Rates, &[usize])> =
        folds.parts().iter().map(|(rest, held)| (Rates::new(votes, design, rest), held.as_slice())).collect();
    let loss = |count: f64| {
        let predicted =
            by_fold.iter().flat_map(|(rates, held)| Prediction::all(votes, held, &rates.logits(votes, held, count)));
        mean(&predicted.collect::<Vec<_>>()).log_loss
    };
    let best = PSEUDO_COUNTS.into_iter().map(|count| (loss(count), count)).min_by(|a, b| a.0.total_cmp(&b.0));
    let count = best.map_or(10.0, |(_, count)| count);
    Rates::new(votes, design, &split.train).logits(votes, &split.test, count)
}

/// The population's win probability of each LLM against an average one, and each user's wins.
struct Rates {
    population: Vec<f64>,
    own: HashMap<(u32, u16), [f64; 2]>,
}

impl Rates {
    fn new(votes: &Votes, design: &Design, rows: &[usize]) -> Self {
        let ridges: Ridges = start(&[Block::Llm]);
        let point = Problem::new(votes, design, &ridges, rows).solve(None);
        let strength = design.dense(Block::Llm, &super::solve::doubles(&point), votes.dataset.llms.len());
        let mut own: HashMap<(u32, u16), [f64; 2]> = HashMap::new();
        for vote in rows.iter().filter_map(|&row| votes.votes.get(row)) {
            let share = vote.winner.share();
            for (llm, share) in [(vote.left, share), (vote.right, 1.0 - share)] {
                let [wins, count] = own.entry((vote.user, llm)).or_default();
                *wins += share;
                *count += 1.0;
            }
        }
        Self { population: strength.into_iter().map(|strength| 1.0 / (1.0 + (-strength).exp())).collect(), own }
    }

    fn logits(&self, votes: &Votes, rows: &[usize], count: f64) -> Vec<f64> {
        let logit = |user: u32, llm: u16| {
            let prior = self.population.get(usize::from(llm)).copied().unwrap_or(0.5);
            let [wins, seen] = self.own.get(&(user, llm)).copied().unwrap_or_default();
            let rate = ((wins + count * prior) / (seen + count)).clamp(MARGIN, 1.0 - MARGIN);
            (rate / (1.0 - rate)).ln()
        };
        let vote = |&row: &usize| {
            votes.votes.get(row).map_or(0.0, |vote| logit(vote.user, vote.left) - logit(vote.user, vote.right))
        };
        rows.iter().map(vote).collect()
    }
}

/// Predicts the judge's verdict with the weight that fits the training votes best; even odds where it has none.
fn verdict(votes: &Votes, split: &VoteSplit, verdicts: &Verdicts) -> Vec<f64> {
    let side = |row: &usize| {
        let vote = votes.votes.get(*row);
        let verdict = vote.and_then(|vote| verdicts.get(&(vote.query, vote.left, vote.right)));
        verdict.map_or(0.0, |verdict| 2.0 * verdict.share() - 1.0)
    };
    let sign: Vec<f64> = split.train.iter().map(side).collect();
    let share: Vec<f64> =
        split.train.iter().filter_map(|&row| votes.votes.get(row)).map(|vote| vote.winner.share()).collect();
    // At the optimum of a logistic model with this sign as its only feature, σ(weight) is its accuracy.
    let agreed: f64 = sign
        .iter()
        .zip(&share)
        .filter(|(sign, _)| **sign != 0.0)
        .map(|(t, s)| if *t > 0.0 { *s } else { 1.0 - s })
        .sum();
    let count = sign.iter().filter(|sign| **sign != 0.0).count() as f64;
    let rate = ((agreed + 1.0) / (count + 2.0)).clamp(MARGIN, 1.0 - MARGIN);
    let weight = (rate / (1.0 - rate)).ln();
    split.test.iter().map(|row| weight * side(row)).collect()
}
