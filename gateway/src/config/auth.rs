//! Who may call: keys as digests, and what each key and user may use.

mod quota;

use std::sync::Arc;

pub use self::quota::{Budget, Period, Quota};
use super::{
    Model, VirtualModel,
    error::{Fault, Rejection},
    located::Located,
    model::names_among,
    range::value,
    raw,
};

/// Who may call.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The keys; none accepts every client that reaches the listener.
    pub keys: Option<Vec<Arc<Key>>>,
    /// What each user may use.
    pub user_quota: Quota,
}

/// A key and its rights.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name in logs.
    pub name: Arc<str>,
    /// SHA-256 of the key; none if clients identify themselves by a certificate only.
    pub digest: Option<[u8; 32]>,
    /// SHA-256 of the client certificate that can be used in place of the key.
    pub certificate: Option<[u8; 32]>,
    /// The user of its requests.
    pub user: Option<Arc<str>>,
    /// Whether its requests may set any user.
    pub can_impersonate: bool,
    /// Whether its requests may set preference, task and candidates, or bypass the router.
    pub allow_overrides: bool,
    /// The models it may request; none means all.
    pub models: Option<Vec<Arc<str>>>,
    /// What it may use.
    pub quota: Quota,
}

/// The names that a key's `models` may contain.
#[derive(Clone, Copy)]
pub(super) struct ModelNames<'a> {
    pub(super) models: &'a [Model],
    pub(super) virtual_models: &'a [VirtualModel],
}

impl<'a> ModelNames<'a> {
    fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        let names = self.virtual_models.iter().map(|model| &*model.policy.name);
        names.chain(self.models.iter().map(|model| model.llm.as_str()))
    }
}

/// SHA-256 of no bytes, which a tool computes from a key that is not set.
const EMPTY_DIGEST: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

impl Auth {
    /// Checks who may call; the keys of `keys_file` are added later.
    pub(super) fn check(raw: &raw::Auth, names: ModelNames<'_>) -> Result<Self, Rejection> {
        let user_quota = raw.per_user_limits.as_ref().map(Quota::check).transpose()?;
        match raw.mode.value {
            raw::AuthMode::None if given(raw) => {
                Err(raw.mode.reject(value("auth.mode", "must be keys if keys are given", "none")))
            }
            raw::AuthMode::None => Ok(Self { keys: None, user_quota: user_quota.unwrap_or(Quota::UNLIMITED) }),
            raw::AuthMode::Keys if !given(raw) => Err(raw.mode.reject(Fault::Empty("auth.keys"))),
            raw::AuthMode::Keys => {
                let mut keys = Vec::new();
                let written = raw.keys.as_ref().map_or(&[][..], |keys| &keys.value);
                add_keys(&mut keys, written, names)?;
                Ok(Self { keys: Some(keys), user_quota: user_quota.unwrap_or_default() })
            }
        }
    }
}

/// Returns whether there is a key, or may be one in a file.
fn given(raw: &raw::Auth) -> bool {
    raw.keys.as_ref().is_some_and(|keys| !keys.is_empty()) || raw.keys_file.is_some()
}

/// Adds the keys of `written` to `known`.
pub(super) fn add_keys(
    known: &mut Vec<Arc<Key>>,
    written: &[raw::Key],
    names: ModelNames<'_>,
) -> Result<(), Rejection> {
    for written in written {
        let key = Key::check(written, names)?;
        let duplicate = |what: &'static str| Fault::Duplicate { what, name: key.name.to_string() };
        if known.iter().any(|other| other.name == key.name) {
            return Err(written.name.reject(duplicate("key")));
        }
        let same_digest = |other: &Arc<Key>| key.digest.is_some() && other.digest == key.digest;
        if let Some(written) = written.sha256.as_ref().filter(|_| known.iter().any(same_digest)) {
            return Err(written.reject(duplicate("the sha256 of key")));
        }
        let same_certificate = |other: &Arc<Key>| key.certificate.is_some() && other.certificate == key.certificate;
        if let Some(written) = written.certificate.as_ref().filter(|_| known.iter().any(same_certificate)) {
            return Err(written.reject(duplicate("the certificate of key")));
        }
        known.push(Arc::new(key));
    }
    Ok(())
}

/// Refuses keys with a certificate if the listener asks no client for one.
pub(super) fn require_client_ca(keys: &[raw::Key], has_client_ca: bool) -> Result<(), Rejection> {
    match keys.iter().find_map(|key| key.certificate.as_ref()).filter(|_| !has_client_ca) {
        Some(written) => {
            Err(written.reject(value("certificate", "must not be given without `tls.client_ca`", "no client_ca")))
        }
        None => Ok(()),
    }
}

impl Key {
    fn check(raw: &raw::Key, names: ModelNames<'_>) -> Result<Self, Rejection> {
        if raw.sha256.is_none() && raw.certificate.is_none() {
            return Err(raw.name.reject(Fault::Credential(raw.name.value.clone())));
        }
        let models = raw.models.as_deref().map(|allowed| names_among("model", allowed, names.iter()));
        Ok(Self {
            name: Arc::from(raw.name.value.as_str()),
            digest: digest(
                "sha256",
                "must be the SHA-256 of the key, which is not empty: 64 hex digits",
                raw.sha256.as_ref(),
            )?,
            certificate: digest(
                "certificate",
                "must be the SHA-256 of the certificate: 64 hex digits",
                raw.certificate.as_ref(),
            )?,
            user: raw.user.as_deref().map(Arc::from),
            can_impersonate: raw.can_impersonate,
            allow_overrides: raw.allow_overrides.unwrap_or(raw.can_impersonate),
            models: models.transpose()?,
            quota: Quota::check(&raw.limits)?,
        })
    }

    /// Returns whether the key may request `model`.
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| **allowed == *model))
    }
}

/// Reads a digest. What is written may be the key itself, so that the message does not repeat it.
fn digest(
    key: &'static str,
    expected: &'static str,
    written: Option<&Located<String>>,
) -> Result<Option<[u8; 32]>, Rejection> {
    let Some(written) = written else {
        return Ok(None);
    };
    let mut digest = [0; 32];
    // The length is checked because the decoder would skip a leading `0x`.
    let is_hex = written.len() == 64 && const_hex::decode_to_slice(written.as_bytes(), &mut digest).is_ok();
    let is_digest = is_hex && digest != EMPTY_DIGEST;
    let found = format_args!("{} characters", written.chars().count());
    if is_digest { Ok(Some(digest)) } else { Err(written.reject(value(key, expected, found))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hex_digits_and_nothing_else() {
        let read = |text: String| digest("sha256", "", Some(&text.into())).ok().flatten();
        assert_eq!(read("0aF".repeat(21) + "1").unwrap()[0], 0x0a);
        for wrong in ["+1".repeat(32), format!("0x{}", "1".repeat(62)), format!("0x{}", "1".repeat(64)), "1".repeat(63)]
        {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(read("é".repeat(32)), None);
        assert_eq!(read(const_hex::encode(EMPTY_DIGEST)), None);
    }

    #[test]
    fn the_digest_of_no_bytes_is_known() {
        use sha2::{Digest, Sha256};
        assert_eq!(EMPTY_DIGEST, <[u8; 32]>::from(Sha256::digest(b"")));
    }
}
