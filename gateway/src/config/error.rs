//! Why a configuration is refused: always with the file, line and column, and with what was expected.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::position::Position;

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
    #[error("{}: {message}", Place(path, *position))]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where the mistake is.
        position: Position,
        /// What the parser expected, with a snippet.
        message: String,
    },
    /// A value is out of range, or values contradict each other.
    #[error("{}: {}", Place(path, rejection.position), rejection.fault)]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        rejection: Rejection,
    },
    /// An environment variable has a value that cannot be used.
    #[error("the environment variable {variable} {expected}, found `{found}`")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// What it must be, as a clause: "must be …".
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl Error {
    /// Returns the error of `path` for what its parser says.
    pub(super) fn shape(path: &Path, error: &serde_saphyr::Error) -> Self {
        let position = error.location().map_or_else(Position::default, Position::from);
        Self::Shape { path: path.to_path_buf(), position, message: error.to_string() }
    }

    /// Returns the error of `path` for one of its values.
    pub fn invalid(path: &Path, rejection: Rejection) -> Self {
        Self::Invalid { path: path.to_path_buf(), rejection }
    }
}

/// A file and a position in it, as editors and compilers write them.
struct Place<'a>(&'a Path, Position);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(path, position) = self;
        if position.is_known() { write!(f, "{}:{position}", path.display()) } else { write!(f, "{}", path.display()) }
    }
}

/// A value that is refused: where it is written, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Where it is written.
    pub position: Position,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.fault)
    }
}

/// What is wrong with a value that the parser accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Another version of the layout.
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
        /// The name that is written.
        name: String,
        /// The names that are defined.
        known: String,
    },
    /// A virtual model has the name of a configured model.
    #[error("virtual model `{0}` has the name of a model, so that a client could not tell them apart")]
    Ambiguous(String),
    /// A key is missing that this kind of upstream needs.
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
    /// The environment variable of a secret is not set.
    #[error("`{key}` refers to the environment variable {variable}, which is not set")]
    UnsetSecret {
        /// The key.
        key: &'static str,
        /// The variable.
        variable: String,
    },
    /// A PEM file, or a PEM text in the environment, cannot be used.
    #[error("`{key}`: {} {problem}", origin.as_deref().unwrap_or("the variable's value"))]
    Pem {
        /// The key.
        key: &'static str,
        /// The file; none for a text in the environment.
        origin: Option<String>,
        /// What is wrong with it.
        problem: String,
    },
    /// A header's value was copied from the output of `personaroute check`.
    #[error(
        "the value of the header `{0}` was hidden when it was printed: write the value, or a reference such as ${{MY_KEY}}"
    )]
    HiddenHeader(String),
    /// A key without anything that identifies its client.
    #[error("key `{0}` needs `sha256`, or `certificate`")]
    Credential(String),
    /// An LLM has no price.
    #[error("`{llm}` is not in the bundle's catalog, so it needs `input_price` and `output_price`; known are: {known}")]
    Unpriced {
        /// The LLM.
        llm: String,
        /// The catalog's LLMs.
        known: String,
    },
    /// Clients need no key, and the listener is public.
    #[error(
        "with auth mode none `listen` must be a loopback address, found {0}; configure keys, or listen on 127.0.0.1"
    )]
    PublicWithoutKeys(std::net::SocketAddr),
    /// The admin listener is public and needs no token.
    #[error("`admin` must be a loopback address unless `admin_token` is set, found {0}")]
    PublicWithoutToken(std::net::SocketAddr),
    /// A list is empty that needs an entry.
    #[error("`{0}` needs at least one entry")]
    Empty(&'static str),
}
