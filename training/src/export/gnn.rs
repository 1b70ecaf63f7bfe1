//! The two graphs of the graph network.

pub mod adapter;
pub mod scorer;
