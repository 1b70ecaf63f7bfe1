//! TLS of the main listener.

use std::path::{Path, PathBuf};

pub use super::raw::ClientCertificate;
use super::{error::Rejection, range::value, raw};

/// The files of the listener's certificate, and which certificates clients must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the listener's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authorities that issue clients' certificates; none asks no client for a certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client needs a certificate.
    pub client_certificate: Option<ClientCertificate>,
}

impl Tls {
    /// Checks the files' keys; `resolve` makes a path of the file one of the process.
    pub(super) fn check(raw: &raw::Tls, resolve: impl Fn(&Path) -> PathBuf) -> Result<Self, Rejection> {
        if let Some(written) = raw.client_certificate.as_ref().filter(|_| raw.client_ca.is_none()) {
            let expected = "must not be given without `tls.client_ca`";
            return Err(written.reject(value("tls.client_certificate", expected, "no client_ca")));
        }
        Ok(Self {
            certificate: resolve(&raw.certificate),
            key: resolve(&raw.key),
            client_ca: raw.client_ca.as_deref().map(resolve),
            client_certificate: raw.client_certificate.as_ref().map(|written| written.value),
        })
    }

    /// Returns the files, which are read again when they change.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_ca)
    }
}
