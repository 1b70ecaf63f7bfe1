//! The store that several gateways share.

use std::{path::PathBuf, time::Duration};

use http::Uri;

use super::{Fault, Place, Secret, raw};

/// The port of Redis and of its kin.
const PORT: u16 = 6379;

/// Where it is, and how it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The number of its database.
    pub database: u32,
    /// Who asks; none is the default user.
    pub username: Option<String>,
    /// The password; none asks without.
    pub password: Option<Secret>,
    /// The file of the authorities that its certificate comes from; none trusts the public web's.
    pub ca: Option<PathBuf>,
    /// Longest wait of a request for it.
    pub timeout: Duration,
    /// What its keys begin with.
    pub prefix: String,
}

impl Shared {
    /// Returns where it is, without any secret.
    pub fn place(&self) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        format!("{scheme}://{}:{}/{}", self.host, self.port, self.database)
    }
}

/// Returns what `raw` means; `env` resolves secrets.
pub(super) fn check(raw: &raw::Shared, env: &dyn Fn(&str) -> Option<String>) -> Result<Shared, (Place, Fault)> {
    let at = Place::of(&raw.url);
    let key = "state.shared.url";
    let is_reference = raw.url.value.starts_with("${");
    let url = match is_reference {
        true => Secret::resolve(key, &raw.url.value, env).map_err(|fault| (at, fault))?,
        false => Secret::plain(raw.url.value.clone()),
    };
    let is_secret = |url: &Uri| url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let expected = "must be redis://HOST[:PORT][/DATABASE] or rediss://";
    // What a reference holds is not shown.
    let shown = if is_reference || raw.url.value.contains('@') { "another text" } else { &raw.url.value };
    let refused = || (at, Fault::Value { key, expected, found: shown.to_owned() });
    let uri: Uri = url.expose().parse().map_err(|_| refused())?;
    if !is_reference && is_secret(&uri) {
        return Err((at, Fault::LiteralSecret { key }));
    }
    let mut shared = located(&uri).ok_or_else(refused)?;
    shared.username = raw.username.clone().or(shared.username);
    if let Some(written) = &raw.password {
        let resolved = Secret::resolve("state.shared.password", &written.value, env);
        shared.password = Some(resolved.map_err(|fault| (Place::of(written), fault))?);
    }
    let prefix = &raw.prefix;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if prefix.value.is_empty() || !prefix.value.bytes().all(is_plain) {
        let expected = "must be letters, digits, `_`, `.` and `-`";
        let fault = Fault::Value { key: "state.shared.prefix", expected, found: prefix.value.clone() };
        return Err((Place::of(prefix), fault));
    }
    if raw.timeout.is_zero() {
        let fault =
            Fault::Value { key: "state.shared.timeout", expected: "must be longer than 0", found: "0ms".into() };
        return Err((at, fault));
    }
    if raw.ca.is_some() && !shared.tls {
        let fault =
            Fault::Value { key: "state.shared.ca", expected: "needs a rediss:// URL", found: "redis://".into() };
        return Err((at, fault));
    }
    Ok(Shared { ca: raw.ca.clone(), timeout: raw.timeout, prefix: prefix.value.clone(), ..shared })
}

