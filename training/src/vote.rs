//! Learning from votes: a penalised logistic model of who wins, its baselines, and the router it becomes.
//!
//! The left answer wins with probability `σ(position bias + strength(left) − strength(right))`. A strength is a sum of blocks,
//! from the population's strength of an LLM to one user's deviation on one task; the position bias is a nuisance of the user.
//! Each block has its own ridge, chosen on training votes only.

pub mod baseline;
pub mod design;
pub mod score;
pub mod serve;
pub mod solve;
pub mod tune;

#[cfg(test)]
mod tests;
