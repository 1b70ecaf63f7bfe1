//! A way to a server that can stall: bytes that are under way wait, and arrive late.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A proxy on the loopback; it ends when dropped.
pub struct Stall {
    address: SocketAddr,
    /// Connections with a lower number are held.
    held_below: watch::Sender<u64>,
    made: Arc<AtomicU64>,
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
        let (held_below, watched) = watch::channel(0);
        let made = Arc::<AtomicU64>::default();
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&made);
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                ways.spawn(both(near, port, count.fetch_add(1, Ordering::SeqCst), watched.clone()));
            }
        });
        Ok(Self { address, held_below, made, _tasks: tasks })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds everything back.
    pub fn stall(&self) {
        self.held_below.send_replace(u64::MAX);
    }

    /// Lets new connections through, and still holds back those there are.
    pub fn let_new(&self) {
        self.held_below.send_replace(self.made.load(Ordering::SeqCst));
    }

    /// Lets everything go, what was held back first.
    pub fn go_on(&self) {
        self.held_below.send_replace(0);
    }
}

async fn both(near: TcpStream, port: u16, number: u64, watched: watch::Receiver<u64>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(one(near_in, far_out, number, watched.clone()), one(far_in, near_out, number, watched));
}

async fn one(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    number: u64,
    mut watched: watch::Receiver<u64>,
) {
    let mut bytes = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if watched.wait_for(|held_below| number >= *held_below).await.is_err() {
            return;
        }
        if to.write_all(bytes.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
