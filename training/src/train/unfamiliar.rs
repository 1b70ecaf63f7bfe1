//! Texts unlike those of training: their task is none of the known ones, and each user's best single LLM is the safe choice.
//!
//! A text is unfamiliar as far as its likeliest task's logit is below a threshold. For an unfamiliar one the means over all
//! training queries take the place of the task's: with them, users get what is best for them on the whole.
//! The threshold is the most cautious one under which choices for training queries, each left out of the regression that
//! guesses its task, lose next to nothing. No other task's queries are needed, so it works with two tasks as with twenty.

use tch::{Kind, Tensor};

use super::components::Components;
use super::guess::Guess;
use super::judge::Judge;
use crate::model::text::{NEVER, probability};

/// Thresholds that are tried: so many steps of this share of the logit of a task that is foretold with certainty.
const STEPS: i32 = 60;
const STEP: f64 = 0.02;
/// Share that left-out choices may lose, of what lies between the best single LLM and the best choice.
const LOSS: f64 = 0.002;
/// Share of left-out training queries that may count as unfamiliar.
const MOST: f64 = 0.25;

/// How unfamiliar texts are told, and what speaks for them.
#[derive(Debug)]
pub struct Unfamiliar {
    /// `[tasks]`: shares of the training queries.
    pub shares: Tensor,
    /// Logit of the likeliest task below which a text is rather unfamiliar.
    pub threshold: f64,
}

impl Unfamiliar {
    /// Takes every text to be of a known task.
    pub fn new(components: &Components) -> Self {
        let told = components.tasks.one_hot(components.task_count()).to_kind(Kind::Float);
        Self { shares: told.mean_dim(0, false, Kind::Float), threshold: NEVER }
    }

    /// Finds the threshold; `foretold` are both ends of left-out queries beyond their task's.
    pub fn fit(&mut self, judge: &Judge, components: &Components, guess: &Guess, foretold: Option<&[Tensor; 2]>) {
        let ends = [&components.cell_high, &components.cell_low];
        let cells = ends.map(|cells| cells.to_kind(Kind::Float)); // [T, L]
        let [all_high, all_low] = cells.each_ref().map(|cells| self.shares.unsqueeze(0).matmul(cells)); // [1, L]
        let reward = |threshold: f64| {
            let tasks = probability(&guess.left_out, threshold);
            let known = tasks.sum_dim_intlist(1, true, Kind::Float); // [Q, 1]
            let rest: Tensor = 1.0 - &known;
            let [high, low] = cells.each_ref().map(|cells| tasks.matmul(cells));
            let (mut high, mut low) = (high + &rest * &all_high, low + &rest * &all_low);
            if let Some([more_high, more_low]) = foretold {
                high += more_high * &known;
                low += more_low * &known;
            }
            (mean(&judge.reward(&high, &low)), mean(&rest))
        };
        let (plain, _) = reward(NEVER);
        let single = mean(&judge.reward(&all_high, &all_low));
        let least = plain - LOSS * (judge.most() - single).max(0.0);
        for step in 1..=STEPS {
            let threshold = f64::from(step) * STEP * guess.factor;
            let (earned, unfamiliar) = reward(threshold);
            if unfamiliar > MOST {
                break;
            }
            if earned >= least {
                self.threshold = threshold;
            }
        }
    }
}

fn mean(values: &Tensor) -> f64 {
    values.mean(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Setting};
    use crate::model::Model;
    use crate::model::text::SHARPNESS;
    use crate::train::fixture::{Fixture, hparams};
    use crate::train::hparams::{Hparams, Part, TextEncoder};

    fn train(text: TextEncoder, leave_out: Vec<Part>) -> (Fixture, Model) {
        let fixture = Fixture::new();
        let dir = tempfile::tempdir().unwrap();
        let hparams = Hparams { text, leave_out, ..hparams() };
        let model = fixture.train_with(&hparams, (dir.path(), Setting::Rewards, false), None).unwrap();
        (fixture, model)
    }

    /// The fixture's data, with a first query that has no word of the others.
    fn with_unfamiliar(fixture: &Fixture) -> Dataset {
        let mut dataset = fixture.dataset.clone();
        dataset.queries[0].text = "zyx wvu tsr qpo nml kji".to_owned();
        dataset.query_embeddings.row_mut(0).fill(0.0);
        dataset
    }

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn a_text_unlike_any_training_query_gets_each_users_best_single_llm() {
        for text in [hparams().text, TextEncoder::Embedding] {
            let (fixture, model) = train(text, Vec::new());
            let found = model.query_values(&with_unfamiliar(&fixture), &[0], false);
            assert!(found.tasks.sum(Kind::Float).double_value(&[]) < 0.01, "{text:?}: {}", found.tasks);
            let pooled = model.text.shares.unsqueeze(0).matmul(&model.values).view_as(&found.values);
            let gap = distance(&found.values, &pooled);
            assert!(gap < 0.01, "{text:?}: {gap} from the means over training queries");
            // The users' best LLM over all training queries, by the rewards themselves.
            let chosen =
                found.values.squeeze_dim(0).matmul(&model.preference_weights(&model.users).tr()).argmax(0, false);
            for user in [0, 20, 47] {
                let mean =
                    |llm: &usize| fixture.split.train.iter().map(|&q| fixture.reward(user, q, *llm)).sum::<f32>();
                let best = (0..4).max_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap();
                assert_eq!(chosen.int64_value(&[user as i64]), best as i64, "{text:?}: user {user}");
            }
        }
    }

    #[test]
    fn a_text_like_those_of_training_is_valued_as_without_the_way_out() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        assert!(model.text.threshold > NEVER);
        let queries = &fixture.split.test;
        let with = model.query_values(&fixture.dataset, queries, false);
        model.text.threshold = NEVER;
        let without = model.query_values(&fixture.dataset, queries, false);
        let choices = |values: &Tensor| values.matmul(&model.preference_weights(&model.users).tr()).argmax(1, false);
        let same = choices(&with.values).eq_tensor(&choices(&without.values)).to_kind(Kind::Float).mean(Kind::Float);
        assert!(same.double_value(&[]) > 0.99, "{}", same.double_value(&[]));
        assert!((with.values - without.values).abs().mean(Kind::Float).double_value(&[]) < 0.01);
    }

    #[test]
    fn a_declared_task_is_never_doubted() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        let dataset = with_unfamiliar(&fixture);
        let with = model.query_values(&dataset, &[0, 1], true).values;
        model.text.threshold = -NEVER;
        assert_eq!(distance(&with, &model.query_values(&dataset, &[0, 1], true).values), 0.0);
    }

    #[test]
    fn without_the_part_every_text_is_of_a_known_task() {
        let (fixture, model) = train(hparams().text, vec![Part::Unfamiliar]);
        let found = model.query_values(&with_unfamiliar(&fixture), &[0], false);
        assert!((found.tasks.sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn at_the_threshold_a_text_is_as_likely_of_no_task() {
        let logits = Tensor::from_slice(&[3.0_f32, 1.0, 5.0, 1.0]).view([2, 2]);
        let known = probability(&logits, 3.0).sum_dim_intlist(1, false, Kind::Float);
        assert!((known.double_value(&[0]) - 0.5).abs() < 1e-6);
        assert!((known.double_value(&[1]) - 1.0 / (1.0 + (-2.0 * SHARPNESS).exp())).abs() < 1e-6);
    }
}
