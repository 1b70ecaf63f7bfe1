//! The sockets on which the gateway listens.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

use super::StartError;
use crate::config::Config;

/// The listener through which a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListenerKind {
    Main,
    Admin,
}

/// The bound sockets. They are bound before requests are served, so that their addresses are known.
#[derive(Debug)]
pub struct Listeners {
    pub(super) main: TcpListener,
    pub(super) admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds the addresses of `config`.
    ///
    /// # Errors
    ///
    /// Fails when an address is in use or does not belong to this machine.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let main = bind(config.listen).await?;
        let admin = match config.admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { main, admin })
    }

    /// Returns the address of the main listener.
    ///
    /// # Errors
    ///
    /// Fails when the system does not know it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.main.local_addr()
    }

    /// Returns the address of the admin listener.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}
