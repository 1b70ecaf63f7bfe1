//! Secrets: `${NAME}` in the file, the environment's value in memory, never printed.

use secrecy::{ExposeSecret, SecretString};

use super::Fault;

/// A value from the environment that is shown nowhere.
#[derive(Debug, Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Resolves the reference `written` for `key` with the environment `env`.
    pub fn resolve(key: &'static str, written: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let Some(variable) = reference(written) else {
            return Err(Fault::LiteralSecret { key });
        };
        match env(variable) {
            Some(value) if !value.is_empty() => Ok(Self(SecretString::from(value))),
            _ => Err(Fault::UnsetSecret { key, variable: variable.to_owned() }),
        }
    }

    /// Returns `value`, which is none or came from the environment already.
    pub fn plain(value: String) -> Self {
        Self(SecretString::from(value))
    }

    /// Returns the value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// For reloads, which compare what they read with what they have; whoever asks from outside is never compared with.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
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

    #[test]
    fn a_literal_is_refused() {
        for written in ["sk-123", "${}", "${A B}", "$NAME", "x${NAME}"] {
            let fault = Secret::resolve("api_key", written, &|_| Some("v".to_owned())).unwrap_err();
            assert_eq!(fault, Fault::LiteralSecret { key: "api_key" }, "{written}");
        }
    }

    #[test]
    fn an_unset_variable_is_named() {
        let fault = Secret::resolve("api_key", "${NAME}", &|_| None).unwrap_err();
        assert_eq!(fault, Fault::UnsetSecret { key: "api_key", variable: "NAME".to_owned() });
    }

    #[test]
    fn debug_output_hides_the_value() {
        let secret = Secret::resolve("api_key", "${NAME}", &|_| Some("hunter2".to_owned())).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
