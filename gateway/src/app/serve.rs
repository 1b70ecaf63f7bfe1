//! Spawns every task of the gateway, and drains them at shutdown.

use std::{future::Future, sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    App, Listeners, Reload, listeners::ListenerKind, probing, restart_keys::Started, shutdown::ShutdownSignals,
    sweeping,
};

/// How long the last spans and the last spending may take to be sent after the last request.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

impl App {
    /// Serves `listeners` until `leave` is ready, then finishes running requests until the drain deadline.
    pub async fn serve(mut self, listeners: Listeners, reload: Option<Reload>, leave: impl Future<Output = ()>) {
        let senders = self.spawn_senders();
        let app = Arc::new(self);
        let address = listeners.address();
        // The admin listener has signals of its own: it reports that the gateway drains.
        let admin_signals = ShutdownSignals::default();
        if let Some(admin) = listeners.admin {
            let listen = Arc::clone(&app).listen(admin, ListenerKind::Admin, admin_signals.clone());
            admin_signals.tasks.spawn(listen);
        }
        let signals = ShutdownSignals::default();
        if let Some(reload) = reload {
            let config = app.proxy.snapshot().config.clone();
            let started = Started { address: address.unwrap_or(config.listen), config };
            let watch = reload.run(Arc::clone(&app.proxy), Arc::clone(&app.metrics), started, signals.stop.clone());
            signals.tasks.spawn(watch);
        }
        signals.tasks.spawn(probing::run(Arc::clone(&app.proxy), Arc::clone(&app.metrics), signals.stop.clone()));
        signals.tasks.spawn(sweeping::run(Arc::clone(&app.proxy), signals.stop.clone()));
        signals.tasks.spawn(Arc::clone(&app).listen(listeners.main, ListenerKind::Main, signals.clone()));
        leave.await;
        app.health.drain();
        tracing::info!(tasks = signals.tasks.len(), deadline_ms = app.drain.as_millis(), "draining");
        signals.drain(app.drain).await;
        senders.flush().await;
        admin_signals.drain(FLUSH_TIMEOUT).await;
        tracing::info!("drained");
    }

    /// Spawns what sends spans and spending. It stops after the last request, whose spans and spending it still sends.
    fn spawn_senders(&mut self) -> Senders {
        let senders = Senders::default();
        if let Some(exporter) = self.exporter.take() {
            senders.tasks.spawn(exporter.run(senders.stop.clone()));
        }
        if let Some(store_sync) = self.store_sync.take() {
            senders.tasks.spawn(store_sync.run(senders.stop.clone()));
        }
        senders.tasks.close();
        senders
    }
}

/// The tasks that send spans and spending.
#[derive(Debug, Default)]
struct Senders {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Senders {
    async fn flush(&self) {
        self.stop.cancel();
        if tokio::time::timeout(FLUSH_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("the last spans or spending are lost: the trace collector or the shared store is too slow");
        }
    }
}
