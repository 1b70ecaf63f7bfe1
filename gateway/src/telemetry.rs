//! What operators see: log lines, metrics, health.

pub mod health;
pub mod log;
pub mod learning;
pub mod metrics;
mod labels;
mod consumption;
pub mod usage;
pub mod user_ids;
pub mod trace;

pub use self::{
    health::Health,
    learning::LearningMetrics,
    metrics::Metrics,
    trace::Tracer,
    usage::{UsageTable, Used},
    user_ids::UserIds,
};
