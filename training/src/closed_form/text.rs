//! Fits the text part: the task classifier, the text model, and the gate for texts of no known task.
//!
//! The text model predicts little and must not do harm: if the choices it would have made on left-out queries lose reward by
//! clearly more than chance, it is dropped.

pub mod shape;

pub mod kernel;
pub mod ridge;

pub mod cross_validation;
pub mod out_of_distribution;
pub mod predict;
pub mod task;

use tch::{Device, Kind, Tensor};

use super::components::Components;
use super::constants::{MAX_KERNEL_QUERIES, MAX_TEXT_TABLE, TASK_SHARE, TEXT_STANDARD_ERRORS};
use super::model::feature_table::FeatureTable;
use super::model::gate::OutOfDistributionGate;
use super::model::text::TextScorer;
use crate::graph::query::{QueryInputs, TextEncoder};
use crate::model::fit::FitInput;
use crate::model::hparams::Part;
use crate::model::rng::Rng;

use cross_validation::CrossValidation;
use kernel::Features;
use predict::TextModel;
use task::TaskClassifier;

/// A fitted text part.
#[derive(Debug)]
pub struct TextFit {
    /// For the model.
    pub text: TextScorer,
    /// Weight of the prediction by LLM, 0 to 1.
    pub strength: f64,
    /// Share of left-out queries whose task was predicted.
    pub accuracy: f64,
    /// Rows of the components that were fitted, and what text adds to effect and cost coefficients there, `[rows, llms]` each,
    /// as if it had been fitted without them.
    pub left_out: Option<(Tensor, [Tensor; 2])>,
}

/// Fits the text part.
pub fn fit(input: &FitInput<'_>, components: &Components) -> TextFit {
    let _guard = tch::no_grad_guard();
    let inputs = QueryInputs::build(&input.hparams.text, input.dataset, &components.queries);
    let picked = subset(inputs.len(), input.seed);
    let lexical = match input.hparams.text {
        TextEncoder::Lexical(lexical) => Some(lexical),
        TextEncoder::Embedding => None,
    };
    let without = &input.hparams.leave_out;
    let features = Features::new(&inputs, &picked, lexical, !without.contains(&Part::Shape));
    let rows: Vec<i64> = picked.iter().map(|&row| row as i64).collect();
    let rows = Tensor::from_slice(&rows);
    let kernel = features.kernel();
    let tasks = components.tasks.index_select(0, &rows).one_hot(components.task_count()).to_kind(Kind::Float);
    let classifier = task::fit(&input.hparams.text, &kernel, &tasks);
    let model = TextModel::fit(components, &rows, &kernel, without);
    drop(kernel);
    let validation = CrossValidation::new(components, &rows);
    let model = Some(model).filter(|model| !harms(&validation, components, &rows, model));
    let gate = match without.contains(&Part::OutOfDistribution) {
        true => OutOfDistributionGate::OPEN,
        false => {
            let predicted = model.as_ref().map(|model| &model.left_out);
            out_of_distribution::fit(&input.hparams.text, (&validation, components), &classifier, predicted)
        }
    };
    let task_shares = out_of_distribution::task_shares(components);
    let accuracy = classifier.accuracy;
    let left_out =
        model.as_ref().map(|model| (rows.shallow_clone(), model.left_out.each_ref().map(Tensor::shallow_clone)));
    TextFit {
        strength: model.as_ref().map_or(0.0, |model| model.strength[0]),
        text: match model {
            Some(model) => assemble(&features, (&tasks, components.llms()), classifier, model, (task_shares, gate)),
            None => tasks_only(&features, components.llms(), classifier, (task_shares, gate)),
        },
        accuracy,
        left_out,
    }
}

/// Returns the positions of all queries, or of a random subset in order.
fn subset(count: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..count).collect();
    if count > MAX_KERNEL_QUERIES {
        Rng::new(seed, &[5]).shuffle(&mut rows);
        rows.truncate(MAX_KERNEL_QUERIES);
        rows.sort_unstable();
    }
    rows
}

/// Returns whether choices by left-out predictions are worse than choices by task alone, by more than chance.
fn harms(validation: &CrossValidation, components: &Components, rows: &Tensor, model: &TextModel) -> bool {
    let tasks = components.tasks.index_select(0, rows);
    let [effect, cost] = [&components.effect_means, &components.cost_means]
        .map(|table| table.index_select(0, &tasks).to_kind(Kind::Float));
    let [more_effect, more_cost] = &model.left_out;
    let gain = validation.reward(&(&effect + more_effect), &(&cost + more_cost)) - validation.reward(&effect, &cost);
    let count = rows.size().first().copied().unwrap_or(0);
    let standard_error = if count > 1 { gain.std(true).double_value(&[]) / (count as f64).sqrt() } else { 0.0 };
    gain.mean(Kind::Double).double_value(&[]) < -TEXT_STANDARD_ERRORS * standard_error
}

