//! TLS of the main listener, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::located::Located;

/// The listener's certificate, and which certificates clients must show. All files are PEM and relative to this file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, the listener's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities that issue clients' certificates; without it no client is asked for a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client needs a certificate; `required` by default if `client_ca` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Located<ClientCertificate>>,
}

/// Whether clients need a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificate {
    /// Without one no connection is made.
    Required,
    /// Without one a client needs a key.
    Optional,
}
