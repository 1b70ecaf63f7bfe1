//! Texts unlike those of training: their task is none of the known ones, and each user's best single LLM is the safe choice.
//!
//! A text is unfamiliar as far as it is less like the texts of any task than most training queries are like those of theirs,
//! each left out of the regression that says so. For an unfamiliar one the means over all training queries take the place
//! of the task's: with them, users get what is best for them on the whole. In between, both speak. The border is as cautious
//! as a share of training queries allows that is the same for all data; only where this would cost too much of what
//! routing earns it is less so. No other task's queries are needed, so it works with two tasks as with twenty.

use tch::{Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::model::text::Border;
use crate::closed_form::text::cross_validation::Judge;
use crate::closed_form::text::task::Guess;
use crate::graph::query::TextEncoder;

/// Largest share of left-out training queries that may lie below the border. Vectors know much of a text whose words are
/// new, so with them less is unfamiliar.
const MOST_BY_WORDS: f64 = 0.19;
const MOST_BY_VECTOR: f64 = 0.1;
/// Shares that are tried.
const STEPS: i32 = 20;
/// Share that left-out choices may lose of what they earn beyond the best single LLM.
const LOSS: f64 = 0.1;
/// Width of the border, in standard deviations of how much training queries are like their tasks'.
const WIDTH: f64 = 0.5;
/// A spread below this is none.
const LEAST_SPREAD: f64 = 1e-4;

/// How unfamiliar texts are told, and what speaks for them.
#[derive(Debug)]
pub struct Unfamiliar {
    /// `[tasks]`: shares of the training queries.
    pub shares: Tensor,
    /// Where texts of known tasks end.
    pub border: Border,
}

impl Unfamiliar {
    /// Takes every text to be of a known task.
    pub fn new(components: &Components) -> Self {
        let told = components.tasks.one_hot(components.task_count()).to_kind(Kind::Float);
        Self { shares: told.mean_dim(0, false, Kind::Float), border: Border::NONE }
    }

    /// Finds the border for texts so encoded; `foretold` are both ends of left-out queries beyond their task's.
    pub fn fit(
        &mut self,
        encoder: &TextEncoder,
        (judge, components): (&Judge, &Components),
        guess: &Guess,
        foretold: Option<&[Tensor; 2]>,
    ) {
        let most = match encoder {
            TextEncoder::Lexical(_) => MOST_BY_WORDS,
            TextEncoder::Embedding => MOST_BY_VECTOR,
        };
        let like = guess.left_out.amax([1].as_slice(), false).to_kind(Kind::Double);
        let spread = like.std(false).double_value(&[]);
        if spread < LEAST_SPREAD {
            return;
        }
        let ends = [&components.cell_high, &components.cell_low];
        let cells = ends.map(|cells| cells.to_kind(Kind::Float)); // [T, L]
        let [all_high, all_low] = cells.each_ref().map(|cells| self.shares.unsqueeze(0).matmul(cells)); // [1, L]
        let tasks = guess.logits().softmax(-1, Kind::Float);
        let [task_high, task_low] = cells.each_ref().map(|cells| tasks.matmul(cells)); // [Q, L]
        let reward = |border: Border| {
            let known = border.known(&guess.left_out); // [Q, 1]
            let rest: Tensor = 1.0 - &known;
            let mut high = &task_high * &known + &rest * &all_high;
            let mut low = &task_low * &known + &rest * &all_low;
            if let Some([more_high, more_low]) = foretold {
                high += more_high * known.square();
                low += more_low * known.square();
            }
            mean(&judge.reward(&high, &low))
        };
        let plain = reward(Border::NONE);
        let single = mean(&judge.reward(&all_high, &all_low));
        let least = plain - LOSS * (plain - single).max(0.0);
        for step in 1..=STEPS {
            let share = most * f64::from(step) / f64::from(STEPS);
            let threshold = like.quantile_scalar(share, None::<i64>, false, "linear").double_value(&[]);
            let border = Border { threshold, sharpness: 1.0 / (WIDTH * spread) };
            if reward(border) >= least {
                self.border = border;
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
    use crate::closed_form::ClosedForm;
    use crate::data::{Dataset, Setting};
    use crate::fixture::{Fixture, hparams};
    use crate::model::hparams::{Hparams, Part};

    fn train(text: TextEncoder, leave_out: Vec<Part>) -> (Fixture, ClosedForm) {
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

    /// What choices by these values earn all users on the test queries, on average.
    fn earned(fixture: &Fixture, model: &ClosedForm, values: &Tensor) -> f64 {
        let chosen = values.matmul(&model.preference_weights(&model.users).tr()).argmax(1, false); // [Q, U]
        let reward = |(at, &query): (usize, &u32)| {
            let of = |user: usize| {
                fixture.reward(user, query, chosen.int64_value(&[at as i64, user as i64]).try_into().unwrap())
            };
            (0..fixture.preferences.len()).map(of).sum::<f32>()
        };
        let sum: f32 = fixture.split.test.iter().enumerate().map(reward).sum();
        f64::from(sum) / (fixture.split.test.len() * fixture.preferences.len()) as f64
    }

    #[test]
    fn on_texts_like_those_of_training_little_is_lost_to_caution() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        assert_ne!(model.text.border, Border::NONE);
        let queries = &fixture.split.test;
        let with = model.query_values(&fixture.dataset, queries, false);
        model.text.border = Border::NONE;
        let without = model.query_values(&fixture.dataset, queries, false);
        let single = model.text.shares.unsqueeze(0).matmul(&model.values).view_as(&with.values.get(0));
        let single = earned(&fixture, &model, &single.unsqueeze(0).expand_as(&with.values));
        let [with, without] = [with, without].map(|found| earned(&fixture, &model, &found.values));
        assert!(without > single, "{without} is no more than {single}");
        // A tenth at most on left-out training queries; these are others.
        assert!(with - single > 0.85 * (without - single), "{with} of {without} beyond {single}");
    }

    #[test]
    fn a_declared_task_is_never_doubted() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        let dataset = with_unfamiliar(&fixture);
        let with = model.query_values(&dataset, &[0, 1], true).values;
        model.text.border.threshold = 1e4;
        assert_eq!(distance(&with, &model.query_values(&dataset, &[0, 1], true).values), 0.0);
    }

    #[test]
    fn without_the_part_every_text_is_of_a_known_task() {
        let (fixture, model) = train(hparams().text, vec![Part::Unfamiliar]);
        let found = model.query_values(&with_unfamiliar(&fixture), &[0], false);
        assert!((found.tasks.sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn at_the_border_a_text_is_as_likely_of_no_task() {
        let like = Tensor::from_slice(&[0.5_f32, 0.1, 0.7, 0.1]).view([2, 2]);
        let known = Border { threshold: 0.5, sharpness: 10.0 }.known(&like);
        assert!((known.double_value(&[0, 0]) - 0.5).abs() < 1e-6);
        assert!((known.double_value(&[1, 0]) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-6);
        assert_eq!(Border::NONE.known(&like).double_value(&[0, 0]), 1.0);
    }

    #[test]
    fn what_a_text_says_beyond_its_task_counts_by_the_square_of_how_familiar_it_is() {
        let (fixture, model) = train(hparams().text, Vec::new());
        let by_task = model.values.zeros_like();
        let queries = fixture.split.test.as_slice();
        let inputs = crate::graph::query::QueryInputs::build(&hparams().text, &fixture.dataset, queries);
        let reading = model.text.forward(&inputs.batch(&(0..queries.len()).collect::<Vec<_>>()));
        let sure = reading.tasks.softmax(-1, Kind::Float);
        let [whole, half] = [1.0, 0.5].map(|known| model.text.values(&reading, &(&sure * known), &by_task));
        assert!(whole.abs().max().double_value(&[]) > 1e-3);
        assert!(distance(&half, &(whole * 0.25)) < 1e-6);
    }
}
