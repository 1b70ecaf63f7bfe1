//! What operators see: log lines, metrics, health.

pub mod health;
pub mod log;
pub mod metrics;

pub use self::{health::Health, metrics::Metrics};
