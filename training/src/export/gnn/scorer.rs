//! The scorer graph of the graph network: that of the closed form, with what a query's length adds.

use personaroute_bundle::manifest::GraphSpec;

use crate::export::closed_form::scorer::{Lengths, Parts, build_parts};
use crate::gnn::Gnn;

/// Returns the file's content.
pub fn build(model: &Gnn, spec: &GraphSpec) -> Vec<u8> {
    let parts = Parts {
        llms: model.facts.llms.len() as i64,
        text: &model.text,
        weights: &model.weights,
        values: &model.values,
        preference: &model.preference,
        own: model.own,
        deviation: &model.level,
        spread: Some(&model.spread),
        lengths: Some(Lengths { table: &model.lengths, values: &model.length_values }),
    };
    build_parts(&parts, spec)
}
