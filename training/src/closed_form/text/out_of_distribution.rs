//! Fits the out-of-distribution gate: texts unlike those of training belong to no known task.
//!
//! A text is out of distribution as far as it is less like the texts of any task than most training queries are like those of
//! theirs, each left out of the regression that measures it. For such a text the means over all training queries replace
//! those of the task, so each user gets its best single LLM; in between, both are blended. The threshold is the quantile of
//! training queries that the constants allow; it is lower only where it would cost too much of what routing earns. No other
//! task's queries are needed, so it works with two tasks as with twenty.

use tch::{Kind, Tensor};

use super::cross_validation::CrossValidation;
use super::task::TaskClassifier;
use crate::closed_form::components::Components;
use crate::closed_form::constants::{
    GATE_MAX_LOSS, GATE_MIN_SPREAD, GATE_SHARE_EMBEDDING, GATE_SHARE_LEXICAL, GATE_STEPS, GATE_WIDTH,
};
use crate::closed_form::model::gate::OutOfDistributionGate;
use crate::graph::query::TextEncoder;

/// Returns `[tasks]`: the shares of tasks among the training queries.
pub fn task_shares(components: &Components) -> Tensor {
    let tasks = components.tasks.one_hot(components.task_count()).to_kind(Kind::Float);
    tasks.mean_dim(0, false, Kind::Float)
}

/// Returns the gate for an encoder's texts; `predicted` are leave-one-out predictions of the effect and cost residuals.
pub fn fit(
    encoder: &TextEncoder,
    (validation, components): (&CrossValidation, &Components),
    classifier: &TaskClassifier,
    predicted: Option<&[Tensor; 2]>,
) -> OutOfDistributionGate {
    let most = match encoder {
        TextEncoder::Lexical(_) => GATE_SHARE_LEXICAL,
        TextEncoder::Embedding => GATE_SHARE_EMBEDDING,
    };
    let mut best = OutOfDistributionGate::OPEN;
    let likeness = classifier.left_out.amax([1].as_slice(), false).to_kind(Kind::Double);
    let spread = likeness.std(false).double_value(&[]);
    if spread < GATE_MIN_SPREAD {
        return best;
    }
    let means = [&components.effect_means, &components.cost_means].map(|means| means.to_kind(Kind::Float)); // [T, L]
    let shares = task_shares(components).unsqueeze(0);
    let [all_effect, all_cost] = means.each_ref().map(|means| shares.matmul(means)); // [1, L]
    let tasks = classifier.logits().softmax(-1, Kind::Float);
    let [task_effect, task_cost] = means.each_ref().map(|means| tasks.matmul(means)); // [Q, L]
    let reward = |gate: OutOfDistributionGate| {
        let known = gate.in_distribution(&classifier.left_out); // [Q, 1]
        let rest: Tensor = 1.0 - &known;
        let mut effect = &task_effect * &known + &rest * &all_effect;
        let mut cost = &task_cost * &known + &rest * &all_cost;
        if let Some([more_effect, more_cost]) = predicted {
            effect += more_effect * known.square();
            cost += more_cost * known.square();
        }
        mean(&validation.reward(&effect, &cost))
    };
    let without = reward(best);
    let single = mean(&validation.reward(&all_effect, &all_cost));
    let least = without - GATE_MAX_LOSS * (without - single).max(0.0);
    for step in 1..=GATE_STEPS {
        let share = most * f64::from(step) / f64::from(GATE_STEPS);
        let threshold = likeness.quantile_scalar(share, None::<i64>, false, "linear").double_value(&[]);
        let gate = OutOfDistributionGate { threshold, sharpness: 1.0 / (GATE_WIDTH * spread) };
        if reward(gate) >= least {
            best = gate;
        }
    }
    best
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
    use crate::model::TaskInput;
    use crate::model::hparams::{Hparams, Part};

    fn train(text: TextEncoder, leave_out: Vec<Part>) -> (Fixture, ClosedForm) {
        let fixture = Fixture::new();
        let dir = tempfile::tempdir().unwrap();
        let hparams = Hparams { text, leave_out, ..hparams() };
        let model = fixture.train_with(&hparams, (dir.path(), Setting::Rewards, false), None).unwrap();
        (fixture, model)
    }

    /// The fixture's data, with a first query that has no word of the others.
    fn with_unknown_text(fixture: &Fixture) -> Dataset {
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
            let found = model.query_values(&with_unknown_text(&fixture), &[0], TaskInput::Inferred);
            assert!(found.tasks.sum(Kind::Float).double_value(&[]) < 0.01, "{text:?}: {}", found.tasks);
            let pooled = model.text.task_shares.unsqueeze(0).matmul(&model.values).view_as(&found.values);
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
    fn on_texts_like_those_of_training_the_gate_loses_little() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        assert_ne!(model.text.gate, OutOfDistributionGate::OPEN);
        let queries = &fixture.split.test;
        let with = model.query_values(&fixture.dataset, queries, TaskInput::Inferred);
        model.text.gate = OutOfDistributionGate::OPEN;
        let without = model.query_values(&fixture.dataset, queries, TaskInput::Inferred);
        let single = model.text.task_shares.unsqueeze(0).matmul(&model.values).view_as(&with.values.get(0));
        let single = earned(&fixture, &model, &single.unsqueeze(0).expand_as(&with.values));
        let [with, without] = [with, without].map(|found| earned(&fixture, &model, &found.values));
        assert!(without > single, "{without} is no more than {single}");
        // A tenth at most on left-out training queries; these are others.
        assert!(with - single > 0.85 * (without - single), "{with} of {without} beyond {single}");
    }

    #[test]
    fn the_gate_does_not_change_a_declared_task() {
        let (fixture, mut model) = train(hparams().text, Vec::new());
        let dataset = with_unknown_text(&fixture);
        let with = model.query_values(&dataset, &[0, 1], TaskInput::Declared).values;
        model.text.gate.threshold = 1e4;
        assert_eq!(distance(&with, &model.query_values(&dataset, &[0, 1], TaskInput::Declared).values), 0.0);
    }

    #[test]
    fn without_the_gate_every_text_is_of_a_known_task() {
        let (fixture, model) = train(hparams().text, vec![Part::OutOfDistribution]);
        let found = model.query_values(&with_unknown_text(&fixture), &[0], TaskInput::Inferred);
        assert!((found.tasks.sum(Kind::Float).double_value(&[]) - 1.0).abs() < 1e-5);
    }

    #[test]
    fn at_the_threshold_the_probability_of_a_known_task_is_one_half() {
        let likeness = Tensor::from_slice(&[0.5_f32, 0.1, 0.7, 0.1]).view([2, 2]);
        let known = OutOfDistributionGate { threshold: 0.5, sharpness: 10.0 }.in_distribution(&likeness);
        assert!((known.double_value(&[0, 0]) - 0.5).abs() < 1e-6);
        assert!((known.double_value(&[1, 0]) - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-6);
        assert_eq!(OutOfDistributionGate::OPEN.in_distribution(&likeness).double_value(&[0, 0]), 1.0);
    }

    #[test]
    fn what_a_text_adds_beyond_its_task_is_weighted_by_the_square_of_the_probability() {
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
