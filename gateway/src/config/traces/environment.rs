//! OpenTelemetry's environment variables for traces.

use std::collections::BTreeMap;

use http::Uri;

use super::{FileTraces, Sampling, Traces, http_url, traces_below};
use crate::config::{
    error::Error,
    header::is_header,
    percent,
    secret::{Env, Secret},
    upstream::has_credentials,
};

/// Returns the traces in effect, after `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`,
/// `OTEL_EXPORTER_OTLP_[TRACES_]{ENDPOINT,HEADERS,PROTOCOL}`, `OTEL_TRACES_SAMPLER[_ARG]`, `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES`. A variable that is empty counts as not set.
///
/// # Errors
///
/// Fails for a value that cannot be used, naming its variable.
pub(super) fn apply(file: FileTraces, env: Env<'_>) -> Result<Option<Traces>, Error> {
    let env: Env<'_> = &|name| env(name).filter(|value| !value.trim().is_empty());
    let is_off = env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || env("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if is_off {
        return Ok(None);
    }
    let Some(endpoint) = endpoint(env)?.or(file.endpoint) else { return Ok(None) };
    protocol(env)?;
    let mut traces =
        Traces { endpoint, headers: file.headers, sampling: file.sampling, resource: resource(file.service, env)? };
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        for (key, text) in pairs(name, env)? {
            if !is_header(&key, &text) {
                return Err(invalid(name, "must be valid HTTP headers", key));
            }
            traces.headers.insert(key, Secret::plain(text));
        }
    }
    if let Some(sampler) = env("OTEL_TRACES_SAMPLER") {
        traces.sampling = sampling(sampler, env("OTEL_TRACES_SAMPLER_ARG"))?;
    }
    Ok(Some(traces))
}

/// The variable for traces has the whole URL, the one for all signals a base URL.
fn endpoint(env: Env<'_>) -> Result<Option<Uri>, Error> {
    let read = |variable: &'static str, parse: fn(&str) -> Option<Uri>| match env(variable) {
        Some(url) if has_credentials(&url) => {
            Err(invalid(variable, "must not contain a user or a password", "USER@".to_owned()))
        }
        Some(url) => parse(&url).map(Some).ok_or_else(|| invalid(variable, "must be an http or https URL", url)),
        None => Ok(None),
    };
    match read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", http_url)? {
        Some(endpoint) => Ok(Some(endpoint)),
        None => read("OTEL_EXPORTER_OTLP_ENDPOINT", traces_below),
    }
}

fn protocol(env: Env<'_>) -> Result<(), Error> {
    for variable in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        match env(variable) {
            Some(protocol) if protocol == "http/protobuf" => return Ok(()),
            Some(protocol) => return Err(invalid(variable, "must be http/protobuf", protocol)),
            None => {}
        }
    }
    Ok(())
}

fn resource(service: String, env: Env<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut resource = BTreeMap::from([("service.name".to_owned(), service)]);
    resource.extend(pairs("OTEL_RESOURCE_ATTRIBUTES", env)?);
    if let Some(service) = env("OTEL_SERVICE_NAME") {
        resource.insert("service.name".to_owned(), service);
    }
    Ok(resource)
}

fn sampling(sampler: String, argument: Option<String>) -> Result<Sampling, Error> {
    let (follows_parent, root) = match sampler.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, sampler.as_str()),
    };
    let share = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => {
            let written = argument.unwrap_or_else(|| "1.0".to_owned());
            let share = written.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| invalid("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1", written))?
        }
        _ => {
            let expected = "must be always_on, always_off or traceidratio, or one of them after parentbased_";
            return Err(invalid("OTEL_TRACES_SAMPLER", expected, sampler));
        }
    };
    Ok(Sampling { share, follows_parent })
}

/// Reads `key=value,key=value`, values percent-encoded.
fn pairs(variable: &'static str, env: Env<'_>) -> Result<Vec<(String, String)>, Error> {
    let written = env(variable).unwrap_or_default();
    let entries = written.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        Some((key.trim().to_owned(), percent::decode(value.trim())?))
    };
    // The value may be a secret, so that the message does not repeat it.
    let refused = || invalid(variable, "must be key=value pairs with commas between", "another text".to_owned());
    entries.map(|entry| pair(entry).ok_or_else(refused)).collect()
}

fn invalid(variable: &'static str, expected: &'static str, found: String) -> Error {
    Error::Environment { variable, expected, found }
}
