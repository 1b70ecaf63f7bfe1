//! Estimation: messages along the edges of the graph until users, answers and (task, LLM) pairs agree.
//!
//! 1. A rating tells its answer, and answers tell users, by least squares in turns ([`linear`]): exact where all ratings
//!    of an answer lie on a line. Whether they do is judged by masked edges: each rating against what all others say.
//! 2. Where they do not (bandit feedback, noise, tastes), pairs of task and LLM stand in for single answers at first;
//!    then each user hears from every answer what its *other* raters know about it ([`posterior`]).
//! 3. With users in place, answers of a query tell each other what they share, by a covariance of LLMs that is
//!    estimated along the way ([`covariance`]).
//! 4. What users think of LLMs besides ([`factor`]) is taken out of the ratings first where lines fit only then
//!    ([`offset`]), else found in turns with answers ([`alternate`]); masked edges decide whether there is any.

pub mod alternate;
pub mod covariance;
pub mod factor;
pub mod linear;
pub mod offset;
pub mod posterior;
pub mod ratings;

#[cfg(test)]
mod tests;

use tch::{Device, Kind, Tensor};

use crate::closed_form::components::{Components, cell_means};
use crate::data::{Dataset, Interactions, Setting};
use crate::model::hparams::Part;
use crate::model::tensors::from2;

use covariance::Answers;
use linear::Lines;
use posterior::Belief;
use ratings::Observed;

/// Share of rated answers that must have enough ratings to tell whether they lie on a line.
const COVERED: f64 = 0.8;
/// Masked edges may deviate from the lines by this much, in standard deviations of rewards.
const EXACT: f64 = 0.05;
/// Below this, nothing is left that users could think besides.
const PLAIN: f64 = 0.005;
/// Share of the lines' error that must be left where offsets are taken out, for these to be believed.
const BETTER: f64 = 0.7;

/// Returns the components of the interactions' rewards.
///
/// In [`Setting::EffectCost`] the ends are the data's effects and costs, and only positions are estimated.
///
/// Of the parts, [`Part::Covariance`] and [`Part::Tastes`] are left out if `without` says so.
pub fn estimate(
    (dataset, interactions): (&Dataset, &Interactions),
    setting: Setting,
    without: &[Part],
    device: Device,
) -> Components {
    let _guard = tch::no_grad_guard();
    let observed = Observed::new(dataset, interactions, device);
    let (propagate, personal) = (!without.contains(&Part::Covariance), !without.contains(&Part::Tastes));
    let mut components = match setting {
        Setting::EffectCost => {
            let mut components = known(dataset, &observed);
            if personal {
                alternate::add(&observed, &mut components);
            }
            components
        }
        Setting::Rewards => by_rewards(&observed, propagate, personal),
    };
    let unseen = observed.ratings().eq(0.0).to_device(Device::Cpu);
    components.positions = components.positions.masked_fill(&unseen, 0.5).clamp(0.0, 1.0);
    components
}

fn by_rewards(observed: &Observed, propagate: bool, personal: bool) -> Components {
    let lines = linear::fit(observed);
    let covered = lines.covered() >= COVERED;
    if personal && covered && lines.masked > PLAIN {
        let within = offset::fit(observed, &lines);
        if within.masked <= EXACT && within.masked <= BETTER * lines.masked {
            let mut components = by_lines(observed, &within);
            alternate::add(observed, &mut components);
            return components;
        }
    }
    if covered && lines.masked <= EXACT {
        return by_lines(observed, &lines);
    }
    by_covariance(observed, propagate, personal)
}

