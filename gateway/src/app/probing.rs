//! Keeps probing the upstreams of the live configuration that are to be probed.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{proxy::Proxy, telemetry::Metrics, upstream::probe};

/// Probes until `stop`; a reload begins anew with its own upstreams.
pub(super) async fn run(proxy: Arc<Proxy>, metrics: Arc<Metrics>, stop: CancellationToken) {
    loop {
        let live = proxy.snapshot();
        let told = |upstream: &str, is_well| metrics.probed(upstream, is_well);
        let probing = async {
            join_all(live.roster.peers().map(|peer| probe::watch(peer, told))).await;
            // Where nothing is probed there is nothing to do before the next reload.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = proxy.replaced() => {}
            () = probing => {}
        }
    }
}
