//! The two graphs of the closed-form model.

pub mod adapter;
pub mod factor;
pub mod scorer;