/// Components of ratings that lie on lines.
fn by_lines(observed: &Observed, lines: &Lines) -> Components {
    let weight = observed.as_rows(&lines.count).gt(0.0).to_kind(Kind::Double).to_device(Device::Cpu);
    let tasks = observed.tasks.to_device(Device::Cpu);
    let cells = |rows: &Tensor| cell_means(rows, &weight, &tasks, observed.task_count);
    let place = |rows: &Tensor| {
        let cells = cells(rows);
        let fallback = cells.index_select(0, &tasks);
        (rows.where_self(&weight.gt(0.0), &fallback), cells)
    };
    let seen = observed.ratings().gt(0.0);
    let (low, high) = linear::ends(&lines.user.masked_select(&seen));
    let at = |end: f64| observed.as_rows(&(&lines.intercept + &lines.slope * end)).to_device(Device::Cpu);
    let mut position = (lines.user.to_device(Device::Cpu) - low) / (high - low).max(1e-12);
    let (mut top, mut bottom) = (at(high), at(low));
    let spread = |rows: &Tensor| spread_in_cells(rows, &cells(rows), &weight, &tasks);
    if spread(&bottom) > spread(&top) {
        std::mem::swap(&mut top, &mut bottom);
        position = 1.0 - position;
    }
    let (top, cell_high) = place(&top);
    let (bottom, cell_low) = place(&bottom);
    let zero =
        linear::cost_end(&(&top - cell_high.index_select(0, &tasks)), &(&bottom - cell_low.index_select(0, &tasks)));
    let bottom = &bottom + (&top - &bottom) * zero;
    let cell_low = &cell_low + (&cell_high - &cell_low) * zero;
    Components {
        queries: observed.queries.clone(),
        tasks,
        positions: (position - zero) / (1.0 - zero),
        high: top * observed.unit,
        low: bottom * observed.unit,
        weight,
        cell_high: cell_high * observed.unit,
        cell_low: cell_low * observed.unit,
        noise: lines.residual * observed.unit,
        tastes: None,
    }
}

/// Mean variance within pairs of task and LLM.
fn spread_in_cells(rows: &Tensor, cells: &Tensor, weight: &Tensor, tasks: &Tensor) -> f64 {
    let error = (rows - cells.index_select(0, tasks)).square() * weight;
    error.sum(Kind::Double).double_value(&[])
}

/// Components of ratings that do not: a few ratings of one LLM each, noise, more than one taste.
fn by_covariance(observed: &Observed, propagate: bool, personal: bool) -> Components {
    let belief = posterior::fit(observed, propagate);
    let answers = covariance::fit(observed, &belief, propagate);
    if !(propagate && personal) {
        return of_answers(observed, &belief, &answers);
    }
    let (belief, answers, tastes) = alternate::fit(observed, belief, answers);
    Components { tastes, ..of_answers(observed, &belief, &answers) }
}

fn of_answers(observed: &Observed, belief: &Belief, answers: &Answers) -> Components {
    let cpu = |tensor: &Tensor| tensor.to_device(Device::Cpu) * observed.unit;
    let tasks = observed.tasks.to_device(Device::Cpu);
    let (cell_high, cell_low) = (cpu(&answers.high), cpu(&answers.low));
    Components {
        queries: observed.queries.clone(),
        positions: belief.position.to_device(Device::Cpu),
        high: cell_high.index_select(0, &tasks) + cpu(&answers.deviation),
        low: cell_low.index_select(0, &tasks),
        weight: answers.weight.to_device(Device::Cpu),
        cell_high,
        cell_low,
        tasks,
        noise: answers.noise * observed.unit,
        tastes: None,
    }
}

/// Components of known effects and costs.
fn known(dataset: &Dataset, observed: &Observed) -> Components {
    let rows: Vec<i64> = observed.queries.iter().map(|&query| i64::from(query)).collect();
    let pick = |array| from2(array, Device::Cpu).to_kind(Kind::Double).index_select(0, &Tensor::from_slice(&rows));
    let (effect, cost) = (pick(&dataset.effect), -pick(&dataset.cost));
    let weight = (&effect + &cost).isnan().logical_not().to_kind(Kind::Double);
    let tasks = observed.tasks.to_device(Device::Cpu);
    let fill = |rows: &Tensor| {
        let rows = rows.nan_to_num(0.0, None, None);
        let cells = cell_means(&rows, &weight, &tasks, observed.task_count);
        (rows.where_self(&weight.gt(0.0), &cells.index_select(0, &tasks)), cells)
    };
    let ((high, cell_high), (low, cell_low)) = (fill(&effect), fill(&cost));
    let flat = |rows: &Tensor| rows.to_device(observed.device()).view([-1]).index_select(0, &observed.slot);
    let (top, bottom) = (flat(&high), flat(&low));
    let reward = &observed.reward * observed.unit;
    let (span, rest) = (&top - &bottom, &reward - &bottom);
    let position = observed.by_user(&(&span * &rest)) / (observed.by_user(&span.square()) + 1e-12);
    let error = rest - position.index_select(0, &observed.user) * span;
    Components {
        queries: observed.queries.clone(),
        tasks,
        positions: position.to_device(Device::Cpu),
        high,
        low,
        weight,
        cell_high,
        cell_low,
        noise: error.square().mean(Kind::Double).sqrt().double_value(&[]),
        tastes: None,
    }
}
