//! Headers that the configuration adds to calls.

use std::collections::BTreeMap;

use super::{
    error::{Fault, Rejection},
    located::Located,
    range::value,
    raw::{HIDDEN, HeaderText},
    secret::{self, Env, Secret},
};

/// Returns the headers that are written for `key`, references resolved.
pub(super) fn check(
    key: &'static str,
    written: &BTreeMap<String, Located<HeaderText>>,
    env: Env<'_>,
) -> Result<BTreeMap<String, Secret>, Rejection> {
    let mut headers = BTreeMap::new();
    for (name, text) in written {
        let secret = resolve(key, name, &text.value, env).map_err(|fault| text.reject(fault))?;
        headers.insert(name.clone(), secret);
    }
    Ok(headers)
}

fn resolve(key: &'static str, name: &str, text: &HeaderText, env: Env<'_>) -> Result<Secret, Fault> {
    if text.0 == HIDDEN {
        return Err(Fault::HiddenHeader(name.to_owned()));
    }
    let secret = if text.is_reference() { secret::resolve(key, &text.0, env)? } else { Secret::plain(text.0.clone()) };
    if is_header(name, secret.expose()) { Ok(secret) } else { Err(value(key, "must be valid HTTP headers", name)) }
}

/// Returns whether a name and a value make an HTTP header.
pub(super) fn is_header(name: &str, text: &str) -> bool {
    http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(text).is_ok()
}
