//! Authenticates the caller: its key, its permissions, and the user of the request.

use std::sync::Arc;

use http::{HeaderMap, header, request::Parts};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Error, error::Permission};
use crate::{
    api::Overrides,
    config::{Auth, Key, Quota},
};

/// SHA-256 of the client certificate; the server adds it to the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Its key; none if the gateway has no API keys.
    key: Option<Arc<Key>>,
}

impl Caller {
    /// Finds the caller's key in `auth` by the API key it sends, or else by its client certificate. The API key may be
    /// unknown in the second case, as client libraries always send one.
    pub(super) fn identify(auth: &Auth, parts: &Parts) -> Result<Self, Error> {
        let Some(keys) = &auth.keys else {
            return Ok(Self { key: None });
        };
        let shown = presented_key(&parts.headers).map(|key| <[u8; 32]>::from(Sha256::digest(key)));
        let certificate = parts.extensions.get::<Fingerprint>().map(|fingerprint| fingerprint.0);
        let by_key = shown.and_then(|digest| find(keys, &digest, |key| key.digest.as_ref()));
        let found = by_key.or_else(|| find(keys, &certificate?, |key| key.certificate.as_ref()));
        match found {
            Some(key) => Ok(Self { key: Some(key) }),
            None => Err(Error::Unauthenticated),
        }
    }

    /// Refuses headers that the key may not set.
    pub(super) fn check(&self, overrides: &Overrides) -> Result<(), Error> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let speaks_for_another = overrides.user.is_some() && overrides.user.as_deref() != key.user.as_deref();
        let steering = [
            ("x-personaroute-user", speaks_for_another && !key.can_impersonate),
            ("x-personaroute-preference", overrides.preference.is_some() && !key.allow_overrides),
            ("x-personaroute-task", overrides.task.is_some() && !key.allow_overrides),
            ("x-personaroute-candidates", overrides.candidates.is_some() && !key.allow_overrides),
            ("x-personaroute-bypass", overrides.bypass && !key.allow_overrides),
        ];
        match steering.into_iter().find(|(_, is_refused)| *is_refused) {
            Some((header, _)) => Err(Error::Forbidden(Permission::Header(header))),
            None => Ok(()),
        }
    }

    /// Refuses models that the key may not use.
    pub(super) fn check_model(&self, model: &str) -> Result<(), Error> {
        match &self.key {
            Some(key) if !key.allows(model) => Err(Error::Forbidden(Permission::Model(model.to_owned()))),
            _ => Ok(()),
        }
    }

    /// Returns whose request it is: the key's user, unless the key speaks for others and the request names one.
    pub(super) fn user(&self, named: Option<&str>) -> Option<Arc<str>> {
        match &self.key {
            Some(key) if key.can_impersonate => named.map(Arc::from).or_else(|| key.user.clone()),
            Some(key) => key.user.clone(),
            None => named.map(Arc::from),
        }
    }

    /// Returns whether the caller may speak for every user.
    pub(super) fn is_anybody(&self) -> bool {
        self.key.as_ref().is_none_or(|key| key.can_impersonate)
    }

    /// Returns whether the caller may speak for `user`.
    pub(super) fn may_speak_for(&self, user: &str) -> bool {
        self.is_anybody() || self.key.as_ref().is_some_and(|key| key.user.as_deref() == Some(user))
    }

    /// Returns the accounts with limits that a request of `user` is charged to.
    pub(super) fn quota_accounts(&self, auth: &Auth, user: Option<&str>) -> Vec<(String, Quota)> {
        let key = self.key.iter().filter(|key| key.quota != Quota::UNLIMITED);
        let key = key.map(|key| (format!("key:{}", key.name), key.quota));
        let user = user.filter(|_| auth.user_quota != Quota::UNLIMITED);
        key.chain(user.map(|user| (format!("user:{user}"), auth.user_quota))).collect()
    }

    /// Returns the name of the key; empty without one.
    pub(super) fn name(&self) -> Arc<str> {
        self.key.as_ref().map_or_else(Arc::default, |key| Arc::clone(&key.name))
    }

    /// Returns whether the client's credentials are for the gateway, so that they must not be forwarded.
    pub(super) fn has_gateway_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns whether the caller may use `model`.
    pub(super) fn may_use_model(&self, model: &str) -> bool {
        self.key.as_ref().is_none_or(|key| key.allows(model))
    }
}

