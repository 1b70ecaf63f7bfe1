//! Offline half of PersonaRoute: data in, a trained router out, measured and written as a model bundle.
//!
//! Modules stand in the order of their layers: a lower one never names a higher one.

pub mod data;
pub mod graph;
pub mod model;

pub mod closed_form;
pub mod gnn;
pub mod train;

pub mod eval;
pub mod vote;

pub mod baseline;

pub mod export;
pub mod report;

pub mod cli;
pub mod command;
pub mod config;

#[cfg(test)]
pub(crate) mod fixture;
