//! How a configuration can be wrong, always with file, line and column.

use std::path::{Path, PathBuf};

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML of the expected shape.
    #[error("{}:{place}: {message}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where the mistake is.
        place: Place,
        /// What the parser expected, with a snippet.
        message: String,
    },
    /// The values contradict each other or a rule.
    #[error("{}:{place}: {fault}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where the mistake is.
        place: Place,
        /// What is wrong.
        fault: Fault,
    },
    /// A variable of the environment cannot be followed.
    #[error("the environment's {variable} {expected}, found `{found}`")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl Error {
    /// Returns the refusal of `path` for what its parser says.
    pub(super) fn shape(path: &Path, error: &serde_saphyr::Error) -> Self {
        let place = error.location().map_or_else(Place::default, |at| Place { line: at.line(), column: at.column() });
        Self::Shape { path: path.to_path_buf(), place, message: error.to_string() }
    }
}

/// A position in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, from 1; 0 when unknown.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
}

impl Place {
    /// Returns where a value stands.
    pub fn of<T>(value: &serde_saphyr::Spanned<T>) -> Self {
        Self { line: value.referenced.line(), column: value.referenced.column() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a value that the parser accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Another version of the format.
    #[error("version {found} is not supported, expected version 1")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// A name is used twice.
    #[error("{what} `{name}` is defined twice")]
    Duplicate {
        /// Kind of the thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A name refers to nothing.
    #[error("{what} `{name}` is not defined; defined are: {known}")]
    Unknown {
        /// Kind of the thing.
        what: &'static str,
        /// The name that was written.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A virtual model has the name of a configured model.
    #[error("virtual model `{0}` has the name of a model; a client could not tell them apart")]
    Ambiguous(String),
    /// A key is missing that this kind needs.
    #[error("upstream `{upstream}` of kind {kind} needs `{key}`")]
    MissingKey {
        /// The upstream.
        upstream: String,
        /// Its kind.
        kind: &'static str,
        /// The missing key.
        key: &'static str,
    },
    /// A value does not have the form it needs.
    #[error("`{key}` {expected}, found `{found}`")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be, as a clause: "must be …".
        expected: &'static str,
        /// What is written.
        found: String,
    },
    /// A secret is written into the file.
    #[error("`{key}` must be a reference such as ${{MY_KEY}}: secrets are not written into the file")]
    LiteralSecret {
        /// The key.
        key: &'static str,
    },
    /// A secret's environment variable is not set.
    #[error("`{key}` refers to the environment variable {variable}, which is not set")]
    UnsetSecret {
        /// The key.
        key: &'static str,
        /// The variable.
        variable: String,
    },
    /// A key that nothing stands for.
    #[error("key `{0}` needs `sha256`, or `certificate`")]
    Credential(String),
    /// An LLM has no price anywhere.
    #[error("`{llm}` is not in the bundle's catalog, so it needs `input_price` and `output_price`; known are: {known}")]
    Unpriced {
        /// The LLM.
        llm: String,
        /// The catalog's LLMs.
        known: String,
    },
    /// Nobody is authenticated, and the listener is public.
    #[error("auth mode none listens on loopback only, found {0}; set keys, or listen on 127.0.0.1")]
    PublicWithoutKeys(std::net::SocketAddr),
    /// A list is empty that needs an entry.
    #[error("`{0}` needs at least one entry")]
    Empty(&'static str),
}
