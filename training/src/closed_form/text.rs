//! Fits the query node: the task it guesses, and what the text foretells beyond it.
//!
//! The second part is small and easily imagined, so it must not do harm: if the choices it would have made on left-out
//! queries lose reward by clearly more than chance, it stays out of the model. Neither speaks about texts of no known task.

pub mod cross_validation;
pub mod kernel;
pub mod out_of_distribution;
pub mod predict;
pub mod ridge;
pub mod shape;
pub mod task;

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::Components;
use crate::closed_form::model::text::{Border, FrozenText, Input};
use crate::closed_form::text::cross_validation::Judge;
use crate::closed_form::text::kernel::Features;
use crate::closed_form::text::out_of_distribution::Unfamiliar;
use crate::closed_form::text::predict::{Foresight, TASK_SHARE};
use crate::closed_form::text::task::Guess;
use crate::graph::query::QueryInputs;
use crate::graph::query::TextEncoder;
use crate::model::fit::FitInput;
use crate::model::hparams::Part;
use crate::model::rng::Rng;

/// Most queries in the ridge regressions, whose cost grows with the cube.
const MOST_QUERIES: usize = 6_000;
/// Standard errors by which left-out choices must be worse before the text is left out.
const HARM: f64 = 2.0;
/// Most elements of the table, a byte each: the scorer stays under 5 MB.
const MOST_ELEMENTS: i64 = 4_600_000;

/// A fitted query node.
#[derive(Debug)]
pub struct Fitted {
    /// For the model.
    pub text: FrozenText,
    /// How strongly the LLMs' own part enters, 0 to 1.
    pub strength: f64,
    /// Share of left-out queries whose task was guessed.
    pub accuracy: f64,
}

/// Returns the query node.
pub fn fit(input: &FitInput<'_>, components: &Components) -> Fitted {
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
    let guess = task::fit(&input.hparams.text, &kernel, &tasks);
    let foresight = Foresight::fit(components, &rows, &kernel, without);
    drop(kernel);
    let judge = Judge::new(components, &rows);
    let foresight = Some(foresight).filter(|foresight| !harms(&judge, components, &rows, foresight));
    let mut unfamiliar = Unfamiliar::new(components);
    if !without.contains(&Part::Unfamiliar) {
        let foretold = foresight.as_ref().map(|foresight| &foresight.left_out);
        unfamiliar.fit(&input.hparams.text, (&judge, components), &guess, foretold);
    }
    let accuracy = guess.accuracy;
    Fitted {
        strength: foresight.as_ref().map_or(0.0, |foresight| foresight.strength[0]),
        text: assemble(&features, (&tasks, components.llms()), guess, (unfamiliar, foresight)),
        accuracy,
    }
}

/// Returns the positions of all queries, or of a random subset in order.
fn subset(count: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..count).collect();
    if count > MOST_QUERIES {
        Rng::new(seed, &[5]).shuffle(&mut rows);
        rows.truncate(MOST_QUERIES);
        rows.sort_unstable();
    }
    rows
}

/// Returns whether choices by left-out predictions are worse than choices by task alone, by more than chance.
fn harms(judge: &Judge, components: &Components, rows: &Tensor, foresight: &Foresight) -> bool {
    let tasks = components.tasks.index_select(0, rows);
    let [high, low] =
        [&components.cell_high, &components.cell_low].map(|table| table.index_select(0, &tasks).to_kind(Kind::Float));
    let [more_high, more_low] = &foresight.left_out;
    let gain = judge.reward(&(&high + more_high), &(&low + more_low)) - judge.reward(&high, &low);
    let count = rows.size().first().copied().unwrap_or(0);
    let chance = if count > 1 { gain.std(true).double_value(&[]) / (count as f64).sqrt() } else { 0.0 };
    gain.mean(Kind::Double).double_value(&[]) < -HARM * chance
}

/// Puts the task's columns and what the text foretells into one table.
fn assemble(
    features: &Features,
    (tasks, llms): (&Tensor, i64),
    guess: Guess,
    (unfamiliar, foresight): (Unfamiliar, Option<Foresight>),
) -> FrozenText {
    let count = tasks.size().last().copied().unwrap_or(1);
    let Some(foresight) = foresight else {
        let ease = guess.solution.zeros_like();
        let tables = features.tables(&Tensor::cat(&[&guess.solution, &ease], 1));
        return silent(Input::of(tables), (guess.mean, guess.map), llms, (unfamiliar.shares, unfamiliar.border));
    };
    let by_task = tasks * TASK_SHARE + (1.0 - TASK_SHARE);
    let ease = &foresight.ease * by_task; // [Q, T]
    let buckets = match features {
        Features::Lexical(lexicon) => lexicon.buckets(),
        Features::Embedding(_) => 1,
    };
    let room = MOST_ELEMENTS / (buckets + 1) - 2 * count;
    let (low, low_blocks) = own(&foresight.low, tasks, if foresight.strength[1] > 0.0 { room / 2 } else { 0 });
    let left = room - low.size().last().copied().unwrap_or(0);
    let (high, high_blocks) = own(&foresight.high, tasks, if foresight.strength[0] > 0.0 { left } else { 0 });
    let joined = Tensor::cat(&[guess.solution, ease, high, low], 1);
    FrozenText {
        input: Input::of(features.tables(&joined)),
        task: guess.mean,
        map: guess.map,
        slopes: foresight.slopes,
        ceiling: foresight.ceiling,
        blocks: [high_blocks, low_blocks],
        shared: foresight.shared,
        shares: unfamiliar.shares,
        border: unfamiliar.border,
    }
}

/// A query node that only guesses tasks.
fn silent(input: Input, (task, map): (Tensor, Tensor), llms: i64, (shares, border): (Tensor, Border)) -> FrozenText {
    let tasks = shares.numel() as i64;
    let none = |width: i64| Tensor::zeros([tasks, width], (Kind::Float, Device::Cpu));
    FrozenText {
        input,
        task,
        map,
        slopes: none(llms),
        ceiling: none(llms),
        blocks: [none(0), none(0)],
        shared: 0.0,
        shares,
        border,
    }
}

/// Returns columns `[queries, blocks · llms]` of a solution, and which blocks speak for a task: one block for all tasks,
/// then one for each of the tasks with the most to say, as far as there is room for columns.
fn own(solution: &Tensor, tasks: &Tensor, room: i64) -> (Tensor, Tensor) {
    let (queries, llms) = solution.size2().unwrap_or((0, 1));
    let count = tasks.size().last().copied().unwrap_or(1);
    let options = (Kind::Float, Device::Cpu);
    let blocks = (room / llms.max(1)).min(count + 1);
    if blocks < 1 {
        return (Tensor::zeros([queries, 0], options), Tensor::zeros([count, 0], options));
    }
    let weight = tasks.tr().matmul(&solution.square().sum_dim_intlist(1, false, Kind::Float));
    let loudest = weight.argsort(0, true);
    let mut columns = vec![solution * (1.0 - TASK_SHARE)];
    let speaks = Tensor::zeros([count, blocks], options);
    let _ = speaks.select(1, 0).fill_(1.0);
    for block in 1..blocks {
        let task = loudest.int64_value(&[block - 1]);
        columns.push(solution * tasks.select(1, task).unsqueeze(1) * TASK_SHARE);
        let _ = speaks.get(task).get(block).fill_(1.0);
    }
    (Tensor::cat(&columns, 1), speaks)
}
