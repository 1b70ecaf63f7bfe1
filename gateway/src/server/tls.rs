//! TLS of the main listener: server certificates from files, and optional client certificates.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    config::{ClientCertificate, Tls},
    proxy::Fingerprint,
};

/// Why the listener's TLS cannot be set up, with the configuration key and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("`{key}`: {} cannot be read", path.display())]
    Read {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The file is not PEM, or contains no item of the expected kind.
    #[error("`{key}`: {} contains no {expected} in PEM format", path.display())]
    Pem {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The expected kind of item.
        expected: &'static str,
        /// The error of the PEM parser.
        #[source]
        source: pem::Error,
    },
    /// The certificate and the key cannot be used, for example because they do not match.
    #[error("`tls.certificate` {} and `tls.key` {} cannot be used together: {source}", certificate.display(), private.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The private key file.
        private: PathBuf,
        /// The reason.
        #[source]
        source: rustls::Error,
    },
    /// The client CA certificates cannot be used.
    #[error("`tls.client_ca`: {} cannot be used: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: VerifierBuilderError,
    },
}

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client did not finish in time.
    #[error("the client did not finish the handshake in time")]
    Timeout,
    /// The handshake failed, for example without an acceptable client certificate.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

impl HandshakeError {
    /// Returns the reason as a metric label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Failed(_) => "refused",
        }
    }
}

/// Reads the files and returns the listener's TLS configuration.
///
/// # Errors
///
/// Fails if a file is missing or invalid, or does not match the others.
pub fn settings(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates("tls.certificate", &tls.certificate)?;
    let private = private_key("tls.key", &tls.key)?;
    let refused = |source| TlsError::Pair { certificate: tls.certificate.clone(), private: tls.key.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(refused)?;
    let builder = match &tls.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, tls.client_certificate)?),
        None => builder.with_no_client_auth(),
    };
    let mut settings = builder.with_single_cert(chain, private).map_err(refused)?;
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

/// Performs the TLS handshake within `timeout`, and returns the fingerprint of the client certificate, if there is one.
///
/// # Errors
///
/// Fails if the client is too slow, does not speak TLS, or has no required certificate.
pub async fn handshake(
    stream: TcpStream,
    settings: Arc<ServerConfig>,
    timeout: Duration,
) -> Result<(TlsStream<TcpStream>, Option<Fingerprint>), HandshakeError> {
    let accepting = TlsAcceptor::from(settings).accept(stream);
    let accepted = tokio::time::timeout(timeout, accepting).await.map_err(|_| HandshakeError::Timeout)?;
    let stream = accepted.map_err(HandshakeError::Failed)?;
    let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let fingerprint = presented.map(|certificate| Fingerprint(Sha256::digest(certificate).into()));
    Ok((stream, fingerprint))
}

fn verifier(path: &Path, need: Option<ClientCertificate>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.client_ca", path)? {
        let refused = |source: rustls::Error| TlsError::Pem {
            key: "tls.client_ca",
            path: path.to_path_buf(),
            expected: "CA certificate",
            source: pem::Error::Io(io::Error::other(source)),
        };
        roots.add(certificate).map_err(refused)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match need {
        Some(ClientCertificate::Optional) => builder.allow_unauthenticated(),
        Some(ClientCertificate::Required) | None => builder,
    };
    builder.build().map_err(|source| TlsError::Authority { path: path.to_path_buf(), source })
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(key, path)?;
    let refused = |source| TlsError::Pem { key, path: path.to_path_buf(), expected: "certificate", source };
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(refused)?;
    if found.is_empty() {
        return Err(refused(pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn private_key(key: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let refused = |source| TlsError::Pem { key, path: path.to_path_buf(), expected: "private key", source };
    PrivateKeyDer::from_pem_slice(&read(key, path)?).map_err(refused)
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { key, path: path.to_path_buf(), source })
}
