//! Keeps probing the upstreams of the live configuration that are to be probed.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::{proxy::Proxy, telemetry::Metrics, upstream::probe};

/// Probes until `stop`; a reload begins anew with its own upstreams.
pub(super) async fn run(proxy: Arc<Proxy>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut before: Vec<String> = Vec::new();
    loop {
        let live = proxy.snapshot();
        let probed = live.models.upstreams().filter(|upstream| upstream.config.health.is_some());
        let probed: Vec<String> = probed.map(|upstream| upstream.config.name.clone()).collect();
        before.iter().filter(|known| !probed.contains(known)).for_each(|gone| metrics.unprobed(gone));
        before = probed;
        let told = |upstream: &str, is_well| metrics.probed(upstream, is_well);
        let probing = async {
            join_all(live.models.upstreams().map(|upstream| probe::run(upstream, told))).await;
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
