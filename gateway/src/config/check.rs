//! From what is written to what is meant: checks each section, then the rules that take more than one.

use super::{
    Auth, Breaker, Config, Cors, Hedge, Learning, Limits, Log, Retry, Router, State, Timeouts, Tls,
    auth::{ModelNames, require_client_ca},
    error::{Error, Fault, Rejection},
    file_stamp::FileStamps,
    folder::Folder,
    model, raw,
    secret::{Env, Secret},
    traces::FileTraces,
    upstream,
};

/// Returns what `raw` means; paths are relative to `folder`.
pub(super) fn check(raw: &raw::Config, folder: &Folder<'_>, env: Env<'_>) -> Result<Config, Error> {
    let traces = FileTraces::check(&raw.traces, env).map_err(|rejection| folder.invalid(rejection))?;
    let mut config = sections(raw, folder, env).map_err(|rejection| folder.invalid(rejection))?;
    config.traces = traces.in_environment(env)?;
    Ok(config)
}

fn sections(raw: &raw::Config, folder: &Folder<'_>, env: Env<'_>) -> Result<Config, Rejection> {
    if raw.version.value != 1 {
        return Err(raw.version.reject(Fault::Version { found: raw.version.value }));
    }
    let admin_token = raw.admin_token.as_ref().map(|written| Secret::resolve("admin_token", written, env));
    let tls = raw.tls.as_ref().map(|tls| Tls::check(tls, |path| folder.resolve(path))).transpose()?;
    let upstreams = upstream::check(&raw.upstreams, folder, env)?;
    let models = model::models(&raw.models, &upstreams)?;
    let virtual_models = model::virtual_models(&raw.virtual_models, &models)?;
    let names = ModelNames { models: &models, virtual_models: &virtual_models };
    let state = State::check(&raw.state, folder, env)?;
    let config = Config {
        listen: raw.listen.value,
        admin: raw.admin.as_ref().map(|admin| admin.value),
        admin_token: admin_token.transpose()?,
        files: FileStamps::new(),
        auth: Auth::check(&raw.auth, names)?,
        cors: raw.cors.as_ref().map(Cors::check).transpose()?,
        learning: Learning::check(&raw.learning, &state, folder)?,
        state,
        limits: Limits::check(&raw.limits)?,
        timeouts: Timeouts::check(&raw.timeouts)?,
        retry: Retry::check(&raw.retry)?,
        hedge: raw.hedge.as_ref().map(Hedge::check).transpose()?,
        breaker: Breaker::check(&raw.breaker)?,
        router: Router::check(&raw.router, &raw.plugin)?,
        log: Log::check(&raw.log, env)?,
        traces: None,
        tls,
        upstreams,
        models,
        virtual_models,
    };
    listeners(raw, &config)?;
    Ok(config)
}

/// A listener that other machines can reach needs keys, or a token.
fn listeners(raw: &raw::Config, config: &Config) -> Result<(), Rejection> {
    if config.auth.keys.is_none() && !config.listen.ip().is_loopback() {
        return Err(raw.listen.reject(Fault::PublicWithoutKeys(config.listen)));
    }
    if let Some(admin) = raw.admin.as_ref().filter(|admin| !admin.ip().is_loopback())
        && config.admin_token.is_none()
    {
        return Err(admin.reject(Fault::PublicWithoutToken(admin.value)));
    }
    let keys = raw.auth.keys.as_ref().map_or(&[][..], |keys| &keys.value);
    require_client_ca(keys, config.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()))
}
