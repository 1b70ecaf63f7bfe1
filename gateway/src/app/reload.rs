//! A changed configuration or bundle, or a hang-up signal, puts a whole new snapshot in place; a bad one changes nothing.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{StartError, start::Start};
use crate::{
    config::look::{Look, Looks},
    proxy::{Proxy, Snapshot},
    telemetry::Metrics,
};

/// How often the files are looked at: soon enough for people, rarely enough for disks.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until a refused configuration is tried again although no watched file changed: it may name one that is to come.
const AGAIN: u32 = 10;

/// How a snapshot is built again, and which files tell that it should be.
pub struct Reload {
    /// Builds a snapshot from the files as they are now; blocks.
    pub build: Box<dyn Fn() -> Result<Snapshot, StartError> + Send + Sync>,
    /// The files that must be there and whose change counts, besides those that the live snapshot names.
    pub watched: Vec<PathBuf>,
}

impl Reload {
    /// Watches until `stop`; `start` is what the process began with.
    pub(super) async fn run(self, proxy: Arc<Proxy>, metrics: Arc<Metrics>, start: Start, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "no reload on SIGHUP");
                return;
            }
        };
        let reload = Arc::new(self);
        let mut before = reload.look(&proxy);
        let mut served = reload.served(&before, &proxy);
        let mut refused: Option<String> = None;
        let mut looks = 0;
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let seen = reload.look(&proxy);
            // Who writes in several steps is waited for: two looks must find the same. Others than the configuration may
            // be missing for good, where that no longer names them.
            let is_there = reload.watched.iter().all(|file| seen.get(file).is_some_and(Option::is_some));
            let is_settled = seen == before && is_there;
            before.clone_from(&seen);
            looks += 1;
            let is_tried_again = refused.is_some() && looks >= AGAIN;
            if is_asked || (is_settled && (seen != served || is_tried_again)) {
                looks = 0;
                // Who asks is told again.
                let told = refused.take().filter(|_| !is_asked);
                refused = Arc::clone(&reload).replace(&proxy, &metrics, &start, told).await;
                served = if refused.is_some() { seen } else { reload.served(&seen, &proxy) };
                before = reload.look(&proxy);
            }
        }
    }

    /// Puts a new snapshot in place; returns why not, which is told once as long as it stays the same as `before`.
    async fn replace(
        self: Arc<Self>,
        proxy: &Proxy,
        metrics: &Metrics,
        start: &Start,
        before: Option<String>,
    ) -> Option<String> {
        let built = tokio::task::spawn_blocking(move || (self.build)()).await;
        let taken = match built {
            Ok(Ok(snapshot)) => start.refusal(&snapshot.config).map_or(Ok(snapshot), Err),
            Ok(Err(error)) => Err(told(&error)),
            Err(error) => Err(error.to_string()),
        };
        let refused = match taken {
            Ok(mut snapshot) => {
                snapshot.models.inherit_state(&proxy.snapshot().models);
                let waiting = start.waiting(&snapshot.config).join(", ");
                proxy.replace(Arc::new(snapshot));
                metrics.reloaded("ok");
                tracing::info!("reloaded");
                if !waiting.is_empty() {
                    tracing::warn!(keys = waiting, "changed keys take effect after a restart");
                }
                return None;
            }
            Err(refused) => refused,
        };
        if before.as_deref() != Some(&refused) {
            metrics.reloaded("refused");
            tracing::error!(error = refused, "the changed configuration is refused, the old one stays");
        }
        Some(refused)
    }

    /// A few `stat` calls; cached by the kernel, so cheap enough for this thread.
    fn look(&self, proxy: &Proxy) -> Looks {
        let live = proxy.snapshot();
        self.watched.iter().chain(live.files.keys()).map(|file| (file.clone(), Look::at(file))).collect()
    }

    /// Returns how the files looked when the live snapshot was made of them; those that it does not name are as `seen`.
    fn served(&self, seen: &Looks, proxy: &Proxy) -> Looks {
        let mut looks = proxy.snapshot().files.clone();
        for file in &self.watched {
            looks.entry(file.clone()).or_insert_with(|| seen.get(file).cloned().flatten());
        }
        looks
    }
}

/// The error with its causes.
fn told(error: &StartError) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_told = cause.to_string();
        if !told.ends_with(&cause_told) {
            told = format!("{told}: {cause_told}");
        }
        next = cause.source();
    }
    told
}
