//! One connection to the store: opened, made known, and then one question at a time.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, InvalidDnsNameError, ServerName,
        pem::{self, PemObject},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::resp::{self, ProtocolError, Reply};
use crate::config::Shared;

/// Longest making of a connection, which no request waits for.
const CONNECT: Duration = Duration::from_secs(2);

/// What runs in the store.
const SCRIPT: &str = include_str!("script.lua");

/// Why the store cannot be used. Tells no secret: some servers repeat what they were sent.
#[derive(Debug, thiserror::Error)]
pub enum SharedStoreError {
    /// The file of the authorities is of no use.
    #[error("`state.shared.ca`: {} holds no certificate in PEM form", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        #[source]
        source: pem::Error,
    },
    /// The authorities in the file are of no use.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The host has no name that a certificate could have.
    #[error("the host is no name that a certificate could have")]
    Name(#[from] InvalidDnsNameError),
    /// No connection, or one that broke.
    #[error("the connection failed")]
    Connection(#[from] io::Error),
    /// No answer in time.
    #[error("no answer came within {0:?}")]
    Timeout(Duration),
    /// The password is wrong, or none is needed.
    #[error("the username and password are refused ({0})")]
    Password(String),
    /// The store refuses something else.
    #[error("the store answered: {0}")]
    Refused(String),
    /// The answer is not of the protocol, or does not belong to the question.
    #[error("the answer is not one that was asked for")]
    Answer,
    /// Another process writes under the same name, or an old batch came late.
    #[error("a newer batch was written under the same name")]
    Stale,
}

impl From<ProtocolError> for SharedStoreError {
    fn from(_: ProtocolError) -> Self {
        Self::Answer
    }
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How connections are made.
pub(super) struct Connector {
    shared: Shared,
    tls: Option<TlsConnector>,
}

/// A connection on which the script is known.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    received: Vec<u8>,
    script: String,
}

impl Connector {
    /// Returns the connector that `shared` describes.
    pub(super) fn new(shared: Shared) -> Result<Self, SharedStoreError> {
        let tls = if shared.tls { Some(TlsConnector::from(Arc::new(client(&shared)?))) } else { None };
        Ok(Self { shared, tls })
    }

    /// Connects, and makes this process and the script known.
    pub(super) async fn open(&self) -> Result<Connection, SharedStoreError> {
        let opened = tokio::time::timeout(CONNECT, Box::pin(self.opened())).await;
        opened.unwrap_or(Err(SharedStoreError::Timeout(CONNECT)))
    }

    async fn opened(&self) -> Result<Connection, SharedStoreError> {
        let Shared { host, port, .. } = &self.shared;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.connect(ServerName::try_from(host.clone())?, stream).await?),
            None => Box::new(stream),
        };
        let mut connection = Connection { stream, received: Vec::new(), script: String::new() };
        if let Some(password) = &self.shared.password {
            let mut words = vec!["AUTH"];
            words.extend(self.shared.username.as_deref());
            words.push(password.expose());
            if let Reply::Error(text) = connection.request(&words).await? {
                return Err(SharedStoreError::Password(code(&text)));
            }
        }
        if self.shared.database > 0 {
            connection.done(&["SELECT", &self.shared.database.to_string()]).await?;
        }
        match connection.done(&["SCRIPT", "LOAD", SCRIPT]).await? {
            Reply::Text(script) => connection.script = script,
            Reply::Number(_) | Reply::Nil | Reply::List(_) | Reply::Error(_) => return Err(SharedStoreError::Answer),
        }
        Ok(connection)
    }
}

impl Connection {
    /// Returns the number kept at `key`, 0 when there is none.
    pub(super) async fn number(&mut self, key: &str) -> Result<u64, SharedStoreError> {
        match self.done(&["GET", key]).await? {
            Reply::Nil => Ok(0),
            Reply::Text(text) => text.parse().map_err(|_| SharedStoreError::Answer),
            Reply::Number(_) | Reply::List(_) | Reply::Error(_) => Err(SharedStoreError::Answer),
        }
    }

    /// Runs the script.
    pub(super) async fn run(&mut self, keys: Vec<String>, arguments: Vec<String>) -> Result<Reply, SharedStoreError> {
        let mut words = vec!["EVALSHA".to_owned(), self.script.clone(), keys.len().to_string()];
        words.extend(keys);
        words.extend(arguments);
        self.done(&words).await
    }

    /// Waits until the store closes the connection, or says something that nobody has asked for.
    pub(super) async fn broken(&mut self) -> SharedStoreError {
        match self.stream.read_u8().await {
            Ok(_) => SharedStoreError::Answer,
            Err(error) => SharedStoreError::Connection(error),
        }
    }

    async fn done(&mut self, words: &[impl AsRef<str>]) -> Result<Reply, SharedStoreError> {
        match self.request(words).await? {
            Reply::Error(text) => Err(SharedStoreError::Refused(text)),
            reply @ (Reply::Text(_) | Reply::Number(_) | Reply::Nil | Reply::List(_)) => Ok(reply),
        }
    }

    async fn request(&mut self, words: &[impl AsRef<str>]) -> Result<Reply, SharedStoreError> {
        self.stream.write_all(&resp::encode(words)).await?;
        self.stream.flush().await?;
        loop {
            if let Some((reply, length)) = resp::decode(&self.received)? {
                self.received.drain(..length);
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(SharedStoreError::Connection(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

/// The code that an error begins with; the remaining may repeat the password.
fn code(text: &str) -> String {
    let first = text.split(' ').next().unwrap_or_default();
    let is_code = !first.is_empty() && first.len() <= 20 && first.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { first.to_owned() } else { "no code".to_owned() }
}

/// Returns TLS settings that trust the file's authorities, or the public web's.
fn client(shared: &Shared) -> Result<ClientConfig, SharedStoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let Some(path) = &shared.ca else {
        return Ok(builder.with_webpki_roots().with_no_client_auth());
    };
    let refused = |source| SharedStoreError::Authority { path: path.clone(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(refused)? {
        roots.add(certificate.map_err(refused)?)?;
    }
    if roots.is_empty() {
        return Err(refused(pem::Error::NoItemsFound));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_refused_password_only_the_code_is_told() {
        assert_eq!(code("WRONGPASS invalid username-password pair"), "WRONGPASS");
        assert_eq!(code("ERR unknown command `AUTH`, with args beginning with: `hunter2`"), "ERR");
        assert_eq!(code("hunter2"), "no code");
    }
}
