//! A way to a server that can stall: bytes that are under way wait, and arrive late.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What was held back on its way to the server, whether or not it went on later.
type Held = Mutex<Vec<u8>>;

/// A proxy on the loopback; it ends when dropped.
pub struct Stall {
    address: SocketAddr,
    /// Connections with a lower number are held.
    held_below: watch::Sender<u64>,
    made: Arc<AtomicU64>,
    held: Arc<Held>,
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
        let held = Arc::<Held>::default();
        let (count, kept) = (Arc::clone(&made), Arc::clone(&held));
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                ways.spawn(both(near, port, (number, watched.clone()), Arc::clone(&kept)));
            }
        });
        Ok(Self { address, held_below, made, held, _tasks: tasks })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds everything back.
    pub fn stall(&self) {
        self.held_below.send_replace(u64::MAX);
    }

    /// Returns whether `words` were held back on their way to the server.
    pub fn has_held(&self, words: &str) -> bool {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.windows(words.len()).any(|window| window == words.as_bytes())
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

/// A connection's number, and below which number connections are held.
type Gate = (u64, watch::Receiver<u64>);

async fn both(near: TcpStream, port: u16, gate: Gate, held: Arc<Held>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(one(near_in, far_out, gate.clone(), Some(&held)), one(far_in, near_out, gate, None));
}

async fn one(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    (number, mut watched): Gate,
    held: Option<&Held>,
) {
    let mut bytes = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let bytes = bytes.get(..count).unwrap_or_default();
        let is_held = number < *watched.borrow();
        if let Some(held) = held.filter(|_| is_held) {
            held.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
        if watched.wait_for(|held_below| number >= *held_below).await.is_err() {
            return;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
