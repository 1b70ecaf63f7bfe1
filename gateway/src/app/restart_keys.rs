//! What a process keeps from its start: a reload makes no listener public without keys, and some keys need a restart.

use std::net::SocketAddr;

use crate::config::Config;

/// What the process was started with.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) config: Config,
    /// The address on which it listens, which a changed file does not change.
    pub(super) address: SocketAddr,
}

impl Started {
    /// Returns why `new` is refused, if it is.
    pub(super) fn refusal(&self, new: &Config) -> Option<String> {
        if new.auth.keys.is_none() && !self.address.ip().is_loopback() {
            let address = self.address;
            return Some(format!("auth mode none needs a loopback address, and this process listens on {address}"));
        }
        let admin = self.config.admin.filter(|admin| !admin.ip().is_loopback() && new.admin_token.is_none())?;
        Some(format!("`admin_token` is needed, because the admin listener of this process is {admin}"))
    }

    /// Returns the keys whose value in `new` takes effect after a restart.
    pub(super) fn pending(&self, new: &Config) -> Vec<&'static str> {
        let old = &self.config;
        let (limits, new_limits) = (&old.limits, &new.limits);
        let (timeouts, new_timeouts) = (&old.timeouts, &new.timeouts);
        let keys = [
            ("listen", old.listen != new.listen),
            ("admin", old.admin != new.admin),
            ("state", old.state != new.state),
            // The default store lies beside `state.file`, whose change is reported already.
            ("learning", old.state == new.state && old.learning != new.learning),
            ("limits.head", limits.head != new_limits.head),
            ("limits.headers", limits.headers != new_limits.headers),
            ("limits.connections", limits.connections != new_limits.connections),
            ("limits.requests", limits.requests != new_limits.requests),
            ("limits.max_tracked_users", limits.max_tracked_users != new_limits.max_tracked_users),
            ("limits.response_ids", limits.response_ids != new_limits.response_ids),
            ("limits.stored_responses", limits.stored_responses != new_limits.stored_responses),
            ("timeouts.header_read", timeouts.header_read != new_timeouts.header_read),
            ("timeouts.keep_alive", timeouts.keep_alive != new_timeouts.keep_alive),
            ("timeouts.write", timeouts.write != new_timeouts.write),
            ("timeouts.handshake", timeouts.handshake != new_timeouts.handshake),
            ("timeouts.drain", timeouts.drain != new_timeouts.drain),
            ("log", old.log != new.log),
            ("traces", old.traces != new.traces),
        ];
        keys.into_iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn config(more: &str) -> Config {
        let text = format!(
            "version: 1
upstreams: [{{name: up, kind: simulated}}]
models: [{{llm: a, upstream: up, input_price: 1, output_price: 2}}]
virtual_models: [{{name: auto}}]
{more}"
        );
        config::parse(std::path::Path::new("f.yaml"), &text, &|name| (name == "TOKEN").then(|| "t".to_owned()))
            .unwrap()
            .config
    }

    fn start(address: &str) -> Started {
        Started { config: config(""), address: address.parse().unwrap() }
    }

    #[test]
    fn a_public_listener_is_not_left_without_keys() {
        let open = config("");
        let refused = start("0.0.0.0:8080").refusal(&open).unwrap();
        assert!(refused.contains("0.0.0.0:8080"), "{refused}");
        assert_eq!(start("127.0.0.1:8080").refusal(&open), None);
        let keys = "auth: {mode: keys, keys: [{name: a, sha256: ";
        let closed = config(&format!("{keys}{}}}]}}", "1".repeat(64)));
        assert_eq!(start("0.0.0.0:8080").refusal(&closed), None);
    }

    #[test]
    fn a_public_admin_listener_is_not_left_without_a_token() {
        let public = config("admin: 0.0.0.0:8081\nadmin_token: '${TOKEN}'");
        let started = Started { config: public.clone(), address: "127.0.0.1:8080".parse().unwrap() };
        let refused = started.refusal(&config("")).unwrap();
        assert!(refused.contains("0.0.0.0:8081"), "{refused}");
        assert_eq!(started.refusal(&public), None);
    }

    #[test]
    fn each_key_that_needs_a_restart_is_named() {
        let start = start("127.0.0.1:8080");
        assert_eq!(start.pending(&config("")), [""; 0]);
        let keys = [
            ("listen", "listen: 127.0.0.1:1"),
            ("admin", "admin: null"),
            ("state", "state: {file: f.redb}"),
            ("state", "state: {shared: {url: 'redis://h'}}"),
            ("learning", "learning: {history: 5}"),
            ("limits.head", "limits: {head: 8KiB}"),
            ("limits.headers", "limits: {headers: 1}"),
            ("limits.connections", "limits: {connections: 1}"),
            ("limits.requests", "limits: {requests: 1}"),
            ("limits.max_tracked_users", "limits: {max_tracked_users: 1}"),
            ("limits.response_ids", "limits: {response_ids: 1}"),
            ("limits.stored_responses", "limits: {stored_responses: 1KiB}"),
            ("timeouts.header_read", "timeouts: {header_read: 1s}"),
            ("timeouts.keep_alive", "timeouts: {keep_alive: 1s}"),
            ("timeouts.write", "timeouts: {write: 1s}"),
            ("timeouts.handshake", "timeouts: {handshake: 1s}"),
            ("timeouts.drain", "timeouts: {drain: 1s}"),
            ("log", "log: {filter: debug}"),
            ("log", "log: {users: plain}"),
            ("traces", "traces: {endpoint: 'http://h'}"),
        ];
        for (key, more) in keys {
            assert_eq!(start.pending(&config(more)), [key], "{more}");
        }
        let immediate = "limits: {body: 1, batch: 1, user_chars: 1, assumed_output: 1}\n\
                          timeouts: {body_read: 1s, connect: 1s, first_byte: 1s, idle: 1s, total: 1s}";
        assert_eq!(start.pending(&config(immediate)), [""; 0]);
    }
}