/// Reads the parts of a URL; none is not one of a store.
fn located(uri: &Uri) -> Option<Shared> {
    let tls = match uri.scheme_str() {
        Some("redis") => false,
        Some("rediss") => true,
        _ => return None,
    };
    let authority = uri.authority()?;
    let credentials = authority.as_str().rsplit_once('@').map(|(credentials, _)| credentials);
    let (username, password) = match credentials.map(|credentials| credentials.split_once(':')) {
        // A colon alone stands between no name and the password, as Redis's own tools write it.
        Some(Some((username, password))) => (Some(decoded(username)?), Some(decoded(password)?)),
        Some(None) => return None,
        None => (None, None),
    };
    let path = uri.path().trim_matches('/');
    let database = if path.is_empty() { 0 } else { path.parse().ok()? };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_whole = !host.is_empty() && uri.query().is_none();
    is_whole.then(|| Shared {
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(PORT),
        tls,
        database,
        username: username.filter(|username| !username.is_empty()),
        password: password.map(Secret::plain),
        ca: None,
        timeout: Duration::ZERO,
        prefix: String::new(),
    })
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    super::traces::decoded(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loaded, parse};

    const GOOD: &str =
        "version: 1\nupstreams: [{name: u, kind: simulated}]\nmodels: [{llm: a, upstream: u}]\nstate:\n  shared:\n    ";

    fn read(shared: &str) -> Result<Loaded, String> {
        let env = |name: &str| match name {
            "STORE" => Some("rediss://gate:p%40ss@[::1]:7000/3".to_owned()),
            "ODD" => Some("http://user:hunter2@host".to_owned()),
            "PASSWORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        parse(std::path::Path::new("f.yaml"), &format!("{GOOD}{shared}\n"), &env).map_err(|error| error.to_string())
    }

    #[test]
    fn a_url_says_where_and_who() {
        let loaded = read("url: '${STORE}'").unwrap();
        let shared = loaded.config.state.shared.as_ref().unwrap();
        assert_eq!((shared.host.as_str(), shared.port, shared.tls, shared.database), ("::1", 7000, true, 3));
        assert_eq!(shared.username.as_deref(), Some("gate"));
        assert_eq!(shared.password.as_ref().map(Secret::expose), Some("p@ss"));
        assert!(!format!("{shared:?}{}{}", loaded.effective(), shared.place()).contains("ss@"), "no secret is shown");
        let shared = read("url: redis://valkey\n    password: '${PASSWORD}'").unwrap().config.state.shared.unwrap();
        assert_eq!((shared.port, shared.database, shared.username.as_deref()), (6379, 0, None));
        assert_eq!(shared.password.as_ref().map(Secret::expose), Some("hunter2"));
        assert_eq!((shared.timeout, shared.prefix.as_str()), (Duration::from_millis(50), "personaroute"));
    }

    #[test]
    fn every_refusal_names_its_place_and_no_secret() {
        let refusals = [
            ("url: http://h", "f.yaml:6:10: `state.shared.url` must be redis://HOST[:PORT][/DATABASE]"),
            ("url: redis://h/x", "found `redis://h/x`"),
            ("url: /run/redis.sock", "found `/run/redis.sock`"),
            ("url: redis://h?db=3", "`state.shared.url` must be"),
            ("url: 'redis://:hunter2@h'", "f.yaml:6:10: `state.shared.url` must be a reference such as"),
            ("url: 'redis://:hunter2@h:port'", "`state.shared.url` must be a reference such as"),
            ("url: 'redis://:hunter2@h x'", "found `another text`"),
            ("url: '${ODD}'", "found `another text`"),
            ("url: '${GONE}'", "refers to the environment variable GONE, which is not set"),
            ("url: redis://h\n    password: hunter2", "f.yaml:7:15: `state.shared.password` must be a reference"),
            ("url: redis://h\n    prefix: 'a{b}'", "f.yaml:7:13: `state.shared.prefix` must be letters"),
            ("url: redis://h\n    timeout: 0ms", "`state.shared.timeout` must be longer than 0"),
            ("url: redis://h\n    ca: ca.pem", "`state.shared.ca` needs a rediss:// URL"),
            ("url: redis://h\n    key: x", "f.yaml:7:5"),
            ("timeout: 5ms", "missing field `url`"),
        ];
        for (shared, expected) in refusals {
            let found = read(shared).expect_err(shared);
            assert!(found.contains(expected), "{shared}: expected {expected}\nfound {found}");
            let told = found.split("-->").next().unwrap_or_default();
            assert!(shared.contains("password: hunter2") || !told.contains("hunter2"), "{found}");
        }
    }
}
