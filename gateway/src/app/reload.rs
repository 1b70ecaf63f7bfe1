//! Replaces the snapshot when a file has changed or on SIGHUP. A configuration that is refused changes nothing.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{StartError, restart_keys::Started};
use crate::{
    config::file_stamp::{FileStamp, FileStamps},
    proxy::{Proxy, Snapshot},
    telemetry::Metrics,
};

/// Pause between two polls of the files: short for an operator, and long for a disk.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Polls until a refused configuration is tried again although no watched file has changed: it may name a file that did not
/// exist.
const POLLS_BEFORE_RETRY: u32 = 10;

/// How a snapshot is built again, and which files are watched.
pub struct Reload {
    /// Builds a snapshot from the files as they are now; blocks.
    pub build: Box<dyn Fn() -> Result<Snapshot, StartError> + Send + Sync>,
    /// Files that must exist and are watched in addition to those of the live snapshot.
    pub watched: Vec<PathBuf>,
}

impl Reload {
    /// Watches until `stop`; `started` is what the process was started with.
    pub(super) async fn run(self, proxy: Arc<Proxy>, metrics: Arc<Metrics>, started: Started, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "the configuration is not reloaded: no handler for SIGHUP");
                return;
            }
        };
        let reload = Arc::new(self);
        let mut previous = reload.stamps(&proxy);
        let mut served = reload.served(&previous, &proxy);
        let mut refused: Option<String> = None;
        let mut polls = 0;
        loop {
            let is_requested = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(POLL_INTERVAL) => false,
            };
            let current = reload.stamps(&proxy);
            // Reload waits until the files have been stable for one poll. Only the watched files must exist: a file of the
            // live snapshot may be missing because the new configuration does not name it.
            let exist = reload.watched.iter().all(|file| current.get(file).is_some_and(Option::is_some));
            let is_stable = current == previous && exist;
            previous.clone_from(&current);
            polls += 1;
            let is_retry = refused.is_some() && polls >= POLLS_BEFORE_RETRY;
            if is_requested || (is_stable && (current != served || is_retry)) {
                polls = 0;
                // On SIGHUP the same error is logged again.
                let known_error = refused.take().filter(|_| !is_requested);
                refused = Arc::clone(&reload).replace(&proxy, &metrics, &started, known_error).await;
                served = if refused.is_some() { current } else { reload.served(&current, &proxy) };
                previous = reload.stamps(&proxy);
            }
        }
    }

    /// Installs a new snapshot. Returns the error if it is refused, which is not logged again if it is `known_error`.
    async fn replace(
        self: Arc<Self>,
        proxy: &Proxy,
        metrics: &Metrics,
        started: &Started,
        known_error: Option<String>,
    ) -> Option<String> {
        let built = tokio::task::spawn_blocking(move || (self.build)()).await;
        let accepted = match built {
            Ok(Ok(snapshot)) => started.refusal(&snapshot.config).map_or(Ok(snapshot), Err),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(error) => Err(error.to_string()),
        };
        let refused = match accepted {
            Ok(mut snapshot) => {
                snapshot.models.inherit_state(&proxy.snapshot().models);
                let pending = started.pending(&snapshot.config).join(", ");
                proxy.replace(Arc::new(snapshot));
                metrics.reloaded("ok");
                tracing::info!("reloaded");
                if !pending.is_empty() {
                    tracing::warn!(keys = pending, "changed keys take effect after a restart");
                }
                return None;
            }
            Err(refused) => refused,
        };
        if known_error.as_deref() != Some(&refused) {
            metrics.reloaded("refused");
            tracing::error!(error = refused, "the changed configuration is refused, the old one stays in effect");
        }
        Some(refused)
    }

    /// Takes the stamps of all files. A few `stat` calls, which the kernel caches, are cheap enough for this thread.
    fn stamps(&self, proxy: &Proxy) -> FileStamps {
        let live = proxy.snapshot();
        self.watched.iter().chain(live.files.keys()).map(|file| (file.clone(), FileStamp::of(file))).collect()
    }

    /// Returns the stamps of the files from which the live snapshot was made; those that it does not name are `current`.
    fn served(&self, current: &FileStamps, proxy: &Proxy) -> FileStamps {
        let mut stamps = proxy.snapshot().files.clone();
        for file in &self.watched {
            stamps.entry(file.clone()).or_insert_with(|| current.get(file).cloned().flatten());
        }
        stamps
    }
}

/// Returns the message of an error and of its causes.
fn with_causes(error: &StartError) -> String {
    let mut message = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        next = cause.source();
    }
    message
}
