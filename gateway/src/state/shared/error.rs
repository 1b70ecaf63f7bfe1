//! Why the shared store cannot be used.

use std::{path::PathBuf, time::Duration};

use redis::{ErrorKind, RedisError};
use rustls::pki_types::pem;

/// The shared store cannot be used. Error replies are reduced to their code, because some servers echo the command, which
/// may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum SharedStoreError {
    /// The file of the certificate authorities cannot be used.
    #[error("`state.shared.ca`: {} holds no certificate in PEM form", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        #[source]
        source: pem::Error,
    },
    /// The client cannot be built from the configuration.
    #[error("`state.shared`: the client cannot be built ({0})")]
    Client(String),
    /// There is no connection, or it broke.
    #[error("the connection failed ({0})")]
    Connection(String),
    /// The store did not answer in time.
    #[error("no reply within {0:?}")]
    Timeout(Duration),
    /// The store refused the credentials.
    #[error("the username and password are refused")]
    Authentication,
    /// The store replied with an error.
    #[error("the store replied with the error {0}")]
    Reply(String),
    /// The reply does not belong to the batch.
    #[error("the reply is not the script's")]
    Decode,
    /// Another process writes under the same instance id.
    #[error("another process writes under the same instance id")]
    Stale,
}

impl From<RedisError> for SharedStoreError {
    fn from(error: RedisError) -> Self {
        let kind = error.kind();
        if kind == ErrorKind::Io {
            return Self::Connection(error.to_string());
        }
        if kind == ErrorKind::AuthenticationFailed {
            return Self::Authentication;
        }
        if matches!(kind, ErrorKind::Parse | ErrorKind::UnexpectedReturnType) {
            return Self::Decode;
        }
        Self::Reply(error.code().filter(|code| is_code(code)).unwrap_or(error.category()).to_owned())
    }
}

/// Returns whether `text` looks like an error code such as `NOAUTH`.
fn is_code(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: ErrorKind, detail: &str) -> String {
        SharedStoreError::from(RedisError::from((kind, "text", detail.to_owned()))).to_string()
    }

    #[test]
    fn an_error_reply_is_reduced_to_its_code() {
        assert_eq!(message(ErrorKind::AuthenticationFailed, "hunter2"), "the username and password are refused");
        let unknown = message(ErrorKind::Extension, "unknown command `AUTH`, with args beginning with: `hunter2`");
        assert_eq!(unknown, "the store replied with the error extension error");
        assert!(is_code("WRONGPASS") && !is_code("hunter2") && !is_code(""));
    }
}
