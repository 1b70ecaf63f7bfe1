//! A gateway in this process, on a free port, with the real plugin and ONNX Runtime.
//!
//! It runs on a thread of its own, so that blocking tests can use it as well as asynchronous ones.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use personaroute_gateway::app::{App, Listeners, Workers};
use personaroute_gateway::config;
use tokio::sync::oneshot;

use crate::{path, wait};

/// A running gateway; dropping it drains and stops it.
pub struct Gateway {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Gateway {
    /// Starts a gateway with this configuration; `listen: 127.0.0.1:0` lets the system choose the port.
    ///
    /// # Errors
    ///
    /// Fails like `personaroute serve`.
    pub fn start(yaml: &str) -> Result<Self> {
        let (addresses, listening) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let yaml = yaml.to_owned();
        let thread = std::thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || serve(&yaml, &addresses, stopped))
            .context("the gateway's thread")?;
        let Ok((address, admin)) = listening.recv_timeout(wait::LIMIT) else {
            let ended = thread.join().map_err(|_| anyhow!("the gateway's thread panicked"))?;
            return Err(ended.err().unwrap_or_else(|| anyhow!("the gateway ended before it listened")));
        };
        Ok(Self { address, admin, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address of its listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of its admin listener, if the configuration has one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Returns the base URL for an OpenAI client.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Drains and stops, and returns the result.
    ///
    /// # Errors
    ///
    /// Fails when the gateway failed while it ran.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the gateway's thread panicked"))?
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the gateway ended with: {error:#}");
        }
    }
}

type Addresses = (SocketAddr, Option<SocketAddr>);

fn serve(yaml: &str, addresses: &mpsc::Sender<Addresses>, stopped: oneshot::Receiver<()>) -> Result<()> {
    let loaded = config::parse(Path::new("test.yaml"), yaml, &environment).context("the configuration")?;
    let loaded = path::with_assets(loaded);
    let app = App::build(&loaded).context("building the gateway")?.on(Workers::start(2)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listeners = Listeners::bind(&loaded.config).await?;
        let sent = addresses.send((listeners.address()?, listeners.admin_address()));
        sent.map_err(|_| anyhow!("the test has ended"))?;
        app.serve(listeners, None, async {
            // The sender stops the gateway, or the test has ended.
            let _ = stopped.await;
        })
        .await;
        Ok(())
    })
}

/// The environment of the gateway under test: its API keys are not secret.
fn environment(name: &str) -> Option<String> {
    name.ends_with("_API_KEY").then(|| format!("test-{}", name.to_lowercase()))
}
