//! Builds a snapshot: everything that a reload replaces, from a configuration and the router that it names.

use std::sync::Arc;

use personaroute_bundle::folder::Bundle;
use personaroute_host::{Limits, OpenError, Provider, Router, RouterOptions};

use super::{StartError, assets::Assets, spending};
use crate::{
    config::{
        self, Config, Loaded,
        file_stamp::{self, FileStamps},
    },
    proxy::{Snapshot, retry::RetryBudget},
    routing::{self, RoutePool, Scorer},
    server::tls,
    upstream::{ModelRegistry, http_client},
};

/// Opens the router that `loaded` names and builds a snapshot with it; blocks.
///
/// # Errors
///
/// Fails when a part is missing or does not fit.
pub fn open(loaded: &Loaded) -> Result<Snapshot, StartError> {
    let assets = Assets::locate(loaded)?;
    let mut stamps = FileStamps::new();
    for file in assets.watched() {
        file_stamp::record(&mut stamps, &file);
    }
    let router = Router::open(&options(&loaded.config.router, assets))?;
    let models = models(loaded, router.bundle())?;
    let scorer: Arc<dyn Scorer> = Arc::new(router);
    let mut snapshot = snapshot(loaded.config.clone(), models, &scorer)?;
    snapshot.files.append(&mut stamps);
    Ok(snapshot)
}

/// Builds a snapshot with `scorer` as its router.
///
/// # Errors
///
/// Fails when the listener's certificates cannot be used, or the system gives no threads.
pub fn snapshot(config: Config, models: ModelRegistry, scorer: &Arc<dyn Scorer>) -> Result<Snapshot, StartError> {
    let tls = config.tls.as_ref().map(tls::settings).transpose()?;
    let files = config.files.clone();
    let config::Router { threads, queue, batch, deadline, .. } = config.router;
    let routing = RoutePool::start(scorer, routing::PoolLimits { threads, queue, batch, deadline });
    let routing = routing.map_err(StartError::Thread)?;
    Ok(Snapshot { retry_budget: RetryBudget::new(config.retry.budget), config, models, routing, tls, files })
}

/// Checks `loaded` with its bundle, without opening the router, as `personaroute check` does.
///
/// # Errors
///
/// Fails when a part is missing or refused, or the configuration does not fit the bundle.
pub fn check(loaded: &Loaded) -> Result<ModelRegistry, StartError> {
    loaded.config.tls.as_ref().map(tls::settings).transpose()?;
    spending::check(&loaded.config)?;
    let assets = Assets::locate(loaded)?;
    let bundle = Bundle::open(assets.bundle).map_err(OpenError::Bundle)?;
    models(loaded, &bundle)
}

/// Joins the configuration with the bundle. An error has the position in the file.
fn models(loaded: &Loaded, bundle: &Bundle) -> Result<ModelRegistry, StartError> {
    let refused = |rejection| config::Error::invalid(&loaded.path, rejection);
    loaded.config.check_tasks(bundle.tasks.tasks.iter().map(|task| task.name.as_str())).map_err(refused)?;
    let models = ModelRegistry::build(&loaded.config, &bundle.catalog, &http_client::tls()?);
    Ok(models.map_err(refused)?)
}

fn options(router: &config::Router, assets: Assets) -> RouterOptions {
    RouterOptions {
        onnxruntime: assets.onnxruntime,
        encoder: assets.encoder,
        provider: match router.provider {
            config::Provider::Cpu => Provider::Cpu,
            config::Provider::Cuda => Provider::Cuda { device: router.cuda_device },
        },
        limits: Limits {
            memory_bytes: router.memory,
            deadline: router.deadline,
            log_messages: router.log_messages,
            encoder_queue: router.encoder_queue,
            encoder_cache: router.encoder_cache,
            instance_calls: router.instance_calls,
            ..Limits::default()
        },
        ..RouterOptions::new(assets.bundle, assets.plugin)
    }
}
