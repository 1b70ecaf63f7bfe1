//! The closed-form estimator: users and answers by alternating least squares and covariance estimation, query text by
//! kernel ridge regression. Nothing here takes a gradient step.
//!
//! [`fit`] is the way in to a model, [`parts`] to what it is made of. [`estimate`] finds users' preference scores and factors and the answers' coefficients
//! ([`components`]), [`text`] fits what query text adds to them, [`adapter`] the posterior by which users unknown to training
//! are embedded, and [`add_llms`] puts LLMs unknown to training beside the others. [`model`] is what comes out.

pub mod constants;

pub mod model;

pub mod components;
pub mod estimate;
pub mod text;

pub mod adapter;
pub mod add_llms;
pub mod new_llm;

#[cfg(test)]
mod tests;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::model::facts::Facts;
use crate::model::fit::{FitInput, Fitted, Progress};
use crate::model::kind::ModelKind;
use crate::model::log::Log;

pub use model::ClosedForm;

use components::{COMPONENTS, Components, Factors};
use model::preference::PreferenceDirection;
use text::TextFit;

/// Estimates a model.
pub fn fit(input: &mut FitInput<'_>) -> Result<ClosedForm> {
    let (components, fitted) = parts(input)?;
    Ok(assemble(input, &components, fitted))
}

/// Estimates users, answers and what query text adds: all that a model is made of.
pub fn parts(input: &mut FitInput<'_>) -> Result<(Components, TextFit)> {
    let components = components(input)?;
    let fitted = text::fit(input, &components);
    let (loss, validation) = (1.0 - fitted.accuracy, fitted.strength);
    input.step(Progress { stage: "queries", epoch: 1, epochs: 1, loss, validation })?;
    Ok((components, fitted))
}

/// Estimates users and answers, or reads what an interrupted run has estimated.
fn components(input: &mut FitInput<'_>) -> Result<Components> {
    let path = input.run_dir.join(COMPONENTS);
    let log = Log::new(input.run_dir)?;
    if input.resume && path.is_file() {
        let kept = Components::load(&path)?;
        let fits = |kept: &Components| kept.scores.numel() == input.interactions.users.len();
        if let Some(kept) = kept.filter(fits) {
            log.keep(1)?;
            return Ok(kept);
        }
    }
    log.keep(0)?;
    let found =
        estimate::estimate((input.dataset, input.interactions), input.setting, &input.hparams.leave_out, input.device);
    found.save(&path)?;
    input.step(Progress { stage: "users", epoch: 1, epochs: 1, loss: found.noise, validation: -found.noise })?;
    Ok(found)
}

/// Puts the parts together: a user embedding is the preference score, and the user factors where there are any.
fn assemble(input: &FitInput<'_>, components: &Components, fitted: TextFit) -> ClosedForm {
    let single = |table: &Tensor| table.to_kind(Kind::Float);
    let coefficients = Tensor::stack(&[&components.effect_means, &components.cost_means], 2); // [T, L, 2]
    let [tasks, llms] = [components.task_count(), components.llms()];
    let [loadings, factors] = match &components.factors {
        Some(Factors { llm_loadings, user_factors }) => [single(llm_loadings), single(user_factors)],
        None => {
            [llms, components.scores.numel() as i64].map(|rows| Tensor::zeros([rows, 0], (Kind::Float, Device::Cpu)))
        }
    };
    let count = loadings.size().last().copied().unwrap_or(0);
    let loadings = loadings.unsqueeze(0).expand([tasks, llms, count], false);
    let values = Tensor::cat(&[single(&coefficients), loadings], 2); // [T, L, 2 + K]
    let unit = Tensor::eye(2 + count, (Kind::Float, Device::Cpu));
    let [effect, cost] = [unit.get(0), unit.get(1)];
    let score = &effect - &cost;
    let weights = Tensor::cat(&[score.unsqueeze(0), unit.narrow(0, 2, count)], 0); // [1 + K, 2 + K]
    let users = Tensor::cat(&[single(&components.scores).unsqueeze(1), factors], 1);
    ClosedForm {
        facts: facts(input, components, &fitted),
        adapter: adapter::fit(components, |scores| single(scores).unsqueeze(1).constant_pad_nd([0, count])),
        weights: (weights, cost.shallow_clone()),
        preference: PreferenceDirection::beside(effect, cost, &values, count),
        values: values.flatten(1, 2),
        text: fitted.text,
        deviation: single(&components.deviation()),
        users,
    }
}

fn facts(input: &FitInput<'_>, components: &Components, fitted: &TextFit) -> Facts {
    input.facts(Fitted {
        model: ModelKind::ClosedForm,
        epochs: 1,
        text_strength: fitted.strength,
        validation: -components.noise,
    })
}
