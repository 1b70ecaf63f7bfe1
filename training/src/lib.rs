//! Offline half of PersonaRoute: data in, a trained router out, measured and written as a model bundle.

pub mod data;
pub mod export;
pub mod graph;
pub mod model;
pub mod train;

pub mod baseline;
pub mod cli;
pub mod command;
pub mod config;
pub mod eval;
pub mod report;
pub mod vote;
