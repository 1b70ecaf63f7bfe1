//! The store that several gateways share.

use std::{fmt, path::PathBuf, time::Duration};

use super::store_url::{Login, Node, StoreUrl};
use crate::config::{
    error::{Fault, Rejection},
    folder::Folder,
    range::{duration, value},
    raw,
    secret::{Env, Secret},
};

/// Where the store is, and how the gateway connects to it.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedStore {
    pub topology: Topology,
    /// The server, some nodes of the cluster, or the sentinels; at least one.
    pub nodes: Vec<Node>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// The database's number.
    pub database: u32,
    pub login: Login,
    /// The file of the certificate authorities; none trusts the public ones.
    pub ca: Option<PathBuf>,
    /// Longest wait of a request for the store.
    pub timeout: Duration,
    /// Prefix of the store's keys.
    pub prefix: String,
}

/// What the nodes are.
#[derive(Debug, Clone, PartialEq)]
pub enum Topology {
    /// One server.
    Server,
    /// Nodes of a cluster.
    Cluster,
    /// Sentinels that know the primary.
    Sentinel {
        /// The primary's name at the sentinels.
        service: String,
        /// The credentials of the sentinels; those of the store are for the primary.
        login: Login,
    },
}

/// The store's address as logs show it, without any secret.
impl fmt::Display for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        for (idx, Node { host, port }) in self.nodes.iter().enumerate() {
            let comma = if idx == 0 { "" } else { "," };
            write!(f, "{comma}{scheme}://{host}:{port}/{}", self.database)?;
        }
        Ok(())
    }
}

/// Checks the store that `raw` describes; paths are relative to `folder`, and `env` resolves secrets.
pub(super) fn check(raw: &raw::SharedStore, folder: &Folder<'_>, env: Env<'_>) -> Result<SharedStore, Rejection> {
    let rejected = |fault| raw.url.reject(fault);
    let urls = raw.url.value.iter().map(|url| StoreUrl::parse(url, env)).collect::<Result<Vec<_>, _>>();
    let mut urls = urls.map_err(rejected)?.into_iter();
    let first = urls.next().ok_or_else(|| rejected(Fault::Empty("state.shared.url")))?;
    let mut store = SharedStore {
        topology: topology(raw).map_err(rejected)?,
        nodes: vec![first.node],
        tls: first.tls,
        database: first.database,
        login: first.login,
        ca: raw.ca.as_ref().map(|ca| folder.resolve(ca)),
        timeout: duration("state.shared.timeout", &raw.timeout)?,
        prefix: raw.prefix.value.clone(),
    };
    for url in urls {
        if (url.tls, url.database, &url.login) != (store.tls, store.database, &store.login) {
            let expected = "must name one scheme, database and login for all nodes";
            return Err(rejected(value("state.shared.url", expected, "several")));
        }
        store.nodes.push(url.node);
    }
    if let Topology::Sentinel { login, .. } = &mut store.topology {
        *login = std::mem::take(&mut store.login);
    }
    store.login.username = raw.username.clone().or(store.login.username);
    if let Some(written) = &raw.password {
        store.login.password = Some(Secret::resolve("state.shared.password", written, env)?);
    }
    check_values(raw, &store)?;
    Ok(store)
}

/// Returns the topology; several URLs are a cluster's unless a sentinel's service is named.
fn topology(raw: &raw::SharedStore) -> Result<Topology, Fault> {
    let is_list = raw.url.value.len() > 1;
    match (raw.cluster.unwrap_or(is_list && raw.sentinel.is_none()), &raw.sentinel) {
        (true, Some(_)) => {
            Err(value("state.shared.cluster", "must not be true beside `state.shared.sentinel`", "true"))
        }
        (true, None) => Ok(Topology::Cluster),
        (false, Some(service)) => Ok(Topology::Sentinel { service: service.clone(), login: Login::default() }),
        (false, None) if is_list => Err(value("state.shared.cluster", "must be true for several nodes", "false")),
        (false, None) => Ok(Topology::Server),
    }
}

