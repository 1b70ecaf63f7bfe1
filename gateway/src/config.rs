//! The gateway's configuration: YAML in, checked types out.
//!
//! `raw` is what is written, defaults filled in; [`Config`] is what the rest of the gateway trusts. Only `check` knows
//! both. Secrets are never in `raw`: it holds their references.

pub mod raw;
pub mod auth;
pub mod traces;
mod store_url;
pub mod shared;
pub mod error;
pub mod secret;
pub mod load;
mod check;
mod find;
mod keys_file;
pub mod overrides;
pub mod look;
pub mod duration;
pub mod size;
pub mod schema;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};

use http::Uri;

pub use self::{
    auth::{Auth, Key},
    error::{Error, Fault, Place},
    load::{Loaded, load, parse},
    overrides::Overrides,
    raw::{
        Breaker, Budget, Hedge, Kind, Limits, Log, LogFormat, OutputLimit, Period, Probe, Quota, Retry, Router,
        Timeouts, Tls,
    },
    secret::Secret,
    shared::{SharedStore, Topology},
    store_url::{Login, Node},
    traces::{Sampling, Traces},
};
use crate::decide::{Capability, Policy};

/// A configuration that was checked as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests are accepted.
    pub listen: SocketAddr,
    /// Where health and metrics are served; none when switched off.
    pub admin: Option<SocketAddr>,
    /// The certificates of the listener; none speaks plain HTTP.
    pub tls: Option<Tls>,
    /// The files that the configuration was made of, as they looked before.
    pub files: look::Looks,
    /// Who may call.
    pub auth: Auth,
    /// What outlives the process.
    pub state: State,
    /// Limits, one key each.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// How failed attempts are repeated elsewhere.
    pub retry: Retry,
    /// When a second place is asked because the first is slow; none never does.
    pub hedge: Option<Hedge>,
    /// When an upstream that fails is left alone.
    pub breaker: Breaker,
    /// What a decision may use.
    pub router: Router,
    /// How log lines look.
    pub log: Log,
    /// Where traces go; none when off.
    pub traces: Option<Traces>,
    /// The services that answer, by name.
    pub upstreams: BTreeMap<String, Arc<Upstream>>,
    /// The LLMs, in the order of the file.
    pub models: Vec<Model>,
    /// The model names that are routed.
    pub virtual_models: Vec<VirtualModel>,
}

impl Config {
    /// Refuses a virtual model whose task is none of `known`, those of the bundle.
    ///
    /// # Errors
    ///
    /// Fails for the first one, naming its place in the file.
    pub fn check_tasks<'a>(&self, known: impl Iterator<Item = &'a str> + Clone) -> Result<(), (Place, Fault)> {
        for model in &self.virtual_models {
            if let Some(task) = model.policy.task.as_deref().filter(|task| !known.clone().any(|name| name == *task)) {
                let known = known.collect::<Vec<_>>().join(", ");
                return Err((model.place, Fault::Unknown { what: "task", name: task.to_owned(), known }));
            }
        }
        Ok(())
    }
}

/// What keeps spending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The file that keeps what was spent; none forgets with the process.
    pub file: Option<PathBuf>,
    /// The store that several gateways share; none keeps budgets alone.
    pub shared: Option<SharedStore>,
}

/// A service that answers for one or more LLMs.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Its name in logs, metrics and model entries.
    pub name: String,
    /// Which protocol it speaks.
    pub kind: Kind,
    /// Where it is; none for the simulated kind.
    pub base_url: Option<Uri>,
    /// The key it is called with; none forwards the client's own credentials.
    pub api_key: Option<Secret>,
    /// Headers added to each call.
    pub headers: BTreeMap<String, String>,
    /// How it is probed between requests; none is not.
    pub health: Option<Probe>,
    /// The field that limits the output of requests that are translated for it.
    pub output_limit: OutputLimit,
    /// Pause between the chunks of a simulated answer.
    pub chunk_delay: std::time::Duration,
}

/// An LLM and one place that serves it. Entries with the same `llm` are endpoints of one LLM.
#[derive(Debug, Clone)]
pub struct Model {
    /// Where the entry stands in the file.
    pub place: Place,
    /// The id in the bundle's catalog.
    pub llm: String,
    /// The upstream that serves it.
    pub upstream: Arc<Upstream>,
    /// What the upstream calls it.
    pub name: String,
    /// USD per million input tokens, in place of the catalog's.
    pub input_price: Option<f32>,
    /// USD per million output tokens, in place of the catalog's.
    pub output_price: Option<f32>,
    /// USD per million cached input tokens, in place of the catalog's.
    pub cached_input_price: Option<f32>,
    /// Most tokens of prompt and answer, in place of the catalog's.
    pub context_window: Option<u32>,
    /// What the LLM can do, in place of the catalog's.
    pub capabilities: Option<Vec<Capability>>,
    /// Where it runs, for constraints.
    pub region: Option<String>,
}

/// A model name that is routed.
#[derive(Debug, Clone)]
pub struct VirtualModel {
    /// Where the entry stands in the file.
    pub place: Place,
    /// What decides.
    pub policy: Arc<Policy>,
}

#[cfg(test)]
mod tests;
