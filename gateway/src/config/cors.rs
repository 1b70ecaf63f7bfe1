//! Which pages of other origins may call.

use std::time::Duration;

use super::{
    error::{Fault, Rejection},
    range::value,
    raw,
};

/// Allows every origin.
const ANY: &str = "*";

/// Which pages of other origins may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// The allowed origins.
    pub origins: Origins,
    /// Whether pages may use cookies and client certificates.
    pub credentials: bool,
    /// How long a browser may remember a preflight response.
    pub max_age: Duration,
}

/// The allowed origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// Those that equal one of these.
    Listed(Vec<String>),
}

impl Cors {
    pub(super) fn check(raw: &raw::Cors) -> Result<Self, Rejection> {
        if raw.origins.is_empty() {
            return Err(raw.origins.reject(Fault::Empty("cors.origins")));
        }
        let any = raw.origins.iter().find(|origin| origin.value == ANY);
        if let Some(any) = any.filter(|_| raw.credentials) {
            return Err(any.reject(value("cors.origins", "must list origins if `cors.credentials` is true", ANY)));
        }
        if let Some(any) = any.filter(|_| raw.origins.len() > 1) {
            return Err(any.reject(value("cors.origins", "must contain nothing else beside `*`", ANY)));
        }
        let wrong = raw.origins.iter().find(|origin| any.is_none() && !is_origin(&origin.value));
        if let Some(wrong) = wrong {
            let expected = "must be origins in lower case, such as https://app.example or http://localhost:3000";
            return Err(wrong.reject(value("cors.origins", expected, &wrong.value)));
        }
        let origins = match any {
            Some(_) => Origins::Any,
            None => Origins::Listed(raw.origins.iter().map(|origin| origin.value.clone()).collect()),
        };
        Ok(Self { origins, credentials: raw.credentials, max_age: raw.max_age.0 })
    }

    /// Returns whether pages of `origin` may call.
    pub fn allows(&self, origin: &str) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(origins) => origins.iter().any(|known| known == origin),
        }
    }
}

/// Returns whether `text` is an origin as a browser writes it (RFC 6454, 6.2): scheme, host, and a port that is not the default.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "://",
    };
    let is_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    let is_host = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
    };
    !scheme.is_empty()
        && scheme.bytes().all(is_scheme)
        && !authority.is_empty()
        && authority.bytes().all(is_host)
        && !authority.ends_with(default_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::located::Located;

    fn check(origins: &[&str], credentials: bool) -> Result<Cors, Rejection> {
        let origins: Vec<Located<String>> = origins.iter().map(|origin| (*origin).to_owned().into()).collect();
        let max_age = crate::config::duration::HumanDuration(Duration::ZERO);
        Cors::check(&raw::Cors { origins: origins.into(), credentials, max_age })
    }

    #[test]
    fn origins_are_matched_exactly() {
        let cors = check(&["https://app.example", "http://localhost:3000", "tauri://localhost"], true).unwrap();
        assert!(cors.allows("https://app.example") && cors.allows("tauri://localhost"));
        for other in ["http://app.example", "https://app.example:8443", "https://app.example.evil", "null", ""] {
            assert!(!cors.allows(other), "{other}");
        }
    }

    #[test]
    fn any_origin_stands_alone_and_without_credentials() {
        assert_eq!(check(&["*"], false).unwrap().origins, Origins::Any);
        assert!(check(&["*"], true).is_err());
        assert!(check(&["*", "https://app.example"], false).is_err());
    }

    #[test]
    fn what_no_browser_sends_is_refused() {
        for wrong in [
            "app.example",
            "https://app.example/",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "https://user@app.example",
            "https://*.example",
            "null",
            "https://",
        ] {
            assert!(check(&[wrong], false).is_err(), "{wrong}");
        }
        assert!(check(&[], false).is_err());
    }
}
