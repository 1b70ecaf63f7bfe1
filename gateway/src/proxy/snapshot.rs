//! Everything a request needs that a reload replaces as a whole.

use std::sync::Arc;

use super::retry::RetryBudget;
use crate::{
    config::{Config, look::Looks},
    routing::RoutePool,
    upstream::ModelRegistry,
};

/// One configuration at work.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration.
    pub config: Config,
    /// The LLMs and virtual models.
    pub models: ModelRegistry,
    /// The router's threads.
    pub routing: RoutePool,
    /// What retries may cost.
    pub retry_budget: RetryBudget,
    /// TLS of connections that begin; none speaks plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The files it was made of, as they looked before.
    pub files: Looks,
}
