//! What is written in the file, with the defaults filled in.

mod auth;
mod tls;
mod resilience;
mod state;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

pub use self::{
    auth::{Auth, AuthMode, Budget, Key, Period, Quota},
    resilience::{Breaker, Hedge, Probe, Retry},
    state::{SharedStore, State},
    tls::{ClientCertificate, Tls},
};
use super::{duration, size};
use crate::decide::Capability;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The layout's version.
    #[schemars(with = "u32", range(min = 1, max = 1))]
    pub version: Spanned<u32>,
    /// Where requests are accepted.
    #[serde(default = "default_listen")]
    #[schemars(with = "SocketAddr")]
    pub listen: Spanned<SocketAddr>,
    /// Without it the listener speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// `null` switches the admin listener off.
    #[serde(default = "default_admin")]
    pub admin: Option<SocketAddr>,
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
    pub upstreams: Vec<Upstream>,
    pub models: Vec<Model>,
    #[serde(default)]
    pub virtual_models: Vec<VirtualModel>,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default)]
    pub state: State,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub timeouts: Timeouts,
    #[serde(default)]
    pub retry: Retry,
    /// Off without this section.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    #[serde(default)]
    pub breaker: Breaker,
    #[serde(default)]
    pub log: Log,
    #[serde(default)]
    pub traces: Traces,
}

/// The routing plugin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Plugin {
    /// The WASM component; by default the one that is embedded in the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<PathBuf>,
    /// Most calls that one plugin instance serves. With more than 1 a call is about 11 µs faster, and the plugin can see
    /// what earlier requests have left in its memory.
    pub instance_calls: u32,
}

impl Default for Plugin {
    fn default() -> Self {
        Self { wasm: None, instance_calls: 1 }
    }
}

/// What decisions may use.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Router {
    /// Threads that decide; as many as the machine has cores by default.
    #[schemars(transform = super::schema::without_default)]
    pub threads: usize,
    /// Most requests that wait for such a thread; one more is served in the fallback order.
    pub queue: usize,
    /// Most quick decisions of one plugin call, of requests that are ready together; 1 gives each a call of its own.
    pub batch: usize,
    /// Most time of one decision, waiting included.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub deadline: Duration,
    /// Most memory of one plugin instance.
    #[serde(with = "size")]
    #[schemars(with = "size::Written")]
    pub memory: usize,
    /// Most log messages of one plugin call.
    pub log_messages: u32,
    /// Most texts that wait for the encoder.
    pub encoder_queue: usize,
    /// Most texts whose embeddings are remembered.
    pub encoder_cache: u64,
    /// Which device runs the graphs.
    pub provider: Provider,
    /// Index of the GPU of the `cuda` provider.
    pub cuda_device: u32,
}

impl Default for Router {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 256,
            batch: 8,
            deadline: Duration::from_secs(1),
            memory: 32 << 20,
            log_messages: 16,
            encoder_queue: 64,
            encoder_cache: 16_384,
            provider: Provider::Cpu,
            cuda_device: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Cpu,
    Cuda,
}

/// A service that answers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub base_url: Option<Spanned<String>>,
    /// A reference such as `${OPENAI_API_KEY}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub api_key: Option<Spanned<String>>,
    /// Headers added to each call; no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whether it is probed between requests; it is not by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Probe>,
    /// The field that limits the output of requests that are translated for it.
    #[serde(default)]
    pub output_limit: OutputLimit,
    /// Pause between the chunks of a simulated answer.
    #[serde(default, with = "duration")]
    #[schemars(with = "duration::Written")]
    pub chunk_delay: Duration,
}

/// The field in which an upstream of kind `openai` takes the limit of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// OpenAI's current field.
    #[default]
    MaxCompletionTokens,
    /// The older field, which many other vendors know alone.
    MaxTokens,
}

/// Which protocol an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// OpenAI's HTTP interface.
    Openai,
    /// Anthropic's HTTP interface.
    Anthropic,
    /// Built in: answers without any LLM, and says so.
    Simulated,
}

impl Kind {
    /// Returns the kind as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Simulated => "simulated",
        }
    }
}

/// An LLM at an upstream.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    #[schemars(with = "String")]
    pub llm: Spanned<String>,
    #[schemars(with = "String")]
    pub upstream: Spanned<String>,
    /// What the upstream calls it; the LLM's id by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_price: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_price: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_price: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::capabilities")]
    pub capabilities: Option<Vec<Capability>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A model name that is routed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VirtualModel {
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// LLM ids; all models by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub candidates: Option<Vec<Spanned<String>>>,
    /// Weight of effect against cost for users who declare none, 0 to 1; without it the user's own counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f32>", range(min = 0, max = 1))]
    pub preference: Option<Spanned<f32>>,
    /// The task of all its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The order when the router gives none; by default the candidates', cheapest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub fallback: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub constraints: Constraints,
    #[serde(default)]
    pub stickiness: Stickiness,
}

