//! A fake upstream: an HTTP server on loopback that records requests and sends the responses of a test.
//!
//! It runs on a thread of its own, so that blocking tests can use it as well as asynchronous ones.

mod reply;
mod serve;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tokio::sync::oneshot;

pub use self::reply::{Frame, Gate, Reply};

/// A request as the upstream received it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Recorded {
    /// Returns the body as JSON, or null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns a header's value, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A running fake upstream; it stops when dropped.
pub struct FakeUpstream {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the server and the test share.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Recorded>>,
    unfinished: AtomicUsize,
    finished: AtomicUsize,
}

/// Returns the response to a request, given the number of earlier requests.
type Script = Arc<dyn Fn(&Recorded, usize) -> Reply + Send + Sync>;

impl FakeUpstream {
    /// Starts an upstream whose responses `script` returns.
    ///
    /// # Errors
    ///
    /// Fails when no port of the loopback address is free.
    pub fn start(script: impl Fn(&Recorded, usize) -> Reply + Send + Sync + 'static) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a port for the fake upstream")?;
        listener.set_nonblocking(true).context("the fake upstream's socket")?;
        let address = listener.local_addr().context("the fake upstream's address")?;
        let seen = Arc::new(Seen::default());
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(&seen);
        let thread = std::thread::Builder::new()
            .name("fake-upstream".to_owned())
            .spawn(move || serve::run(listener, &shared, &(Arc::new(script) as Script), stopped))
            .context("the fake upstream's thread")?;
        Ok(Self { address, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts an upstream that sends the same response every time.
    ///
    /// # Errors
    ///
    /// Fails when no port of the loopback address is free.
    pub fn always(reply: Reply) -> Result<Self> {
        Self::start(move |_, _| reply.clone())
    }

    /// Returns the base URL of its OpenAI-compatible API, `http://127.0.0.1:PORT/v1`.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Recorded> {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of requests so far.
    pub fn count(&self) -> usize {
        self.seen.requests.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns the number of responses that were read to their end.
    pub fn finished(&self) -> usize {
        self.seen.finished.load(Ordering::Acquire)
    }

    /// Returns the number of responses whose client disconnected before their end.
    pub fn given_up(&self) -> usize {
        self.seen.unfinished.load(Ordering::Acquire)
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on that thread has already failed the test that waits for a response.
            let _ = thread.join();
        }
    }
}

/// Returns an address on loopback where nothing listens.
///
/// # Errors
///
/// Fails when no port of the loopback address is free.
pub fn nobody() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("a free port")?;
    listener.local_addr().context("a free port's address")
}
