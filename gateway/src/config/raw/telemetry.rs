//! Logs and traces, as written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HeaderText;
use crate::config::located::Located;

/// How log lines look.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives such as `info,personaroute_gateway=debug`.
    pub filter: Located<String>,
    /// How user ids are logged.
    pub users: UserIds,
    /// The key of the hash of user ids, as a reference such as `${LOG_USER_KEY}`. By default a random key, which is kept in
    /// `state.file` if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_key: Option<Located<String>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned().into(), users: UserIds::Hashed, user_key: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// How user ids are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserIds {
    /// As a keyed hash: equal ids have equal hashes, and the id cannot be found without the key.
    Hashed,
    /// As they are.
    Plain,
}

/// OpenTelemetry traces, sent over OTLP (HTTP, protobuf); off without an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// The collector's base URL, to which `/v1/traces` is appended. `OTEL_EXPORTER_OTLP_ENDPOINT` overrides it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Located<String>>,
    /// Headers of each request to the collector; a secret is a reference such as `${COLLECTOR_KEY}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Located<HeaderText>>,
    /// Share of the requests that are traced, 0 to 1. The sampling flag of a request's `traceparent` overrides it.
    #[schemars(range(min = 0, max = 1))]
    pub sample: Located<f64>,
    /// `service.name` of the spans.
    pub service: String,
}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: None, headers: BTreeMap::new(), sample: 1.0.into(), service: "personaroute".to_owned() }
    }
}
