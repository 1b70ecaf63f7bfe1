//! How log lines look.

pub use super::raw::LogFormat;
use super::{
    error::Rejection,
    range::value,
    raw,
    secret::{Env, Secret},
};

/// How log lines look.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// A level, or directives for modules.
    pub filter: String,
    /// How user ids are logged.
    pub users: LogUsers,
}

/// How user ids are logged.
#[derive(Debug, Clone, PartialEq)]
pub enum LogUsers {
    /// As they are.
    Plain,
    /// As a hash with this key; none is a random key.
    Hashed(Option<Secret>),
}

impl Log {
    pub(super) fn check(raw: &raw::Log, env: Env<'_>) -> Result<Self, Rejection> {
        if tracing_subscriber::EnvFilter::builder().parse(&raw.filter.value).is_err() {
            let expected = "must be a level, or directives such as info,personaroute_gateway=debug";
            return Err(raw.filter.reject(value("log.filter", expected, &raw.filter.value)));
        }
        let key = raw.user_key.as_ref().map(|written| Secret::resolve("log.user_key", written, env)).transpose()?;
        let users = match (raw.users, &raw.user_key) {
            (raw::UserIds::Hashed, _) => LogUsers::Hashed(key),
            (raw::UserIds::Plain, None) => LogUsers::Plain,
            (raw::UserIds::Plain, Some(written)) => {
                let expected = "must not be given with `log.users: plain`";
                return Err(written.reject(value("log.user_key", expected, &written.value)));
            }
        };
        Ok(Self { format: raw.format, filter: raw.filter.value.clone(), users })
    }
}
