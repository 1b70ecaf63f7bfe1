//! The gateway's configuration: YAML in, checked types out.
//!
//! `raw` is what is written, with defaults filled in; [`Config`] is what the rest of the gateway uses. Each section has a file
//! that checks it, and `check` has the rules that take several sections. `raw` contains no secrets, only references to them.

pub mod raw;
pub mod position;
pub mod located;
pub mod duration;
pub mod size;
pub mod error;
pub mod secret;
mod range;
mod header;
mod percent;
mod folder;
pub mod limits;
pub mod router;
pub mod resilience;
pub mod client_tls;
pub mod upstream;
pub mod model;
pub mod auth;
pub mod cors;
pub mod state;
pub mod learning;
pub mod tls;
pub mod log;
pub mod traces;
mod check;
pub mod overrides;
pub mod file_stamp;
pub mod load;
mod keys_file;
pub mod schema;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

pub use self::{
    auth::{Auth, Budget, Key, Period, Quota},
    client_tls::ClientTls,
    cors::Cors,
    error::{Error, Fault, Rejection},
    learning::{Learning, LearningStore},
    limits::{Limits, Timeouts},
    load::{Loaded, load, parse},
    log::{Log, LogFormat, LogUsers},
    model::{Model, VirtualModel},
    overrides::Overrides,
    position::Position,
    resilience::{Breaker, Hedge, Probe, Retry},
    router::{Provider, Router},
    secret::{Env, Secret},
    state::{Login, Node, SharedStore, State, Topology},
    tls::{ClientCertificate, Tls},
    traces::{Sampling, Traces},
    upstream::{Kind, OutputLimit, ResponsesApi, Upstream},
};

/// A configuration that was checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests are accepted.
    pub listen: SocketAddr,
    /// Where health, metrics and usage are served; none when switched off.
    pub admin: Option<SocketAddr>,
    /// The bearer token of the admin listener; none only if it listens on loopback.
    pub admin_token: Option<Secret>,
    /// The certificates of the listener; none speaks plain HTTP.
    pub tls: Option<Tls>,
    /// The files from which the configuration was made, with their stamps from before they were read.
    pub files: file_stamp::FileStamps,
    /// Who may call.
    pub auth: Auth,
    /// Which pages of other origins may call; none if none may.
    pub cors: Option<Cors>,
    /// Where spending is kept.
    pub state: State,
    /// What is learned from users; none when switched off.
    pub learning: Option<Learning>,
    /// Sizes and counts.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How failed attempts are retried.
    pub retry: Retry,
    /// When a request is sent to a second endpoint; none never does.
    pub hedge: Option<Hedge>,
    /// When the circuit of an endpoint opens.
    pub breaker: Breaker,
    /// What a decision may use.
    pub router: Router,
    /// How log lines look.
    pub log: Log,
    /// Where traces are sent; none when off.
    pub traces: Option<Traces>,
    /// The services that answer, by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// The LLMs, in the order of the file.
    pub models: Vec<Model>,
    /// The model names that are routed.
    pub virtual_models: Vec<VirtualModel>,
}

impl Config {
    /// Refuses a virtual model whose task is not in the bundle, whose tasks are `known`.
    ///
    /// # Errors
    ///
    /// Fails for the first one, with its position in the file.
    pub fn check_tasks<'a>(&self, known: impl Iterator<Item = &'a str> + Clone) -> Result<(), Rejection> {
        for model in &self.virtual_models {
            if let Some(task) = model.policy.task.as_deref().filter(|task| !known.clone().any(|name| name == *task)) {
                let known = known.collect::<Vec<_>>().join(", ");
                let fault = Fault::Unknown { what: "task", name: task.to_owned(), known };
                return Err(Rejection { position: model.task_position, fault });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
