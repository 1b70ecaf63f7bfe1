//! What is written in the file, with the defaults filled in and the position of each value that can be refused.

mod auth;
mod cors;
mod hints;
mod learning;
mod limits;
mod models;
mod resilience;
mod router;
mod state;
mod telemetry;
mod tls;
mod upstream;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    auth::{Auth, AuthMode, Budget, Key, Quota},
    cors::Cors,
    learning::Learning,
    limits::{Limits, Timeouts},
    models::{Constraints, Exploration, ExplorationMode, Model, Stickiness, VirtualModel},
    resilience::{Breaker, Hedge, Probe, Retry},
    router::{Plugin, Provider, Router},
    state::{SharedStore, State, Urls},
    telemetry::{Log, LogFormat, Traces, UserIds},
    tls::{ClientCertificate, Tls},
    upstream::{HIDDEN, HeaderText, Kind, OutputLimit, ResponsesApi, Upstream},
};
use super::located::Located;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of the layout.
    #[schemars(range(min = 1, max = 1))]
    pub version: Located<u32>,
    /// Where requests are accepted.
    #[serde(default = "default_listen")]
    pub listen: Located<SocketAddr>,
    /// Without it the listener speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where health, metrics and usage are served; `null` switches the admin listener off.
    #[serde(default = "default_admin")]
    pub admin: Option<Located<SocketAddr>>,
    /// The bearer token of `/metrics` and `/usage`, as a reference such as `${ADMIN_TOKEN}`. Needed unless `admin` is a
    /// loopback address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<Located<String>>,
    /// `default`, which is the bundle embedded in the program, or a folder relative to this file.
    #[serde(default = "default_bundle")]
    pub bundle: PathBuf,
    #[serde(default)]
    pub plugin: Plugin,
    /// ONNX Runtime's shared library; by default the one that is installed with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onnxruntime: Option<PathBuf>,
    /// Folder of the text encoder, in place of the bundle's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PathBuf>,
    #[serde(default)]
    pub router: Router,
    pub upstreams: Located<Vec<Upstream>>,
    pub models: Located<Vec<Model>>,
    #[serde(default)]
    pub virtual_models: Vec<VirtualModel>,
    #[serde(default)]
    pub auth: Auth,
    /// Without this section no page of another origin may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub learning: Learning,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default)]
    pub retry: Retry,
    /// Hedging is off without this section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    #[serde(default)]
    pub breaker: Breaker,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub traces: Traces,
}

fn default_listen() -> Located<SocketAddr> {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)).into()
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn default_admin() -> Option<Located<SocketAddr>> {
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)).into())
}

fn default_bundle() -> PathBuf {
    PathBuf::from("default")
}
