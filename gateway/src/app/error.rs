//! Why the gateway does not start.

use std::{io, net::SocketAddr};

use personaroute_host::OpenError;

use super::assets::AssetError;
use crate::{
    config,
    server::tls::TlsError,
    state::{FileStoreError, SharedStoreError},
};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit the bundle.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The bundle, the plugin or the native runtime is not there.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The router cannot be opened.
    #[error("the router cannot be opened")]
    Router(#[from] OpenError),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] FileStoreError),
    /// The store of signals cannot be used.
    #[error(transparent)]
    Learning(#[from] crate::learning::StoreError),
    /// The client of the shared store cannot be built.
    #[error("the client of the shared store cannot be built")]
    Shared(#[from] SharedStoreError),
    /// TLS for upstreams cannot be set up.
    #[error("TLS for upstreams cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The listener's certificates cannot be used.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// The system gives no thread.
    #[error("a thread for the router cannot be started")]
    Thread(#[source] io::Error),
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}