/// When a conversation keeps its LLM, whose prompt cache is warm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stickiness {
    /// How much better another LLM's utility must be to take over.
    pub margin: f32,
    /// How long after its last answer a conversation is remembered.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub expiry: Duration,
}

impl Default for Stickiness {
    /// Prompt caches live for about five minutes; the margin is a tenth of what separates good from middling answers.
    fn default() -> Self {
        Self { margin: 0.02, expiry: Duration::from_secs(300) }
    }
}

/// What a candidate must satisfy.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Constraints {
    /// USD per million input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_price: Option<f32>,
    /// USD per million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_price: Option<f32>,
    /// Allowed region tags; empty allows all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// Limits; each is its own key.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes of a request body.
    #[serde(with = "size")]
    #[schemars(with = "size::Written")]
    pub body: usize,
    /// Most bytes of a request's head.
    #[serde(with = "size")]
    #[schemars(with = "size::Written")]
    pub head: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Most bytes of an answer that are held until they are whole: an event of a stream, an answer to translate.
    #[serde(with = "size")]
    #[schemars(with = "size::Written")]
    pub response_buffer: usize,
    /// Most open connections; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Most requests in flight; one more is refused with 503.
    pub requests: usize,
    /// Most requests of one `/v1/route` batch.
    pub batch: usize,
    /// Most characters of a user id.
    pub user_chars: usize,
    /// Tokens set aside for an answer whose request names no most, until the upstream has counted.
    pub assumed_output: u32,
    /// Most keys and users whose use is remembered, and most rows of `/usage`.
    pub max_tracked_users: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // 20 MiB carries a handful of images as data URLs; OpenAI's own limit for a request is of this order.
        Self {
            body: 20 << 20,
            head: 64 << 10,
            headers: 100,
            // An image in one event is some MiB.
            response_buffer: 32 << 20,
            connections: 10_000,
            requests: 4_096,
            batch: 4_096,
            user_chars: 256,
            assumed_output: 1_000,
            // Some 20 MB when all are taken.
            max_tracked_users: 100_000,
        }
    }
}

/// How long each phase may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// A client sending its request head.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub header_read: Duration,
    /// A client sending its whole body.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub body_read: Duration,
    /// A client that has stopped taking its answer.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub write: Duration,
    /// A client making a TLS connection.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub handshake: Duration,
    /// Connecting to an upstream, TLS included.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub connect: Duration,
    /// From sending a streaming request until its first body byte.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub first_byte: Duration,
    /// Between two chunks of an answer.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub idle: Duration,
    /// The whole request.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub total: Duration,
    /// Running requests at shutdown.
    #[serde(with = "duration")]
    #[schemars(with = "duration::Written")]
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        // Answers that are not streamed arrive whole, so the first byte may take minutes; OpenAI's clients wait 600 s.
        Self {
            header_read: Duration::from_secs(10),
            body_read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
            drain: Duration::from_secs(30),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives such as `info,personaroute_gateway=debug`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// OpenTelemetry traces, sent over OTLP (HTTP, protobuf); off without an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The collector's base URL; `/v1/traces` follows. `OTEL_EXPORTER_OTLP_ENDPOINT` comes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub endpoint: Option<Spanned<String>>,
    /// Headers of each post; a secret is a reference such as `${COLLECTOR_KEY}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub headers: BTreeMap<String, Spanned<String>>,
    /// Share of the requests that are traced, 0 to 1; a `traceparent` that says sampled or not is followed.
    #[schemars(range(min = 0, max = 1))]
    pub sample: f64,
    /// `service.name` of the spans.
    pub service: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: None, headers: BTreeMap::new(), sample: 1.0, service: "personaroute".to_owned() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

fn default_listen() -> Spanned<SocketAddr> {
    spanned(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn default_admin() -> Option<SocketAddr> {
    Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)))
}

fn default_bundle() -> PathBuf {
    PathBuf::from("default")
}

fn spanned<T>(value: T) -> Spanned<T> {
    let unknown = serde_saphyr::Location::UNKNOWN;
    Spanned { value, referenced: unknown, defined: unknown }
}
