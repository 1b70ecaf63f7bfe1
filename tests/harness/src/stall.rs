//! A TCP proxy on the loopback address that can delay the bytes in transit.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The proxy; its connections end when it is dropped.
pub struct Stall {
    address: SocketAddr,
    /// Connections with a lower number are stalled.
    stalled_below: watch::Sender<u64>,
    accepted: Arc<AtomicU64>,
    held: Arc<Mutex<Held>>,
    _tasks: JoinSet<()>,
}

/// Bytes to the server that a stall held back.
#[derive(Default)]
struct Held {
    all: Vec<u8>,
    delivered: Vec<u8>,
}

impl Stall {
    /// Starts a proxy to `port` of the loopback address.
    ///
    /// # Errors
    ///
    /// Fails when no port is free.
    pub async fn before(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (stalled_below, watched) = watch::channel(0);
        let (accepted, held) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Held>>::default());
        let mut tasks = JoinSet::new();
        let (count, bytes) = (Arc::clone(&accepted), Arc::clone(&held));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(proxy(client, port, (number, watched.clone()), Arc::clone(&bytes)));
            }
        });
        Ok(Self { address, stalled_below, accepted, held, _tasks: tasks })
    }

    /// Returns the proxy's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Delays all bytes.
    pub fn stall(&self) {
        self.stalled_below.send_replace(u64::MAX);
    }

    /// Forwards new connections; existing ones stay stalled.
    pub fn let_new(&self) {
        self.stalled_below.send_replace(self.accepted.load(Ordering::SeqCst));
    }

    /// Forwards everything, delayed bytes first.
    pub fn go_on(&self) {
        self.stalled_below.send_replace(0);
    }

    /// Returns whether `text` to the server was held back, whether or not it was delivered later.
    pub fn has_held(&self, text: &str) -> bool {
        contains(&self.held().all, text)
    }

    /// Returns whether `text` to the server was held back and then delivered.
    pub fn has_delivered(&self, text: &str) -> bool {
        contains(&self.held().delivered, text)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A connection's number, and the number below which connections are stalled.
type Gate = (u64, watch::Receiver<u64>);

async fn proxy(client: TcpStream, port: u16, gate: Gate, held: Arc<Mutex<Held>>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(copy(from_client, to_server, gate.clone(), Some(&held)), copy(from_server, to_client, gate, None));
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (number, mut stalled_below): Gate,
    held: Option<&Mutex<Held>>,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer.get(..count).unwrap_or_default();
        let is_stalled = number < *stalled_below.borrow();
        let held = held.filter(|_| is_stalled).map(|held| || held.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(held) = &held {
            held().all.extend_from_slice(bytes);
        }
        if stalled_below.wait_for(|below| number >= *below).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
        if let Some(held) = &held {
            held().delivered.extend_from_slice(bytes);
        }
    }
    let _ = to.shutdown().await;
}
