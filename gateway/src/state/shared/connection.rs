//! Connections to the shared store: to one server, to a cluster, or to the primary that sentinels name.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisResult, TlsCertificates, TlsMode,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use rustls::pki_types::{
    CertificateDer,
    pem::{self, PemObject},
};

use super::{error::SharedStoreError, script::ReserveScript};
use crate::config::{Login, Node, SharedStore, Topology};

/// Time limit of a connection attempt, with TLS and authentication. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Cannot happen: the configuration names at least one node.
const NO_NODE: (ErrorKind, &str) = (ErrorKind::InvalidClientConfig, "no node");

/// Makes connections.
pub(super) struct Connector {
    client: AnyClient,
    /// Limit of a reply.
    timeout: Duration,
}

enum AnyClient {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
    Sentinel(Box<SentinelClient>),
}

/// A connection. It is replaced after the first error: after a timeout, a late reply could not be told from the next one.
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connector {
    /// Returns a connector to the store that `shared` describes. Reads the file of the certificate authorities, and
    /// contacts nobody.
    pub(super) fn new(shared: &SharedStore) -> Result<Self, SharedStoreError> {
        let certificates = certificates(shared)?;
        let client =
            client(shared, certificates).map_err(|error| SharedStoreError::Client(error.category().to_owned()));
        Ok(Self { client: client?, timeout: shared.timeout })
    }

    /// Connects and authenticates.
    pub(super) async fn connect(&mut self) -> Result<Connection, SharedStoreError> {
        let connect = Box::pin(self.connect_unbounded());
        match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(SharedStoreError::Timeout(CONNECT_TIMEOUT)),
        }
    }

    async fn connect_unbounded(&mut self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.timeout));
        match &mut self.client {
            AnyClient::Server(client) => {
                client.get_multiplexed_async_connection_with_config(&config).await.map(Connection::Server)
            }
            AnyClient::Sentinel(client) => {
                client.get_async_connection_with_config(&config).await.map(Connection::Server)
            }
            AnyClient::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }
}

impl Connection {
    /// Runs `script`; returns its reply.
    pub(super) async fn run(
        &mut self,
        script: &ReserveScript,
        keys: &[String],
        arguments: &[String],
    ) -> RedisResult<Vec<i64>> {
        match self {
            Self::Server(connection) => script.run(connection, keys, arguments).await,
            Self::Cluster(connection) => script.run(connection, keys, arguments).await,
        }
    }
}

fn client(shared: &SharedStore, certificates: Option<TlsCertificates>) -> RedisResult<AnyClient> {
    match &shared.topology {
        Topology::Server => {
            let info = connection_infos(shared)?.into_iter().next().ok_or(NO_NODE)?;
            let client = match certificates {
                Some(certificates) => Client::build_with_tls(info, certificates)?,
                None => Client::open(info)?,
            };
            Ok(AnyClient::Server(Box::new(client)))
        }
        Topology::Cluster => {
            let mut builder = ClusterClient::builder(connection_infos(shared)?)
                .tcp_settings(tcp_settings())
                .connection_timeout(CONNECT_TIMEOUT)
                .response_timeout(shared.timeout);
            if let Some(certificates) = certificates {
                builder = builder.certs(certificates);
            }
            Ok(AnyClient::Cluster(Box::new(builder.build()?)))
        }
        Topology::Sentinel { service, login } => {
            let client = sentinel_client(shared, service, login, certificates)?;
            Ok(AnyClient::Sentinel(Box::new(client)))
        }
    }
}

/// Returns a client that authenticates with `login` at the sentinels, and with the store's login at the primary.
fn sentinel_client(
    shared: &SharedStore,
    service: &str,
    login: &Login,
    certificates: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let sentinels = shared.nodes.iter().map(|node| address(shared, node));
    let mut builder = SentinelClientBuilder::new(sentinels, service, SentinelServerType::Master)?
        .set_client_to_redis_db(i64::from(shared.database))
        .set_client_to_redis_tcp_settings(tcp_settings());
    if let Some(username) = &shared.login.username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = &shared.login.password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if let Some(username) = &login.username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = &login.password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    if shared.tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()
}

fn connection_infos(shared: &SharedStore) -> RedisResult<Vec<ConnectionInfo>> {
    let mut settings = RedisConnectionInfo::default().set_db(i64::from(shared.database));
    if let Some(username) = &shared.login.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &shared.login.password {
        settings = settings.set_password(password.expose());
    }
    let info = |node: &Node| {
        let info = address(shared, node).into_connection_info()?;
        Ok(info.set_redis_settings(settings.clone()).set_tcp_settings(tcp_settings()))
    };
    shared.nodes.iter().map(info).collect()
}

fn address(shared: &SharedStore, Node { host, port }: &Node) -> ConnectionAddr {
    match shared.tls {
        true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host.clone(), *port),
    }
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Reads the file of the certificate authorities; without one, the public ones are trusted.
fn certificates(shared: &SharedStore) -> Result<Option<TlsCertificates>, SharedStoreError> {
    let Some(path) = &shared.ca else { return Ok(None) };
    let failed = |source| SharedStoreError::Authority { path: path.clone(), source };
    let pem = std::fs::read(path).map_err(|error| failed(pem::Error::Io(error)))?;
    let mut certificates = CertificateDer::pem_slice_iter(&pem).peekable();
    if certificates.peek().is_none() {
        return Err(failed(pem::Error::NoItemsFound));
    }
    certificates.try_for_each(|certificate| certificate.map(drop)).map_err(failed)?;
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}
