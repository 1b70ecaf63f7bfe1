//! A changed configuration or bundle, or a hang-up signal, puts a whole new snapshot in place; a bad one changes nothing.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::{
    proxy::{Proxy, Snapshot},
    telemetry::Metrics,
};

/// How often the files are looked at: soon enough for people, rarely enough for disks.
const LOOK: Duration = Duration::from_secs(2);

/// How a snapshot is built again, and which files tell that it should be.
pub struct Reload {
    /// Builds a snapshot from the files as they are now; blocks.
    pub build: Box<dyn Fn() -> Result<Snapshot, StartError> + Send + Sync>,
    /// The files whose change counts.
    pub watched: Vec<PathBuf>,
}

/// What a file looks like from outside; `None` while it is missing, as in the middle of a replacement.
type Look = Vec<Option<(SystemTime, u64)>>;

impl Reload {
    /// Watches until `stop`.
    pub(super) async fn run(self, proxy: Arc<Proxy>, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "no reload on SIGHUP");
                return;
            }
        };
        let reload = Arc::new(self);
        let mut served = look(&reload.watched);
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let seen = look(&reload.watched);
            let has_changed = seen != served && seen.iter().all(Option::is_some);
            if is_asked || has_changed {
                served = seen;
                Arc::clone(&reload).replace(&proxy, &metrics).await;
            }
        }
    }

    async fn replace(self: Arc<Self>, proxy: &Proxy, metrics: &Metrics) {
        let built = tokio::task::spawn_blocking(move || (self.build)()).await;
        match built {
            Ok(Ok(snapshot)) => {
                let before = proxy.snapshot();
                if before.config.listen != snapshot.config.listen || before.config.admin != snapshot.config.admin {
                    tracing::warn!("other addresses to listen on take effect after a restart");
                }
                proxy.replace(Arc::new(snapshot));
                metrics.reloaded("ok");
                tracing::info!("reloaded");
            }
            Ok(Err(error)) => {
                metrics.reloaded("refused");
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "the changed configuration is refused, the old one stays");
            }
            Err(error) => {
                metrics.reloaded("refused");
                tracing::error!(%error, "the reload broke off, the old configuration stays");
            }
        }
    }
}

/// A few `stat` calls; cached by the kernel, so cheap enough for this thread.
fn look(files: &[PathBuf]) -> Look {
    files.iter().map(|file| look_at(file)).collect()
}

fn look_at(file: &Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(file).ok()?;
    Some((about.modified().ok()?, about.len()))
}
