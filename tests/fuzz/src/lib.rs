//! What must hold for any input, whoever wrote it: one module for each fuzz target.
//!
//! `cargo xtask fuzz TARGET` looks for inputs that break one of these; those that did are kept in `corpus/`, which the
//! integration tests read every time.

pub mod sse;
pub mod body;
pub mod translate;
pub mod config;
