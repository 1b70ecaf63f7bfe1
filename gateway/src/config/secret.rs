//! Secrets: `${NAME}` in the file, the value of the environment variable in memory, never printed.

use secrecy::{ExposeSecret, SecretString};

use super::{
    error::{Fault, Rejection},
    located::Located,
};

/// Reads an environment variable; none if it is not set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value that is never printed.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Resolves the reference that is written for `key`.
    ///
    /// # Errors
    ///
    /// Fails for anything but a reference to a variable that is set.
    pub fn resolve(key: &'static str, written: &Located<String>, env: Env<'_>) -> Result<Self, Rejection> {
        resolve(key, written, env).map_err(|fault| written.reject(fault))
    }

    /// Returns `value`, which is no secret or comes from the environment already.
    pub fn plain(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// Returns the value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// For reloads, which compare a new configuration with the old one; a client's value is never compared with this.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// Resolves the reference `written` for `key`.
pub(super) fn resolve(key: &'static str, written: &str, env: Env<'_>) -> Result<Secret, Fault> {
    let Some(variable) = reference(written) else {
        return Err(Fault::LiteralSecret { key });
    };
    match env(variable) {
        Some(value) if !value.is_empty() => Ok(Secret::plain(value)),
        _ => Err(Fault::UnsetSecret { key, variable: variable.to_owned() }),
    }
}

fn reference(written: &str) -> Option<&str> {
    let name = written.strip_prefix("${")?.strip_suffix('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(written: &str, value: Option<&str>) -> Result<Secret, Fault> {
        resolve("api_key", written, &|_| value.map(str::to_owned))
    }

    #[test]
    fn a_literal_is_refused() {
        for written in ["sk-123", "${}", "${A B}", "$NAME", "x${NAME}"] {
            assert_eq!(read(written, Some("v")).unwrap_err(), Fault::LiteralSecret { key: "api_key" }, "{written}");
        }
    }

    #[test]
    fn an_unset_variable_is_named() {
        let expected = Fault::UnsetSecret { key: "api_key", variable: "NAME".to_owned() };
        assert_eq!(read("${NAME}", None).unwrap_err(), expected);
    }

    #[test]
    fn debug_output_hides_the_value() {
        let secret = read("${NAME}", Some("hunter2")).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
