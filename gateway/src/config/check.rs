//! From what is written to what is meant: names resolved, ranges and contradictions checked.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Display,
    sync::Arc,
    time::Duration,
};

use http::Uri;
use serde_saphyr::Spanned;

use super::{Auth, Config, Fault, Key, Kind, Model, Place, Secret, State, Upstream, VirtualModel, raw};
use crate::decide::{Constraints, Policy};

type Checked<T> = Result<T, (Place, Fault)>;

/// Returns what `raw` means.
pub(super) fn check(raw: &raw::Config, env: &dyn Fn(&str) -> Option<String>) -> Checked<Config> {
    if raw.version.value != 1 {
        return Err((Place::of(&raw.version), Fault::Version { found: raw.version.value }));
    }
    listener(raw)?;
    tls(raw)?;
    numbers(raw)?;
    log(&raw.log)?;
    let upstreams = upstreams(&raw.upstreams, env)?;
    let models = models(&raw.models, &upstreams)?;
    let virtual_models = virtual_models(&raw.virtual_models, &models)?;
    let auth = auth(&raw.auth, &models, &virtual_models)?;
    let shared = raw.state.shared.as_ref().map(|shared| super::shared::check(shared, env)).transpose()?;
    Ok(Config {
        auth,
        // The caller knows where the files lie.
        state: State { file: None, shared },
        tls: None,
        files: super::look::Looks::new(),
        listen: raw.listen.value,
        admin: raw.admin,
        limits: raw.limits.clone(),
        timeouts: raw.timeouts.clone(),
        retry: raw.retry.clone(),
        hedge: raw.hedge,
        breaker: raw.breaker,
        router: raw.router.clone(),
        log: raw.log.clone(),
        traces: super::traces::check(&raw.traces, env)?,
        upstreams,
        models,
        virtual_models,
    })
}

/// Without keys only this machine may call.
pub(super) fn listener(raw: &raw::Config) -> Checked<()> {
    let address = raw.listen.value;
    match raw.auth.mode {
        raw::AuthMode::None if !address.ip().is_loopback() => {
            Err((Place::of(&raw.listen), Fault::PublicWithoutKeys(address)))
        }
        raw::AuthMode::None | raw::AuthMode::Keys => Ok(()),
    }
}

/// Clients' certificates mean nothing without somebody who vouches for them.
fn tls(raw: &raw::Config) -> Checked<()> {
    let authority = raw.tls.as_ref().and_then(|tls| tls.client_ca.as_ref());
    vouched(&raw.auth.keys, authority.is_some())?;
    let is_asked_for = raw.tls.as_ref().is_some_and(|tls| tls.client_certificate.is_some());
    if is_asked_for && authority.is_none() {
        let fault = value("tls.client_certificate", "must not be given without `tls.client_ca`", "no client_ca");
        return Err((Place::default(), fault));
    }
    Ok(())
}

/// Refuses `keys` that certificates stand for where nobody is asked for one.
pub(super) fn vouched(keys: &[raw::Key], has_authority: bool) -> Checked<()> {
    match keys.iter().find_map(|key| key.certificate.as_ref()).filter(|_| !has_authority) {
        Some(written) => {
            let fault = value("certificate", "must not be given without `tls.client_ca`", "no client_ca");
            Err((Place::of(written), fault))
        }
        None => Ok(()),
    }
}

/// A filter that cannot be read would keep the gateway from starting.
fn log(log: &raw::Log) -> Checked<()> {
    let expected = "must be a level, or directives such as info,personaroute_gateway=debug";
    let read = tracing_subscriber::EnvFilter::builder().parse(&log.filter);
    read.map(|_| ()).map_err(|_| (Place::default(), value("log.filter", expected, &log.filter)))
}

