//! The routing plugin: scores candidate LLMs for a user and a query, and ranks them by policy.
//!
//! All modules but `component`, the bindings, are plain Rust with native tests. [`route`] and [`adapt`] list the steps of
//! the two kinds of call. The plugin keeps no state between calls.

#[cfg(target_family = "wasm")]
mod component;

pub mod adapt;
pub mod explain;
pub mod features;
pub mod host;
pub mod model;
pub mod policy;
pub mod route;
pub mod validate;

#[cfg(test)]
mod fake;
