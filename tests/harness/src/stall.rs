//! A way to a server that can stall: bytes that are under way wait, and arrive late.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy on the loopback; it ends when dropped.
pub struct Stall {
    address: SocketAddr,
    is_stalled: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Stall {
    /// Opens a way to `port` of the loopback.
    ///
    /// # Errors
    ///
    /// Fails when the system gives no port.
    pub async fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (is_stalled, watched) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                ways.spawn(both(near, port, watched.clone()));
            }
        });
        Ok(Self { address, is_stalled, _tasks: tasks })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds everything back.
    pub fn stall(&self) {
        self.is_stalled.send_replace(true);
    }

    /// Lets everything go, what was held back first.
    pub fn go_on(&self) {
        self.is_stalled.send_replace(false);
    }
}

async fn both(near: TcpStream, port: u16, watched: watch::Receiver<bool>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(one(near_in, far_out, watched.clone()), one(far_in, near_out, watched));
}

async fn one(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut watched: watch::Receiver<bool>) {
    let mut bytes = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if watched.wait_for(|is_stalled| !is_stalled).await.is_err() {
            return;
        }
        if to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
