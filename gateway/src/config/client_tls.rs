//! TLS towards an upstream: the authorities that vouch for it, and the certificate that the gateway shows.
//!
//! The files are read here, so that a mistake in them is reported with the position of its key, and so that a reload notices
//! new content under the same name.

use std::{fmt, path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use super::{
    error::{Fault, Rejection},
    file_stamp::{self, FileStamps},
    folder::Folder,
    located::Located,
    range::value,
    raw,
    secret::{Env, Secret},
};

/// How every PEM text starts.
const PEM_START: &str = "-----BEGIN";

/// TLS settings of one upstream.
#[derive(Clone)]
pub struct ClientTls {
    settings: Arc<ClientConfig>,
    /// The SHA-256 of the texts from which the settings were made.
    digest: [u8; 32],
    /// The files that were read, with their stamps from before.
    pub files: FileStamps,
}

impl ClientTls {
    /// Returns the settings.
    pub fn settings(&self) -> &ClientConfig {
        &self.settings
    }

    /// Returns the settings that `raw` describes, if it has any. Paths are relative to `folder`; `env` resolves references.
    pub(super) fn check(raw: &raw::Upstream, folder: &Folder<'_>, env: Env<'_>) -> Result<Option<Self>, Rejection> {
        let written = [&raw.ca, &raw.client_certificate, &raw.client_key];
        let Some(any) = written.into_iter().flatten().next() else {
            return Ok(None);
        };
        if !raw.base_url.as_ref().is_some_and(|url| url.starts_with("https://")) {
            let found = raw.base_url.as_ref().map_or("no base_url", |url| &url.value);
            return Err(any.reject(value("ca", "and `client_certificate` need an https `base_url`", found)));
        }
        let mut reader = Reader { folder, env, digest: Sha256::new(), files: FileStamps::new() };
        let roots = match &raw.ca {
            Some(written) => reader.authorities(written)?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable =
            |error: rustls::Error| any.reject(Fault::Pem { key: "ca", origin: None, problem: error.to_string() });
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(unusable)?.with_root_certificates(roots);
        let settings = match (&raw.client_certificate, &raw.client_key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => reader.identity(builder, certificate, key)?,
            (Some(alone), None) => {
                return Err(alone.reject(value("client_certificate", "needs a `client_key`", "none")));
            }
            (None, Some(alone)) => {
                return Err(alone.reject(value("client_key", "needs a `client_certificate`", "none")));
            }
        };
        let Reader { digest, files, .. } = reader;
        Ok(Some(Self { settings: Arc::new(settings), digest: digest.finalize().into(), files }))
    }
}

/// For reloads, which compare a new configuration with the old one.
impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

/// Shows no key.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Reads PEM texts and keeps track of what was read.
struct Reader<'a> {
    folder: &'a Folder<'a>,
    env: Env<'a>,
    digest: Sha256,
    files: FileStamps,
}

/// A PEM text, and the file that it comes from; none if it comes from the environment.
struct Pem {
    text: Secret,
    origin: Option<String>,
}

impl Reader<'_> {
    fn authorities(&mut self, written: &Located<String>) -> Result<RootCertStore, Rejection> {
        const KEY: &str = "ca";
        let pem = self.read(KEY, written)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(KEY, written, &pem)? {
            roots.add(certificate).map_err(|error| reject(KEY, written, &pem, &format!("cannot be used: {error}")))?;
        }
        Ok(roots)
    }

    fn identity(
        &mut self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
        certificate: &Located<String>,
        key: &Located<String>,
    ) -> Result<ClientConfig, Rejection> {
        let chain = self.read("client_certificate", certificate)?;
        let chain = certificates("client_certificate", certificate, &chain)?;
        let private = self.read("client_key", key)?;
        let parsed = PrivateKeyDer::from_pem_slice(private.text.expose().as_bytes());
        let parsed =
            parsed.map_err(|_| reject("client_key", key, &private, "contains no private key in PEM format"))?;
        builder.with_client_auth_cert(chain, parsed).map_err(|error| {
            let problem = format!("cannot be used together with `client_certificate`: {error}");
            reject("client_key", key, &private, &problem)
        })
    }

    /// Returns the PEM text that `written` is the file of, or a reference to.
    fn read(&mut self, key: &'static str, written: &Located<String>) -> Result<Pem, Rejection> {
        let path = if written.starts_with("${") {
            Secret::resolve(key, written, self.env)?
        } else if written.starts_with(PEM_START) {
            return Err(written.reject(Fault::LiteralSecret { key }));
        } else {
            Secret::plain(written.value.clone())
        };
        let pem = if path.expose().starts_with(PEM_START) {
            Pem { text: path, origin: None }
        } else {
            let file = self.folder.resolve(Path::new(path.expose()));
            file_stamp::record(&mut self.files, &file);
            let origin = Some(file.display().to_string());
            let text = std::fs::read_to_string(&file).map_err(|error| {
                written.reject(Fault::Pem { key, origin: origin.clone(), problem: format!("cannot be read: {error}") })
            })?;
            Pem { text: Secret::plain(text), origin }
        };
        self.digest.update(key);
        self.digest.update(pem.text.expose());
        Ok(pem)
    }
}

fn certificates(
    key: &'static str,
    written: &Located<String>,
    pem: &Pem,
) -> Result<Vec<CertificateDer<'static>>, Rejection> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.expose().as_bytes()).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(reject(key, written, pem, "contains no certificate in PEM format")),
    }
}

fn reject(key: &'static str, written: &Located<String>, pem: &Pem, problem: &str) -> Rejection {
    written.reject(Fault::Pem { key, origin: pem.origin.clone(), problem: problem.to_owned() })
}

#[cfg(test)]
mod tests;
