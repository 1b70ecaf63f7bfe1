//! Who may call, checked: keys as digests, limits in range.

use std::sync::Arc;

use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};

use super::{
    Fault, Place,
    raw::{self, Budget, Quota},
};

/// Who may call.
#[derive(Debug, Clone)]
pub struct Auth {
    /// The keys; none lets everybody call who reaches the listener.
    pub keys: Option<Vec<Arc<Key>>>,
    /// What each user may use.
    pub user_quota: Quota,
}

/// A key and its rights.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its name in logs.
    pub name: Arc<str>,
    /// SHA-256 of the key; none for those that only a certificate stands for.
    pub digest: Option<[u8; 32]>,
    /// SHA-256 of the client certificate that stands for the key.
    pub certificate: Option<[u8; 32]>,
    /// Whose requests these are.
    pub user: Option<Arc<str>>,
    /// Whether its requests may name other users.
    pub can_impersonate: bool,
    /// Whether its requests may override what is decided.
    pub allow_overrides: bool,
    /// The models it may name; none means all.
    pub models: Option<Vec<Arc<str>>>,
    /// What it may use.
    pub quota: Quota,
}

impl Key {
    /// Checks a written key; `models` are those it may name.
    pub(super) fn check(raw: &raw::Key, models: Option<Vec<Arc<str>>>) -> Result<Self, (Place, Fault)> {
        if raw.sha256.is_none() && raw.certificate.is_none() {
            return Err((Place::of(&raw.name), Fault::Credential(raw.name.value.clone())));
        }
        quota(&raw.limits).map_err(|fault| (Place::of(&raw.name), fault))?;
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
            models,
            quota: raw.limits,
        })
    }

    /// Returns whether the key may name `model`.
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| **allowed == *model))
    }
}

/// Refuses limits of nothing: a key that may do nothing is better taken out.
pub(super) fn quota(quota: &Quota) -> Result<(), Fault> {
    let counts = [
        ("requests_per_minute", quota.requests_per_minute),
        ("tokens_per_minute", quota.tokens_per_minute),
        ("concurrency", quota.concurrency),
    ];
    if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == Some(0)) {
        return Err(Fault::Value { key, expected: "must be at least 1", found: "0".to_owned() });
    }
    quota.budget.map_or(Ok(()), |budget| check_budget(&budget))
}

fn check_budget(budget: &Budget) -> Result<(), Fault> {
    if budget.day.is_none() && budget.month.is_none() {
        let expected = "must give the USD for each `day`, `month`, or both";
        return Err(Fault::Value { key: "budget", expected, found: "neither".to_owned() });
    }
    for (key, usd) in [("budget.day", budget.day), ("budget.month", budget.month)] {
        if let Some(usd) = usd.filter(|usd| !(usd.is_finite() && *usd > 0.0)) {
            return Err(Fault::Value { key, expected: "must be more than 0", found: usd.to_string() });
        }
    }
    Ok(())
}

/// What was written may be the key itself, so that a refusal does not repeat it.
fn digest(
    key: &'static str,
    expected: &'static str,
    written: Option<&Spanned<String>>,
) -> Result<Option<[u8; 32]>, (Place, Fault)> {
    let Some(written) = written else {
        return Ok(None);
    };
    let found = || format!("{} characters", written.value.len());
    let refused = || (Place::of(written), Fault::Value { key, expected, found: found() });
    bytes(&written.value).filter(|digest| *digest != nothing()).map(Some).ok_or_else(refused)
}

/// SHA-256 of no bytes at all, which some tool made of a key that was not there.
fn nothing() -> [u8; 32] {
    Sha256::digest(b"").into()
}

fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_has_an_amount_for_one_period_or_both() {
        let check = |text: &str| {
            let budget: Budget = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
            check_budget(&budget).map_err(|fault| fault.to_string())
        };
        for good in ["{day: 1}", "{day: 1, month: 20}", "{month: 3}"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let refusals = [
            ("{}", "must give the USD for each `day`, `month`, or both"),
            ("{usd: 1, per: day}", "usd"),
            ("{day: 0}", "`budget.day` must be more than 0"),
            ("{month: -1}", "`budget.month` must be more than 0"),
        ];
        for (wrong, expected) in refusals {
            let found = check(wrong).unwrap_err();
            assert!(found.contains(expected), "{wrong}: {found}");
        }
    }
}
