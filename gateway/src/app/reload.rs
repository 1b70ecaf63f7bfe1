//! A changed configuration or bundle, or a hang-up signal, puts a whole new snapshot in place; a bad one changes nothing.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
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
const LOOK: Duration = Duration::from_secs(1);

/// Looks until a refused configuration is tried again although no watched file changed: it may name one that is to come.
const AGAIN: u32 = 10;

/// How a snapshot is built again, and which files tell that it should be.
pub struct Reload {
    /// Builds a snapshot from the files as they are now; blocks.
    pub build: Box<dyn Fn() -> Result<Snapshot, StartError> + Send + Sync>,
    /// The files whose change counts, besides those that the live snapshot names.
    pub watched: Vec<PathBuf>,
}

/// What a file looks like from outside: contents may be replaced in place, by renaming, or by a link that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    modified: SystemTime,
    changed: (i64, i64),
    bytes: u64,
    inode: u64,
}

/// The looks of all watched files; `None` while one is missing, as in the middle of a replacement.
type Looks = BTreeMap<PathBuf, Option<Look>>;

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
        let mut served = reload.look(&proxy);
        let mut before = served.clone();
        let mut refused: Option<String> = None;
        let mut looks = 0;
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let seen = reload.look(&proxy);
            // Who writes in several steps is waited for: two looks must find the same.
            let is_settled = seen == before && seen.values().all(Option::is_some);
            before.clone_from(&seen);
            looks += 1;
            let is_tried_again = refused.is_some() && looks >= AGAIN;
            if is_asked || (is_settled && (seen != served || is_tried_again)) {
                looks = 0;
                refused = Arc::clone(&reload).replace(&proxy, &metrics, refused).await;
                // The new configuration may name other files.
                served = Looks::from_iter(reload.look(&proxy).into_iter().map(|(file, now)| {
                    let known = seen.get(&file).cloned();
                    (file, known.unwrap_or(now))
                }));
                before.clone_from(&served);
            }
        }
    }

    /// Puts a new snapshot in place; returns why not, which is told once as long as it stays the same as `before`.
    async fn replace(self: Arc<Self>, proxy: &Proxy, metrics: &Metrics, before: Option<String>) -> Option<String> {
        let built = tokio::task::spawn_blocking(move || (self.build)()).await;
        let refused = match built {
            Ok(Ok(mut snapshot)) => {
                let before = proxy.snapshot();
                warn_of_restart(&before, &snapshot);
                snapshot.roster.carry_on(&before.roster);
                proxy.replace(Arc::new(snapshot));
                metrics.reloaded("ok");
                tracing::info!("reloaded");
                return None;
            }
            Ok(Err(error)) => told(&error),
            Err(error) => error.to_string(),
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
        self.watched.iter().chain(&live.files).map(|file| (file.clone(), look_at(file))).collect()
    }
}

fn warn_of_restart(before: &Snapshot, after: &Snapshot) {
    let (before, after) = (&before.config, &after.config);
    if before.listen != after.listen || before.admin != after.admin {
        tracing::warn!("other addresses to listen on take effect after a restart");
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

/// Follows links: where a volume swaps them, another file is found.
fn look_at(file: &Path) -> Option<Look> {
    let about = std::fs::metadata(file).ok()?;
    let changed = (about.ctime(), about.ctime_nsec());
    Some(Look { modified: about.modified().ok()?, changed, bytes: about.len(), inode: about.ino() })
}
