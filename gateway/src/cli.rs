//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;

/// Routes each request to the LLM its user is best served by.
#[derive(Debug, Parser)]
#[command(name = "personaroute", version)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the gateway.
    Serve(Serve),
    /// Check a configuration and print it with its defaults, without secrets.
    Check {
        /// The configuration file.
        file: PathBuf,
        #[command(flatten)]
        overrides: Overrides,
    },
    /// Print the JSON schema of the configuration, for editors and checkers.
    Schema,
    /// Route one query or a file of queries, and send each one to the chosen LLM.
    Infer(Infer),
    /// Serve the gateway with its chat page and print the page's address.
    Chat(Chat),
    /// Inspect a model bundle.
    #[command(subcommand)]
    Bundle(Bundle),
    /// Show, erase, export or import what is known of a user.
    #[command(subcommand)]
    Users(Users),
    /// Export what users have said about answers.
    #[command(subcommand)]
    Interactions(Interactions),
    /// Generate an API key, and print it with the hash that the configuration stores.
    Key {
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// Serve the gateway.
#[derive(Debug, Args)]
pub struct Serve {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_CONFIG")]
    pub config: PathBuf,
    /// Values that override the configuration file.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Route one query or a file of queries.
#[derive(Debug, Args)]
pub struct Infer {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_CONFIG")]
    pub config: PathBuf,
    /// Values that override the configuration file.
    #[command(flatten)]
    pub overrides: Overrides,
    /// One query.
    #[arg(long, required_unless_present = "input", conflicts_with = "input")]
    pub query: Option<String>,
    /// A file of queries: .jsonl (one object per line), .json (a list), .txt (one query per line).
    #[arg(long, requires = "output")]
    pub input: Option<PathBuf>,
    /// Output file: one JSON object per line, or one list if the name ends in .json.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Route only; call no LLM.
    #[arg(long)]
    pub route_only: bool,
    /// Virtual model, if the configuration has several.
    #[arg(long)]
    pub model: Option<String>,
    /// User of rows without a user.
    #[arg(long)]
    pub user: Option<String>,
    /// Task of rows without a task.
    #[arg(long)]
    pub task: Option<String>,
    /// Preference of rows without one: weight of quality against cost, 0 to 1.
    #[arg(long)]
    pub preference: Option<f32>,
    /// Maximum number of concurrent calls.
    #[arg(long, default_value_t = 8)]
    pub concurrency: usize,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Serve the gateway with its chat page.
#[derive(Debug, Args)]
pub struct Chat {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_CONFIG")]
    pub config: PathBuf,
    /// Values that override the configuration file.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Port of the page on this machine.
    #[arg(long, default_value_t = 7860)]
    pub port: u16,
    /// Make the page reachable from other machines. Not supported: anyone who found the page could use it.
    #[arg(long)]
    pub share: bool,
}

/// Where what was learned is: in the gateway that runs with this configuration, or else in its store.
#[derive(Debug, Args)]
pub struct Learned {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_CONFIG")]
    pub config: PathBuf,
    /// Values in place of the file's.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Show, erase, export or import what is known of a user. Each prints one JSON object.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// List users who have given signals or declared a preference.
    List {
        #[command(flatten)]
        learned: Learned,
    },
    /// Show state, signals, preference and recent decisions.
    Show {
        /// The user.
        user: String,
        #[command(flatten)]
        learned: Learned,
    },
    /// Erase everything that is kept about a user.
    Erase {
        /// The user.
        user: String,
        #[command(flatten)]
        learned: Learned,
    },
    /// Print everything that is kept about a user, for `import`.
    Export {
        /// The user.
        user: String,
        /// Where it goes; standard output without it.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        learned: Learned,
    },
    /// Add what `export` has printed.
    Import {
        /// The user.
        user: String,
        /// The export.
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        #[command(flatten)]
        learned: Learned,
    },
}

/// Export what users have said about answers.
#[derive(Debug, Subcommand)]
pub enum Interactions {
    /// Write Parquet files, one partition for each day.
    Export {
        /// The folder of the partitions.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only what arrived then or later: `2026-11-30`, or a time such as `2026-11-30T12:00:00Z`.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        #[command(flatten)]
        learned: Learned,
    },
}

/// Inspect a model bundle.
#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Print the contents of a bundle.
    Show {
        /// The bundle's folder; without it the bundle that is embedded in this program.
        dir: Option<PathBuf>,
        /// Print one JSON object instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Compare every file of a bundle with its checksum.
    Verify {
        /// The bundle's folder; without it the bundle that is embedded in this program.
        dir: Option<PathBuf>,
    },
}