/// Checks what several keys say together.
fn check_values(raw: &raw::SharedStore, store: &SharedStore) -> Result<(), Rejection> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if store.prefix.is_empty() || !store.prefix.bytes().all(is_plain) {
        let expected = "must be letters, digits, `_`, `.` and `-`";
        return Err(raw.prefix.reject(value("state.shared.prefix", expected, &store.prefix)));
    }
    if let Some(ca) = raw.ca.as_ref().filter(|_| !store.tls) {
        return Err(ca.reject(value("state.shared.ca", "needs a rediss:// URL", "redis://")));
    }
    if store.topology == Topology::Cluster && store.database > 0 {
        let expected = "must name database 0 of a cluster";
        return Err(raw.url.reject(value("state.shared.url", expected, store.database)));
    }
    Ok(())
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
            "SENTINEL" => Some("redis://:s3ntinel@s1:26379/2".to_owned()),
            "ODD" => Some("http://user:hunter2@host".to_owned()),
            "PASSWORD" => Some("hunter2".to_owned()),
            _ => None,
        };
        parse(std::path::Path::new("f.yaml"), &format!("{GOOD}{shared}\n"), &env).map_err(|error| error.to_string())
    }

    fn store(shared: &str) -> SharedStore {
        read(shared).unwrap().config.state.shared.unwrap()
    }

    fn password(login: &Login) -> Option<&str> {
        login.password.as_ref().map(Secret::expose)
    }

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.to_owned(), port }
    }

    #[test]
    fn a_url_names_node_database_and_login() {
        let loaded = read("url: '${STORE}'").unwrap();
        let shared = loaded.config.state.shared.as_ref().unwrap();
        assert_eq!((&shared.nodes[..], shared.tls, shared.database), (&[node("::1", 7000)][..], true, 3));
        assert_eq!((shared.login.username.as_deref(), password(&shared.login)), (Some("gate"), Some("p@ss")));
        assert!(!format!("{shared:?}{}{shared}", loaded.effective()).contains("ss@"), "no secret is shown");
        let shared = store("url: redis://valkey\n    password: '${PASSWORD}'");
        assert_eq!((&shared.nodes[..], shared.database), (&[node("valkey", 6379)][..], 0));
        assert_eq!((shared.login.username.as_deref(), password(&shared.login)), (None, Some("hunter2")));
        assert_eq!((shared.timeout, shared.prefix.as_str()), (Duration::from_millis(50), "personaroute"));
        assert_eq!(shared.topology, Topology::Server);
    }

    #[test]
    fn several_urls_or_cluster_true_name_a_cluster() {
        let shared = store("url: [redis://a, 'redis://b:7001']");
        assert_eq!((&shared.topology, shared.nodes), (&Topology::Cluster, vec![node("a", 6379), node("b", 7001)]));
        assert_eq!(store("url: redis://a\n    cluster: true").topology, Topology::Cluster);
    }

    #[test]
    fn sentinels_have_the_login_of_their_urls_and_the_primary_its_own() {
        let shared = store("url: ['${SENTINEL}']\n    sentinel: main\n    password: '${PASSWORD}'");
        let Topology::Sentinel { service, login } = &shared.topology else { panic!("{shared:?}") };
        assert_eq!(
            (service.as_str(), password(login), password(&shared.login)),
            ("main", Some("s3ntinel"), Some("hunter2"))
        );
        assert_eq!((shared.nodes, shared.database), (vec![node("s1", 26379)], 2));
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
            ("url: []", "f.yaml:6:10: `state.shared.url` needs at least one entry"),
            ("url: [redis://a, http://b]", "f.yaml:6:10: `state.shared.url` must be redis://HOST[:PORT][/DATABASE]"),
            ("url: [redis://a, rediss://b]", "must name one scheme, database and login for all nodes"),
            (
                "url: [redis://a, redis://b]\n    cluster: false",
                "`state.shared.cluster` must be true for several nodes",
            ),
            ("url: redis://a\n    cluster: true\n    sentinel: s", "must not be true beside `state.shared.sentinel`"),
            ("url: redis://a/3\n    cluster: true", "`state.shared.url` must name database 0 of a cluster, found `3`"),
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