/// Zero would refuse or cut every request, which nobody means.
fn numbers(raw: &raw::Config) -> Checked<()> {
    let (limits, router) = (&raw.limits, &raw.router);
    let counts = [
        ("limits.body", limits.body),
        ("limits.head", limits.head),
        ("limits.headers", limits.headers),
        ("limits.response_buffer", limits.response_buffer),
        ("limits.connections", limits.connections),
        ("limits.requests", limits.requests),
        ("limits.batch", limits.batch),
        ("limits.user_chars", limits.user_chars),
        ("limits.max_tracked_users", limits.max_tracked_users),
        ("plugin.instance_calls", raw.plugin.instance_calls as usize),
        ("router.threads", router.threads),
        ("router.queue", router.queue),
        ("router.batch", router.batch),
        ("router.memory", router.memory),
        ("router.encoder_queue", router.encoder_queue),
        ("retry.attempts", raw.retry.attempts),
        ("retry.rounds", raw.retry.rounds as usize),
        ("breaker.failures", raw.breaker.failures as usize),
    ];
    for (key, count) in counts {
        if count == 0 {
            return Err((Place::default(), value(key, "must be at least 1", "0")));
        }
    }
    // Hyper refuses to read heads through a smaller buffer.
    if limits.head < 8192 {
        return Err((Place::default(), value("limits.head", "must be at least 8KiB", limits.head)));
    }
    // The host runs no plugin in less.
    if router.memory < 2 << 20 {
        return Err((Place::default(), value("router.memory", "must be at least 2MiB", router.memory)));
    }
    // The queue is allocated at once.
    if router.queue > 1_000_000 {
        return Err((Place::default(), value("router.queue", "must be at most 1000000", router.queue)));
    }
    if !(0.0..=100.0).contains(&raw.retry.budget) {
        return Err((Place::default(), value("retry.budget", "must be from 0 to 100", raw.retry.budget)));
    }
    let timeouts = &raw.timeouts;
    let spans = [
        ("timeouts.header_read", timeouts.header_read),
        ("timeouts.body_read", timeouts.body_read),
        ("timeouts.write", timeouts.write),
        ("timeouts.handshake", timeouts.handshake),
        ("timeouts.connect", timeouts.connect),
        ("timeouts.first_byte", timeouts.first_byte),
        ("timeouts.idle", timeouts.idle),
        ("timeouts.total", timeouts.total),
        ("router.deadline", router.deadline),
        ("breaker.cooldown", raw.breaker.cooldown),
        ("hedge.after", raw.hedge.map_or(Duration::MAX, |hedge| hedge.after)),
    ];
    match spans.into_iter().find(|(_, span)| span.is_zero()) {
        Some((key, _)) => Err((Place::default(), value(key, "must be longer than 0", "0ms"))),
        None => Ok(()),
    }
}

fn upstreams(raw: &[raw::Upstream], env: &dyn Fn(&str) -> Option<String>) -> Checked<BTreeMap<String, Arc<Upstream>>> {
    if raw.is_empty() {
        return Err((Place::default(), Fault::Empty("upstreams")));
    }
    let mut upstreams = BTreeMap::new();
    for written in raw {
        let upstream = Arc::new(upstream(written, env)?);
        if upstreams.insert(upstream.name.clone(), upstream).is_some() {
            return Err((Place::of(&written.name), duplicate("upstream", &written.name.value)));
        }
    }
    Ok(upstreams)
}

fn upstream(raw: &raw::Upstream, env: &dyn Fn(&str) -> Option<String>) -> Checked<Upstream> {
    let base_url = raw.base_url.as_ref().map(base_url).transpose()?;
    if base_url.is_none() && raw.kind != Kind::Simulated {
        let fault = Fault::MissingKey { upstream: raw.name.value.clone(), kind: raw.kind.as_str(), key: "base_url" };
        return Err((Place::of(&raw.name), fault));
    }
    let api_key = match &raw.api_key {
        Some(written) => {
            Some(Secret::resolve("api_key", &written.value, env).map_err(|fault| (Place::of(written), fault))?)
        }
        None => None,
    };
    for (name, text) in &raw.headers {
        let is_valid = http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(text).is_ok();
        if !is_valid {
            return Err((Place::of(&raw.name), value("headers", "must be valid HTTP headers", name)));
        }
    }
    if let Some(probe) = &raw.health {
        health(probe).map_err(|fault| (Place::of(&raw.name), fault))?;
    }
    Ok(Upstream {
        name: raw.name.value.clone(),
        kind: raw.kind,
        base_url,
        api_key,
        headers: raw.headers.clone(),
        health: raw.health.clone(),
        output_limit: raw.output_limit,
        chunk_delay: raw.chunk_delay,
    })
}

fn health(probe: &raw::Probe) -> Result<(), Fault> {
    let is_path = probe.path.starts_with('/') && probe.path.parse::<http::uri::PathAndQuery>().is_ok();
    if !is_path {
        return Err(value("health.path", "must be a path that begins with /", &probe.path));
    }
    let spans = [("health.interval", probe.interval), ("health.timeout", probe.timeout)];
    if let Some((key, _)) = spans.into_iter().find(|(_, span)| span.is_zero()) {
        return Err(value(key, "must be longer than 0", "0ms"));
    }
    let counts = [("health.failures", probe.failures), ("health.successes", probe.successes)];
    match counts.into_iter().find(|(_, count)| *count == 0) {
        Some((key, _)) => Err(value(key, "must be at least 1", "0")),
        None => Ok(()),
    }
}

