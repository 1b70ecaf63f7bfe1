//! The URL of a node of the shared store: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]`, or `rediss://` for TLS.

use http::Uri;

use crate::config::{
    error::Fault,
    percent,
    secret::{Env, Secret, resolve},
};

/// The port without one in the URL.
const PORT: u16 = 6379;

/// The configuration's key.
const KEY: &str = "state.shared.url";

/// Address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Host name or IP address, without brackets.
    pub host: String,
    pub port: u16,
}

/// The credentials of a store or a sentinel.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Login {
    /// None is the default user.
    pub username: Option<String>,
    /// None connects without authentication.
    pub password: Option<Secret>,
}

/// The parts of a URL.
#[derive(Debug)]
pub(super) struct StoreUrl {
    pub(super) node: Node,
    pub(super) tls: bool,
    pub(super) database: u32,
    pub(super) login: Login,
}

impl StoreUrl {
    /// Parses `written`, which `env` resolves if it is a reference. A URL with a password must be one.
    pub(super) fn parse(written: &str, env: Env<'_>) -> Result<Self, Fault> {
        let is_reference = written.starts_with("${");
        let url = if is_reference { resolve(KEY, written, env)? } else { Secret::plain(written.to_owned()) };
        let uri = url.expose().parse::<Uri>().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        if !is_reference && authority.is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(Fault::LiteralSecret { key: KEY });
        }
        uri.as_ref().and_then(Self::from_uri).ok_or_else(|| {
            let is_shown = !is_reference && !written.contains('@');
            let found = if is_shown { written } else { "another text" };
            let expected = "must be redis://HOST[:PORT][/DATABASE] or rediss://";
            Fault::Value { key: KEY, expected, found: found.to_owned() }
        })
    }

    fn from_uri(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str() {
            Some("redis") => false,
            Some("rediss") => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        let login = match authority.as_str().rsplit_once('@') {
            Some((login, _)) => Login::from_userinfo(login)?,
            None => Login::default(),
        };
        let path = uri.path().trim_matches('/');
        let database = if path.is_empty() { 0 } else { path.parse().ok()? };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || uri.query().is_some() {
            return None;
        }
        let node = Node { host: host.to_owned(), port: authority.port_u16().unwrap_or(PORT) };
        Some(Self { node, tls, database, login })
    }
}

impl Login {
    /// Parses `USER:PASSWORD` or `:PASSWORD`, percent-encoded.
    fn from_userinfo(userinfo: &str) -> Option<Self> {
        let (username, password) = userinfo.split_once(':')?;
        let username = Some(percent::decode(username)?).filter(|username| !username.is_empty());
        Some(Self { username, password: Some(Secret::plain(percent::decode(password)?)) })
    }
}
