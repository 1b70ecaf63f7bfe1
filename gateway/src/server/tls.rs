//! TLS of the main listener: certificates from files, clients' certificates when they are asked for.

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
    config::{Tls, raw::ClientCertificate},
    proxy::Fingerprint,
};

/// Why the listener's TLS cannot be set up; names the key of the configuration and the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("`{key}`: {} cannot be read", path.display())]
    Read {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not PEM, or holds nothing of the kind.
    #[error("`{key}`: {} holds no {expected} in PEM form", path.display())]
    Pem {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What was found instead.
        #[source]
        source: pem::Error,
    },
    /// Certificate and key are not fit for use, as when one does not belong to the other.
    #[error("`tls.certificate` {} and `tls.key` {} cannot be used together: {source}", certificate.display(), private.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the private key.
        private: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// The authorities are of no use.
    #[error("`tls.client_ca`: {} cannot be used: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: VerifierBuilderError,
    },
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client took too long.
    #[error("the client did not finish the handshake in time")]
    Timeout,
    /// The two did not agree, or the client showed no acceptable certificate.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

impl HandshakeError {
    /// Returns the reason as metrics spell it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Failed(_) => "refused",
        }
    }
}

/// Returns the listener's TLS settings, with what the files hold now.
///
/// # Errors
///
/// Fails when a file is missing, holds something else, or does not fit the others.
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

/// Makes `stream` a TLS connection within `timeout`; tells the client's certificate if it showed one.
///
/// # Errors
///
/// Fails when the client is slow, speaks something else, or may not connect.
pub async fn handshake(
    stream: TcpStream,
    settings: Arc<ServerConfig>,
    timeout: Duration,
) -> Result<(TlsStream<TcpStream>, Option<Fingerprint>), HandshakeError> {
    let accepting = TlsAcceptor::from(settings).accept(stream);
    let accepted = tokio::time::timeout(timeout, accepting).await.map_err(|_| HandshakeError::Timeout)?;
    let stream = accepted.map_err(HandshakeError::Failed)?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let fingerprint = shown.map(|certificate| Fingerprint(Sha256::digest(certificate).into()));
    Ok((stream, fingerprint))
}

fn verifier(path: &Path, need: Option<ClientCertificate>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.client_ca", path)? {
        let refused = |source: rustls::Error| TlsError::Pem {
            key: "tls.client_ca",
            path: path.to_path_buf(),
            expected: "authority's certificate",
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
