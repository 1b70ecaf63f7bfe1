//! Learning from votes: a penalised logistic model of who wins, its yardsticks, and the router it becomes.
//!
//! The chance that the left answer wins is `σ(position + strength(left) − strength(right))`. A strength is a sum of
//! blocks, from what everybody thinks of an LLM to what one user thinks of it on one task; the position is a habit of
//! the user and says nothing about answers. Each block has a ridge of its own, chosen on training votes only.

pub mod baseline;
pub mod design;
pub mod score;
pub mod serve;
pub mod solve;
pub mod tune;

#[cfg(test)]
mod tests;
