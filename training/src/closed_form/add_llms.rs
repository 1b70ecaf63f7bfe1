//! LLMs that training has not seen enter a trained model: from their prices, and from what users rated of their answers.

use anyhow::{Result, ensure};
use tch::Kind;

use super::adapter::{self, on_direction};
use super::components::Components;
use super::model::ClosedForm;
use super::model::columns::{Column, NewColumn};
use super::new_llm::estimate::{KnownLlms, NewLlm, extended};
use super::new_llm::{log_price, rating};
use crate::model::columns::{LlmColumn, LlmColumns};

/// Estimates of the new LLMs, in the order of their columns, and what they were made from.
struct Added {
    model: ClosedForm,
    components: Components,
    found: Vec<NewLlm>,
}

/// Returns the model over other LLMs; its adapter does not read ratings of the new ones.
pub fn with_llms(model: &ClosedForm, llms: LlmColumns<'_>) -> Result<ClosedForm> {
    Ok(add(model, llms)?.model)
}

/// Returns the model over all trained LLMs, in their order, and new ones behind them; its adapter reads ratings of all.
pub fn with_llms_and_adapter(model: &ClosedForm, llms: LlmColumns<'_>) -> Result<ClosedForm> {
    let trained = model.facts.llms.len();
    let expected = |(at, column): (usize, &LlmColumn)| {
        matches!(column, LlmColumn::Trained(known) if *known == at) == (at < trained)
    };
    ensure!(llms.columns.iter().enumerate().all(expected), "new LLMs must stand behind all {trained} trained ones");
    let Added { mut model, components, found } = add(model, llms)?;
    let origin = model.users.mean_dim(0, false, Kind::Float);
    model.adapter = adapter::fit(&extended(&components, &found), |scores| {
        on_direction(scores, &origin, &model.weights, &model.preference)
    });
    Ok(model)
}

fn add(model: &ClosedForm, llms: LlmColumns<'_>) -> Result<Added> {
    let components = Components::of_run(llms.run)?;
    let prices: Vec<f64> = model.facts.llms.iter().map(|llm| log_price(llm.input_price, llm.output_price)).collect();
    let known = KnownLlms::new(&components, &prices)?;
    let ratings = rating::by_llm(&components, llms.ratings, llms.columns.len());
    let (mut columns, mut found) = (Vec::new(), Vec::new());
    for (column, ratings) in llms.columns.iter().zip(&ratings) {
        columns.push(match column {
            LlmColumn::Trained(at) => Column::Known(*at),
            LlmColumn::New(llm) => {
                let estimate = known.estimate(log_price(llm.input_price, llm.output_price), ratings);
                let NewLlm { effect, cost, deviation, .. } = estimate.clone();
                found.push(estimate);
                Column::New(NewColumn { llm: llm.clone(), effect, cost, deviation })
            }
        });
    }
    Ok(Added { model: model.with_columns(&columns)?, components, found })
}
