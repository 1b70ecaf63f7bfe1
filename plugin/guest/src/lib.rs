//! The routing plugin: scores candidate LLMs for a user and a query, and ranks them by policy.
//!
//! Everything here is plain Rust with native tests; [`route`] and [`adapt`] say in order what happens to a call. The
//! component's bindings exist on WASM alone. The plugin keeps nothing between calls.

#[cfg(target_family = "wasm")]
mod component;

pub mod adapt;
pub mod features;
pub mod host;
pub mod model;
pub mod policy;
pub mod route;
pub mod validate;
pub mod why;

#[cfg(test)]
mod fake;