fn base_url(written: &Spanned<String>) -> Checked<Uri> {
    let refused = || {
        let fault = value("base_url", "must be an http or https URL without query", &written.value);
        (Place::of(written), fault)
    };
    // Whether or not it can be read: it is shown in logs and by `personaroute check`, and may hold a password.
    let authority = written.value.split_once("//").map_or(&*written.value, |(_, rest)| rest);
    if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
        let expected = "must not hold a user or a password: use `api_key`";
        return Err((Place::of(written), value("base_url", expected, "USER@")));
    }
    let uri: Uri = written.value.parse().map_err(|_| refused())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    if is_http && uri.query().is_none() { Ok(uri) } else { Err(refused()) }
}

fn models(raw: &[raw::Model], upstreams: &BTreeMap<String, Arc<Upstream>>) -> Checked<Vec<Model>> {
    if raw.is_empty() {
        return Err((Place::default(), Fault::Empty("models")));
    }
    let mut models = Vec::with_capacity(raw.len());
    let mut seen = HashSet::new();
    for written in raw {
        let upstream = upstreams.get(&written.upstream.value).ok_or_else(|| {
            let known = upstreams.keys().map(String::as_str);
            (Place::of(&written.upstream), unknown("upstream", &written.upstream.value, known))
        })?;
        let name = written.name.clone().unwrap_or_else(|| written.llm.value.clone());
        if !seen.insert((&written.llm.value, &upstream.name, name.clone())) {
            return Err((Place::of(&written.llm), duplicate("model", &written.llm.value)));
        }
        prices(written)?;
        models.push(Model {
            place: Place::of(&written.llm),
            llm: written.llm.value.clone(),
            upstream: Arc::clone(upstream),
            name,
            input_price: written.input_price,
            output_price: written.output_price,
            cached_input_price: written.cached_input_price,
            context_window: written.context_window,
            capabilities: written.capabilities.clone(),
            region: written.region.clone(),
        });
    }
    Ok(models)
}

fn prices(model: &raw::Model) -> Checked<()> {
    let prices = [
        ("input_price", model.input_price),
        ("output_price", model.output_price),
        ("cached_input_price", model.cached_input_price),
    ];
    amounts(&prices).map_err(|fault| (Place::of(&model.llm), fault))
}

