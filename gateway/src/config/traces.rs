//! Where traces go, from the file and from OpenTelemetry's own environment variables, which come before it.

use std::collections::BTreeMap;

use http::Uri;

use super::{Error, Fault, Place, Secret, raw};

/// A look into the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where traces go, and which requests are traced.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The URL that spans are posted to.
    pub endpoint: Uri,
    /// Headers of each post, such as a vendor's key.
    pub headers: BTreeMap<String, Secret>,
    /// Which requests are traced.
    pub sampling: Sampling,
    /// What describes this process: `service.name` and whatever the environment adds.
    pub resource: BTreeMap<String, String>,
}

/// Which requests are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of traces that are kept, 0 to 1.
    pub share: f64,
    /// Whether a `traceparent` that says sampled or not is followed.
    pub follows_parent: bool,
}

/// Returns what `raw` means, without the environment's variables of OpenTelemetry; none is off.
pub(super) fn check(raw: &raw::Traces, env: Env<'_>) -> Result<Option<Traces>, (Place, Fault)> {
    if !(0.0..=1.0).contains(&raw.sample) {
        return Err((Place::default(), value("traces.sample", "must be from 0 to 1", raw.sample.to_string())));
    }
    let Some(written) = &raw.endpoint else { return Ok(None) };
    let refused = || {
        let fault = value("traces.endpoint", "must be an http or https URL", written.value.clone());
        (Place::of(written), fault)
    };
    let mut headers = BTreeMap::new();
    for (name, text) in &raw.headers {
        let secret = match text.value.starts_with("${") {
            true => Secret::resolve("traces.headers", &text.value, env).map_err(|fault| (Place::of(text), fault))?,
            false => Secret::plain(text.value.clone()),
        };
        if !is_header(name, secret.expose()) {
            return Err((Place::of(text), value("traces.headers", "must be valid HTTP headers", name.clone())));
        }
        headers.insert(name.clone(), secret);
    }
    Ok(Some(Traces {
        endpoint: below(&written.value).ok_or_else(refused)?,
        headers,
        sampling: Sampling { share: raw.sample, follows_parent: true },
        resource: [("service.name".to_owned(), raw.service.clone())].into(),
    }))
}

/// Returns `traces` as the standard's variables change it: `OTEL_SDK_DISABLED`, `OTEL_TRACES_EXPORTER`,
/// `OTEL_EXPORTER_OTLP_[TRACES_]{ENDPOINT,HEADERS,PROTOCOL}`, `OTEL_TRACES_SAMPLER[_ARG]`, `OTEL_SERVICE_NAME`,
/// `OTEL_RESOURCE_ATTRIBUTES`.
///
/// # Errors
///
/// Fails for a value that cannot be followed, naming its variable.
pub fn from_environment(traces: Option<Traces>, raw: &raw::Traces, env: Env<'_>) -> Result<Option<Traces>, Error> {
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let is_off = env("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || env("OTEL_TRACES_EXPORTER").is_some_and(|value| value == "none");
    if is_off {
        return Ok(None);
    }
    let own = env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(|url| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url));
    let shared = || env("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT", url));
    let endpoint = match own.or_else(shared) {
        Some((name @ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)) => {
            Some(url_of(&url).ok_or_else(|| bad_url(name, url))?)
        }
        Some((name, url)) => Some(below(&url).ok_or_else(|| bad_url(name, url))?),
        None => None,
    };
    let mut traces = match (traces, endpoint) {
        (Some(traces), None) => traces,
        (Some(traces), Some(endpoint)) => Traces { endpoint, ..traces },
        (None, Some(endpoint)) => Traces {
            endpoint,
            headers: BTreeMap::new(),
            sampling: Sampling { share: raw.sample, follows_parent: true },
            resource: [("service.name".to_owned(), raw.service.clone())].into(),
        },
        (None, None) => return Ok(None),
    };
    let protocol = env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| env("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(found) = protocol.filter(|protocol| protocol != "http/protobuf") {
        return Err(bad("OTEL_EXPORTER_OTLP_PROTOCOL", "must be http/protobuf", found));
    }
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
        for (key, text) in pairs(name, env(name))? {
            if !is_header(&key, &text) {
                return Err(bad(name, "must be valid HTTP headers", key));
            }
            traces.headers.insert(key, Secret::plain(text));
        }
    }
    traces.resource.extend(pairs("OTEL_RESOURCE_ATTRIBUTES", env("OTEL_RESOURCE_ATTRIBUTES"))?);
    if let Some(service) = env("OTEL_SERVICE_NAME") {
        traces.resource.insert("service.name".to_owned(), service);
    }
    if let Some(sampler) = env("OTEL_TRACES_SAMPLER") {
        traces.sampling = sampling(&sampler, env("OTEL_TRACES_SAMPLER_ARG"))?;
    }
    Ok(Some(traces))
}

fn sampling(sampler: &str, argument: Option<String>) -> Result<Sampling, Error> {
    let (follows_parent, root) = match sampler.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, sampler),
    };
    let share = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => {
            let written = argument.unwrap_or_else(|| "1.0".to_owned());
            let share = written.trim().parse().ok().filter(|share| (0.0..=1.0).contains(share));
            share.ok_or_else(|| bad("OTEL_TRACES_SAMPLER_ARG", "must be from 0 to 1", written))?
        }
        _ => {
            let expected = "must be always_on, always_off or traceidratio, or one of them after parentbased_";
            return Err(bad("OTEL_TRACES_SAMPLER", expected, sampler.to_owned()));
        }
    };
    Ok(Sampling { share, follows_parent })
}

/// Reads `key=value,key=value`, values percent-encoded.
fn pairs(name: &'static str, written: Option<String>) -> Result<Vec<(String, String)>, Error> {
    let written = written.unwrap_or_default();
    let entries = written.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let pair = |entry: &str| {
        let (key, value) = entry.split_once('=')?;
        Some((key.trim().to_owned(), decoded(value.trim())?))
    };
    // The value may be a secret, so it is not shown.
    entries
        .map(|entry| {
            pair(entry).ok_or_else(|| bad(name, "must be key=value pairs with commas between", "other text".into()))
        })
        .collect()
}

/// Undoes percent-encoding.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The path that the standard gives traces, below a collector's base URL.
fn below(base: &str) -> Option<Uri> {
    url_of(base)?;
    url_of(&format!("{}/v1/traces", base.trim_end_matches('/')))
}

fn url_of(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    is_http.then_some(uri)
}

fn is_header(name: &str, text: &str) -> bool {
    http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(text).is_ok()
}

fn value(key: &'static str, expected: &'static str, found: String) -> Fault {
    Fault::Value { key, expected, found }
}

fn bad(variable: &'static str, expected: &'static str, found: String) -> Error {
    Error::Environment { variable, expected, found }
}

fn bad_url(variable: &'static str, found: String) -> Error {
    bad(variable, "must be an http or https URL", found)
}

#[cfg(test)]
mod tests;