/// Puts the columns of the task classifier and of the text model into one table.
fn assemble(
    features: &Features,
    (tasks, llms): (&Tensor, i64),
    classifier: TaskClassifier,
    model: TextModel,
    (task_shares, gate): (Tensor, OutOfDistributionGate),
) -> TextScorer {
    let count = tasks.size().last().copied().unwrap_or(1);
    let by_task = tasks * TASK_SHARE + (1.0 - TASK_SHARE);
    let difficulty = &model.difficulty * by_task; // [Q, T]
    let buckets = match features {
        Features::Lexical(lexical) => lexical.buckets(),
        Features::Embedding(_) => 1,
    };
    let room = MAX_TEXT_TABLE / (buckets + 1) - 2 * count;
    let [effect_strength, cost_strength] = model.strength;
    let cost_room = if cost_strength > 0.0 { room / 2 } else { 0 };
    let (cost, cost_blocks) = by_llm(&model.cost, (tasks, llms), cost_room);
    let left = room - cost.size().last().copied().unwrap_or(0);
    let effect_room = if effect_strength > 0.0 { left } else { 0 };
    let (effect, effect_blocks) = by_llm(&model.effect, (tasks, llms), effect_room);
    let joined = Tensor::cat(&[classifier.solution, difficulty, effect, cost], 1);
    TextScorer {
        features: FeatureTable::of(features.weights_of(&joined)),
        task_bias: classifier.mean,
        task_map: classifier.map,
        slopes: model.slopes,
        slope_limit: model.slope_limit,
        blocks: [effect_blocks, cost_blocks],
        cost_share: model.cost_share,
        task_shares,
        gate,
    }
}

/// Returns a text part that only infers tasks.
fn tasks_only(
    features: &Features,
    llms: i64,
    classifier: TaskClassifier,
    (task_shares, gate): (Tensor, OutOfDistributionGate),
) -> TextScorer {
    let tasks = task_shares.numel() as i64;
    let none = |width: i64| Tensor::zeros([tasks, width], (Kind::Float, Device::Cpu));
    let joined = Tensor::cat(&[&classifier.solution, &classifier.solution.zeros_like()], 1);
    TextScorer {
        features: FeatureTable::of(features.weights_of(&joined)),
        task_bias: classifier.mean,
        task_map: classifier.map,
        slopes: none(llms),
        slope_limit: none(llms),
        blocks: [none(0), none(0)],
        cost_share: 0.0,
        task_shares,
        gate,
    }
}

/// Returns columns `[queries, blocks · llms]` of a solution, and which blocks apply to a task `[tasks, blocks]`: one block
/// for all tasks, then one for each of the tasks with the largest solutions, as far as there is room for columns.
fn by_llm(solution: &Tensor, (tasks, llms): (&Tensor, i64), room: i64) -> (Tensor, Tensor) {
    let queries = solution.size().first().copied().unwrap_or(0);
    let count = tasks.size().last().copied().unwrap_or(1);
    let options = (Kind::Float, Device::Cpu);
    let blocks = (room / llms.max(1)).min(count + 1);
    if blocks < 1 {
        return (Tensor::zeros([queries, 0], options), Tensor::zeros([count, 0], options));
    }
    let size = tasks.tr().matmul(&solution.square().sum_dim_intlist(1, false, Kind::Float));
    let largest = size.argsort(0, true);
    let mut columns = vec![solution * (1.0 - TASK_SHARE)];
    let applies = Tensor::zeros([count, blocks], options);
    let _ = applies.select(1, 0).fill_(1.0);
    for block in 1..blocks {
        let task = largest.int64_value(&[block - 1]);
        columns.push(solution * tasks.select(1, task).unsqueeze(1) * TASK_SHARE);
        let _ = applies.get(task).get(block).fill_(1.0);
    }
    (Tensor::cat(&columns, 1), applies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_picks_the_queries_of_a_large_kernel() {
        let count = MAX_KERNEL_QUERIES + 500;
        assert_eq!(subset(count, 1), subset(count, 1));
        assert_ne!(subset(count, 1), subset(count, 2));
        assert_eq!(subset(count, 1).len(), MAX_KERNEL_QUERIES);
        // A smaller kernel has all queries, whatever the seed.
        assert_eq!(subset(50, 1), subset(50, 2));
    }
}