/// No price is less than nothing, and none is no number: all comparisons with that are false.
fn amounts(prices: &[(&'static str, Option<f32>)]) -> Result<(), Fault> {
    for (key, price) in prices {
        if let Some(price) = price
            && !(price.is_finite() && *price >= 0.0)
        {
            return Err(value(key, "must be at least 0", price));
        }
    }
    Ok(())
}

fn virtual_models(raw: &[raw::VirtualModel], models: &[Model]) -> Checked<Vec<VirtualModel>> {
    let mut names = HashSet::new();
    let mut virtual_models = Vec::with_capacity(raw.len());
    for written in raw {
        let name = &written.name;
        if !names.insert(&name.value) {
            return Err((Place::of(name), duplicate("virtual model", &name.value)));
        }
        if models.iter().any(|model| model.llm == name.value || model.name == name.value) {
            return Err((Place::of(name), Fault::Ambiguous(name.value.clone())));
        }
        virtual_models.push(VirtualModel { place: Place::of(name), policy: Arc::new(policy(written, models)?) });
    }
    Ok(virtual_models)
}

fn policy(raw: &raw::VirtualModel, models: &[Model]) -> Checked<Policy> {
    let candidates = match &raw.candidates {
        Some(written) if written.is_empty() => {
            return Err((Place::of(&raw.name), Fault::Empty("candidates")));
        }
        Some(written) => llms("candidate", written, models.iter().map(|model| model.llm.as_str()))?,
        None => distinct(models.iter().map(|model| model.llm.as_str())),
    };
    let fallback = match &raw.fallback {
        Some(written) => llms("fallback", written, candidates.iter().map(AsRef::as_ref))?,
        None => Vec::new(),
    };
    if let Some(preference) = &raw.preference
        && !(0.0..=1.0).contains(&preference.value)
    {
        return Err((Place::of(preference), value("preference", "must be from 0 to 1", preference.value)));
    }
    let most = [
        ("constraints.max_input_price", raw.constraints.max_input_price),
        ("constraints.max_output_price", raw.constraints.max_output_price),
    ];
    amounts(&most).map_err(|fault| (Place::of(&raw.name), fault))?;
    let margin = raw.stickiness.margin;
    if !(margin.is_finite() && margin >= 0.0) {
        return Err((Place::of(&raw.name), value("stickiness.margin", "must be at least 0", margin)));
    }
    Ok(Policy {
        margin,
        expiry: raw.stickiness.expiry,
        name: Arc::from(raw.name.value.as_str()),
        candidates,
        preference: raw.preference.as_ref().map(|preference| preference.value),
        task: raw.task.clone(),
        fallback,
        constraints: Constraints {
            max_input_price: raw.constraints.max_input_price,
            max_output_price: raw.constraints.max_output_price,
            regions: raw.constraints.regions.clone(),
        },
    })
}

fn auth(raw: &raw::Auth, models: &[Model], virtual_models: &[VirtualModel]) -> Checked<Auth> {
    let written = raw.per_user_limits;
    super::auth::quota(&written.unwrap_or_default()).map_err(|fault| (Place::default(), fault))?;
    let has_keys = !raw.keys.is_empty() || raw.keys_file.is_some();
    match raw.mode {
        raw::AuthMode::None if has_keys => {
            Err((Place::default(), value("auth.mode", "must be keys where keys are given", "none")))
        }
        raw::AuthMode::None => Ok(Auth { keys: None, user_quota: written.unwrap_or(raw::Quota::UNLIMITED) }),
        raw::AuthMode::Keys if !has_keys => Err((Place::default(), Fault::Empty("auth.keys"))),
        raw::AuthMode::Keys => {
            let mut known = Vec::with_capacity(raw.keys.len());
            keys(&mut known, &raw.keys, models, virtual_models)?;
            Ok(Auth { keys: Some(known), user_quota: written.unwrap_or_default() })
        }
    }
}

/// Adds the keys of `written` to `known`.
pub(super) fn keys(
    known: &mut Vec<Arc<Key>>,
    written: &[raw::Key],
    models: &[Model],
    virtual_models: &[VirtualModel],
) -> Checked<()> {
    for written in written {
        if known.iter().any(|key| *key.name == *written.name.value) {
            return Err((Place::of(&written.name), duplicate("key", &written.name.value)));
        }
        let names = virtual_models.iter().map(|model| &*model.policy.name);
        let names = names.chain(models.iter().map(|model| model.llm.as_str()));
        let allowed = written.models.as_deref().map(|allowed| llms("model", allowed, names)).transpose()?;
        let key = Key::check(written, allowed)?;
        let is_taken = |other: &Arc<Key>| key.digest.is_some() && other.digest == key.digest;
        if let Some(written) = written.sha256.as_ref().filter(|_| known.iter().any(is_taken)) {
            return Err((Place::of(written), duplicate("the sha256 of key", &key.name)));
        }
        let is_taken = |other: &Arc<Key>| key.certificate.is_some() && other.certificate == key.certificate;
        if let Some(written) = written.certificate.as_ref().filter(|_| known.iter().any(is_taken)) {
            return Err((Place::of(written), duplicate("the certificate of key", &key.name)));
        }
        known.push(Arc::new(key));
    }
    Ok(())
}

fn llms<'a>(
    what: &'static str,
    written: &[Spanned<String>],
    known: impl Iterator<Item = &'a str> + Clone,
) -> Checked<Vec<Arc<str>>> {
    let mut seen = HashSet::new();
    for llm in written {
        if !known.clone().any(|id| id == llm.value) {
            return Err((Place::of(llm), unknown(what, &llm.value, distinct(known).iter().map(AsRef::as_ref))));
        }
        if !seen.insert(&llm.value) {
            return Err((Place::of(llm), duplicate(what, &llm.value)));
        }
    }
    Ok(written.iter().map(|llm| Arc::from(llm.value.as_str())).collect())
}

fn distinct<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<Arc<str>> {
    let mut seen = HashSet::new();
    ids.filter(|id| seen.insert(*id)).map(Arc::from).collect()
}

fn duplicate(what: &'static str, name: &str) -> Fault {
    Fault::Duplicate { what, name: name.to_owned() }
}

fn unknown<'a>(what: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    Fault::Unknown { what, name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
}

fn value(key: &'static str, expected: &'static str, found: impl Display) -> Fault {
    Fault::Value { key, expected, found: format!("{found}") }
}
