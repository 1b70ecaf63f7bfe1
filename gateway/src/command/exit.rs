//! From failures to exit codes: 1 failed, 2 bad usage, 64 bad configuration.

use std::{error::Error, io::Write, process::ExitCode};

use crate::{
    app::{StartError, assets::AssetError},
    config,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The options ask for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// The gateway does not start.
    #[error(transparent)]
    Start(StartError),
    /// The bundle is not there.
    #[error(transparent)]
    Assets(#[from] AssetError),
    /// The bundle is refused.
    #[error(transparent)]
    Bundle(#[from] personaroute_bundle::BundleError),
    /// A file or the terminal.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An input row is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The gateway refused an operation.
    #[error("the gateway answered {status}: {message}")]
    Refused {
        /// The status.
        status: http::StatusCode,
        /// What it said.
        message: String,
    },
    /// The Parquet files cannot be written.
    #[error("the interactions cannot be exported")]
    Export(#[from] crate::learning::export::ExportError),
    /// Some calls failed.
    #[error("{failed} of {total} rows failed: see their `error`")]
    Rows {
        /// Rows with an error.
        failed: usize,
        /// All rows.
        total: usize,
    },
}

impl From<StartError> for Failed {
    fn from(error: StartError) -> Self {
        if let StartError::Config(error) = error { Self::Config(error) } else { Self::Start(error) }
    }
}

impl Failed {
    /// Returns a failure of the system while doing `what`.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 64,
            Self::Usage(_) => 2,
            Self::Start(_)
            | Self::Assets(_)
            | Self::Bundle(_)
            | Self::Io { .. }
            | Self::Input(_)
            | Self::Refused { .. }
            | Self::Export(_)
            | Self::Rows { .. } => 1,
        }
    }
}

/// Tells `failed` and its causes on stderr.
pub(super) fn report(failed: &Failed) -> ExitCode {
    let mut text = format!("error: {failed}");
    let mut cause = failed.source();
    while let Some(error) = cause {
        text.push_str(&format!("\n  because: {error}"));
        cause = error.source();
    }
    let _ignored = writeln!(std::io::stderr().lock(), "{text}");
    ExitCode::from(failed.code())
}

/// Shows clap's help or error.
pub(super) fn usage(shown: &clap::Error) -> ExitCode {
    let _ignored = shown.print();
    if shown.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
