//! Keeps closing connections to upstreams that nobody uses any more.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{proxy::Proxy, upstream::Upstream};

/// Pause between two rounds: connections are kept several times as long.
const PAUSE: Duration = Duration::from_secs(10);

/// Sweeps until `stop`; the connections of a snapshot that was replaced go with it.
pub(super) async fn run(proxy: Arc<Proxy>, stop: CancellationToken) {
    while tokio::time::timeout(PAUSE, stop.cancelled()).await.is_err() {
        proxy.snapshot().models.upstreams().for_each(|upstream| Upstream::close_idle(upstream));
    }
}
