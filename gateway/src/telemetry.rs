//! What operators see: log lines, metrics, health.

pub mod health;
pub mod log;
pub mod metrics;
pub mod usage;

pub use self::{
    health::Health,
    metrics::Metrics,
    usage::{UsageTable, Used},
};
