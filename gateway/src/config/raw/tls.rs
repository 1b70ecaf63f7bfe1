//! TLS of the main listener, as written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The listener's certificate, and whose certificates clients must show. All files are PEM and lie beside this file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain, the listener's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities that clients' certificates come from; without it no client is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away; it is by default where `client_ca` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
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

impl Tls {
    /// Returns the same with every path as `place` says.
    pub(in crate::config) fn beside(&self, place: impl Fn(&std::path::Path) -> PathBuf) -> Self {
        Self {
            certificate: place(&self.certificate),
            key: place(&self.key),
            client_ca: self.client_ca.as_deref().map(place),
            client_certificate: self.client_certificate,
        }
    }

    /// Returns the files, for whoever watches them.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca)
    }
}
