//! The state of one configuration, which a reload replaces as a whole.

use std::sync::Arc;

use super::retry::RetryBudget;
use crate::{
    config::{Config, file_stamp::FileStamps},
    routing::RoutePool,
    upstream::ModelRegistry,
};

/// The snapshot that a request uses from start to end.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration.
    pub config: Config,
    /// The LLMs and virtual models.
    pub models: ModelRegistry,
    /// Runs the router.
    pub routing: RoutePool,
    /// The retry budget.
    pub retry_budget: RetryBudget,
    /// TLS of new connections; none for plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The files from which it was made, with their stamps from before they were read.
    pub files: FileStamps,
}