/// OpenAI's clients send a bearer token, Anthropic's `x-api-key`.
fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let bearer = bearer
        .and_then(|value| value.split_at_checked(7))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    bearer.map(|(_, token)| token.trim_ascii()).or_else(|| headers.get("x-api-key").map(http::HeaderValue::as_bytes))
}

/// Finds the key with this digest. The comparisons take the same time for every digest, known or unknown.
fn find(keys: &[Arc<Key>], digest: &[u8; 32], of: impl Fn(&Key) -> Option<&[u8; 32]>) -> Option<Arc<Key>> {
    let mut found = None;
    for key in keys {
        if of(key).is_some_and(|known| known.ct_eq(digest).into()) {
            found = Some(Arc::clone(key));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(key: Key) -> Auth {
        Auth { keys: Some(vec![Arc::new(key)]), user_quota: Quota::default() }
    }

    fn key() -> Key {
        Key {
            name: Arc::from("team"),
            digest: Some(Sha256::digest(b"secret").into()),
            certificate: Some([7; 32]),
            user: Some(Arc::from("ada")),
            can_impersonate: false,
            allow_overrides: false,
            models: Some(vec![Arc::from("auto")]),
            quota: Quota::default(),
        }
    }

    fn caller(key: Key, name: &'static str, value: &str) -> Result<Caller, Error> {
        let parts = http::Request::builder().header(name, value).body(()).unwrap().into_parts().0;
        Caller::identify(&auth(key), &parts)
    }

    #[test]
    fn a_key_is_accepted_in_either_header_and_unknown_keys_are_refused() {
        for (name, value) in
            [("authorization", "Bearer secret"), ("authorization", "bearer  secret"), ("x-api-key", "secret")]
        {
            assert_eq!(caller(key(), name, value).unwrap().name().as_ref(), "team");
        }
        for (name, value) in [("authorization", "Bearer Secret"), ("authorization", "secret"), ("x-api-key", "")] {
            assert!(matches!(caller(key(), name, value), Err(Error::Unauthenticated)), "{value}");
        }
    }

    #[test]
    fn a_certificate_authenticates_if_no_known_key_is_sent() {
        for header in ["Bearer unused", ""] {
            let request = http::Request::builder().header("authorization", header);
            let shown =
                |fingerprint| request.extension(Fingerprint([fingerprint; 32])).body(()).unwrap().into_parts().0;
            assert_eq!(Caller::identify(&auth(key()), &shown(7)).unwrap().name().as_ref(), "team");
        }
        let stranger = http::Request::builder().extension(Fingerprint([8; 32])).body(()).unwrap().into_parts().0;
        assert!(matches!(Caller::identify(&auth(key()), &stranger), Err(Error::Unauthenticated)));
    }

    #[test]
    fn a_bound_key_speaks_for_its_own_user_only() {
        let caller = caller(key(), "x-api-key", "secret").unwrap();
        assert_eq!(caller.user(Some("bob")).as_deref(), Some("ada"));
        let spoofed = Overrides { user: Some("bob".to_owned()), ..Overrides::default() };
        assert!(matches!(caller.check(&spoofed), Err(Error::Forbidden(_))));
        let own = Overrides { user: Some("ada".to_owned()), explain: true, ..Overrides::default() };
        assert!(caller.check(&own).is_ok());
        let frugal = Overrides { preference: Some(0.1), ..Overrides::default() };
        assert!(matches!(caller.check(&frugal), Err(Error::Forbidden(_))));
        assert!(caller.check_model("auto").is_ok() && caller.check_model("GPT-4o").is_err());
    }

    #[test]
    fn a_speaking_key_names_users() {
        let caller = caller(Key { can_impersonate: true, ..key() }, "x-api-key", "secret").unwrap();
        assert_eq!(caller.user(Some("bob")).as_deref(), Some("bob"));
        assert_eq!(caller.user(None).as_deref(), Some("ada"));
    }
}
