//! Certificates for tests: an authority made on the spot, what it issues, and clients that trust it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An authority.
pub struct Authority {
    certificate: Certificate,
    key: KeyPair,
}

/// A certificate with its key.
pub struct Issued {
    pub certificate: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    /// Makes an authority.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no random numbers.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { certificate: params.self_signed(&key)?, key })
    }

    /// Issues a certificate for this machine's loopback, for servers and clients alike.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no random numbers.
    pub fn issue(&self) -> Result<Issued> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &self.certificate, &self.key)?;
        Ok(Issued { pem: certificate.pem(), certificate: certificate.der().clone(), key })
    }

    /// Returns the authority's own certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Connects over TLS to a server that this authority vouches for, showing `shown`.
    ///
    /// # Errors
    ///
    /// Fails when the server shows another's certificate or refuses ours.
    pub async fn connect(&self, address: SocketAddr, shown: Option<&Issued>) -> Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let builder = builder.with_root_certificates(roots);
        let config = match shown {
            Some(shown) => {
                let key = PrivateKeyDer::try_from(shown.key.serialize_der()).map_err(anyhow::Error::msg)?;
                builder.with_client_auth_cert(vec![shown.certificate.clone()], key)?
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
        let name = ServerName::from(address.ip());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("the TLS handshake")
    }
}

impl Issued {
    /// Writes certificate and key as `tls.crt` and `tls.key` into `folder`.
    ///
    /// # Errors
    ///
    /// Fails when the folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::write(folder.join("tls.crt"), &self.pem)?;
        std::fs::write(folder.join("tls.key"), self.key.serialize_pem())?;
        Ok(())
    }
}
