//! `personaroute serve` and `personaroute chat`.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use tokio::signal::unix::{SignalKind, signal};

use super::Failed;
use crate::{
    app::{self, App, Listeners, Reload, Workers},
    cli,
    config::{self, Loaded, Overrides},
    telemetry::log,
};

/// Serves until SIGTERM or SIGINT.
pub(super) fn serve(options: &cli::Serve, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    run(&options.config, &options.overrides, env, |_| None)
}

/// Serves on a port of this machine and prints the page's address.
pub(super) fn chat(options: &cli::Chat, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    if options.share {
        let advice = "--share is not supported: anyone who found the page could use it; \
                      forward the port instead, as in `ssh -L 7860:localhost:7860 HOST`";
        return Err(Failed::Usage(advice.to_owned()));
    }
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let overrides = Overrides { listen: Some(listen), ..options.overrides.clone() };
    run(&options.config, &overrides, env, |address| Some(format!("chat page: http://{address}/")))
}

fn run(
    file: &Path,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
    greeting: impl Fn(SocketAddr) -> Option<String>,
) -> Result<(), Failed> {
    let runtime = runtime()?;
    // Before anything takes time: a hang-up that nobody handles ends the process. What it would tell of is noticed anyway,
    // because files are looked at before they are read.
    let _hangups = {
        let _entered = runtime.enter();
        signal(SignalKind::hangup()).map_err(Failed::io("listening for signals"))?
    };
    let loaded = config::load(file, overrides, env)?;
    log::start(&loaded.config.log).map_err(|error| Failed::Usage(format!("log.filter: {error}")))?;
    let workers = Workers::start(threads()).map_err(Failed::io("starting the worker threads"))?;
    let app = App::build(&loaded)?.on(workers);
    let reload = reload(&loaded, overrides.clone());
    runtime.block_on(async {
        let listeners = Listeners::bind(&loaded.config).await?;
        let address = listeners.address().map_err(Failed::io("reading the listener's address"))?;
        tracing::info!(%address, admin = listeners.admin_address().map(tracing::field::display), "listening");
        if let Some(text) = greeting(address) {
            writeln!(std::io::stdout().lock(), "{text}").map_err(Failed::io("writing to stdout"))?;
        }
        app.serve(listeners, Some(reload), signalled()?).await;
        Ok(())
    })
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Returns the runtime that accepts connections and does what is no connection's.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failed::io("starting the async runtime"))
}

/// Returns how the same file is read again, with the same overrides.
fn reload(loaded: &Loaded, overrides: Overrides) -> Reload {
    let file = loaded.path.clone();
    let watched = vec![file.clone()];
    let build = move || {
        let env = |name: &str| std::env::var(name).ok();
        app::open(&config::load(&file, &overrides, &env)?)
    };
    Reload { build: Box::new(build), watched }
}

/// Waits for SIGTERM or SIGINT.
fn signalled() -> Result<impl Future<Output = ()>, Failed> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::io("listening for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failed::io("listening for signals"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
