//! Accuracy and log loss of predicted votes, with intervals over users.

use serde::Serialize;

use crate::data::vote::{Votes, Winner};
use crate::model::rng::Rng;

/// Samples of the bootstrap.
const SAMPLES: usize = 1000;
/// Share of samples beyond each end of an interval.
const TAIL: f64 = 0.025;

/// A predicted vote.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Index of the user.
    pub user: u32,
    /// Logit of the winner's predicted probability: positive where the winner was predicted.
    pub margin: f64,
}

/// Means over votes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Share of votes whose winner was predicted; even odds count as half.
    pub accuracy: f64,
    /// Mean of minus the logarithm of the probability of the winner.
    pub log_loss: f64,
}

/// Figures with their bootstrap intervals over users (95 %).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name in tables and JSON.
    #[serde(skip)]
    pub name: String,
    /// Share of votes whose winner was predicted.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_interval: [f64; 2],
    /// Mean log loss.
    pub log_loss: f64,
    /// Its interval.
    pub log_loss_interval: [f64; 2],
    /// Decided votes predicted.
    pub votes: usize,
    /// Users who cast them.
    pub users: usize,
}

impl Prediction {
    /// Pairs the votes at `rows` with logits of their left answer; ties have no winner and are left out.
    pub fn all(votes: &Votes, rows: &[usize], logits: &[f64]) -> Vec<Self> {
        let vote = |(&row, &logit): (&usize, &f64)| {
            let vote = votes.votes.get(row)?;
            match vote.winner {
                Winner::Left => Some(Self { user: vote.user, margin: logit }),
                Winner::Right => Some(Self { user: vote.user, margin: -logit }),
                Winner::Tie => None,
            }
        };
        rows.iter().zip(logits).filter_map(vote).collect()
    }

    fn accuracy(&self) -> f64 {
        match self.margin.total_cmp(&0.0) {
            _ if self.margin == 0.0 => 0.5,
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Less | std::cmp::Ordering::Equal => 0.0,
        }
    }

    /// Returns `ln(1 + e^(−margin))` without overflow.
    fn loss(&self) -> f64 {
        (-self.margin).max(0.0) + (-self.margin.abs()).exp().ln_1p()
    }
}

/// Returns the means over votes.
pub fn mean(predicted: &[Prediction]) -> Figures {
    let count = predicted.len().max(1) as f64;
    Figures {
        accuracy: predicted.iter().map(Prediction::accuracy).sum::<f64>() / count,
        log_loss: predicted.iter().map(Prediction::loss).sum::<f64>() / count,
    }
}

/// Returns the means with their intervals: users are sampled with replacement, each with all of its votes.
pub fn row(name: &str, predicted: &[Prediction]) -> Row {
    let Figures { accuracy, log_loss } = mean(predicted);
    let mut sums: Vec<[f64; 3]> = Vec::new();
    for vote in predicted {
        let at = vote.user as usize;
        if sums.len() <= at {
            sums.resize(at + 1, [0.0; 3]);
        }
        if let Some([count, right, loss]) = sums.get_mut(at) {
            *count += 1.0;
            *right += vote.accuracy();
            *loss += vote.loss();
        }
    }
    sums.retain(|[count, ..]| *count > 0.0);
    let mut rng = Rng::new(0, &[31]);
    let samples: Vec<[f64; 2]> = (0..SAMPLES).map(|_| sample(&sums, &mut rng)).collect();
    let interval = |pick: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(pick).collect();
        values.sort_unstable_by(f64::total_cmp);
        [TAIL, 1.0 - TAIL].map(|share| quantile(&values, share))
    };
    Row {
        name: name.to_owned(),
        accuracy,
        accuracy_interval: interval(|[accuracy, _]| *accuracy),
        log_loss,
        log_loss_interval: interval(|[_, loss]| *loss),
        votes: predicted.len(),
        users: sums.len(),
    }
}

/// Returns accuracy and log loss of users sampled with replacement.
fn sample(sums: &[[f64; 3]], rng: &mut Rng) -> [f64; 2] {
    let mut total = [0.0; 3];
    for _ in 0..sums.len() {
        if let Some(sampled) = sums.get(rng.index(sums.len())) {
            total.iter_mut().zip(sampled).for_each(|(total, own)| *total += own);
        }
    }
    let [count, right, loss] = total;
    [right / count.max(1.0), loss / count.max(1.0)]
}

/// Returns the quantile of ascending values; 0 where there is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "invariant: a share times a length")]
fn quantile(values: &[f64], share: f64) -> f64 {
    let at = (share * values.len().saturating_sub(1) as f64).round() as usize;
    values.get(at).copied().unwrap_or(0.0)
}

/// Returns an aligned markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(5);
    let mut text = format!("| {:<width$} | accuracy | 95 %          | log loss | 95 %          |\n", "model");
    text.push_str(&format!("|{}|---------:|---------------|---------:|---------------|\n", "-".repeat(width + 2)));
    for row in rows {
        let [low, high] = row.accuracy_interval;
        let accuracy = format!("{:>8.3} | {low:.3} to {high:.3}", row.accuracy);
        let [low, high] = row.log_loss_interval;
        text.push_str(&format!(
            "| {:<width$} | {accuracy} | {:>8.3} | {low:.3} to {high:.3} |\n",
            row.name, row.log_loss
        ));
    }
    text
}
