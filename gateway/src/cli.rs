//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Overrides;

/// Routes each request to the LLM its user is best served by.
#[derive(Debug, Parser)]
#[command(name = "personaroute", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
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
    /// Route one query or a file of queries, and make the calls.
    Infer(Infer),
    /// Serve the gateway with its chat page and print the page's address.
    Chat(Chat),
    /// Look at a model bundle.
    #[command(subcommand)]
    Bundle(Bundle),
    /// Show, erase, export or import what is known of a user.
    #[command(subcommand)]
    Users(Users),
    /// Export what users have said about answers.
    #[command(subcommand)]
    Interactions(Interactions),
    /// Print a fresh API key, and the hash of it that the configuration keeps.
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
    /// Values in place of the file's.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Route one query or a file of queries.
#[derive(Debug, Args)]
pub struct Infer {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "PERSONAROUTE_CONFIG")]
    pub config: PathBuf,
    /// Values in place of the file's.
    #[command(flatten)]
    pub overrides: Overrides,
    /// One query.
    #[arg(long, required_unless_present = "input", conflicts_with = "input")]
    pub query: Option<String>,
    /// A file of queries: .jsonl (an object a line), .json (a list), .txt (a query a line).
    #[arg(long, requires = "output")]
    pub input: Option<PathBuf>,
    /// Where the result rows go, one JSON object a line; a name ending in .json makes it one list.
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Decide only, make no call.
    #[arg(long)]
    pub route_only: bool,
    /// The virtual model, when the configuration has several.
    #[arg(long)]
    pub model: Option<String>,
    /// The user of rows that name none.
    #[arg(long)]
    pub user: Option<String>,
    /// The task of rows that name none.
    #[arg(long)]
    pub task: Option<String>,
    /// Weight of effect against cost, 0 to 1, of rows that name none.
    #[arg(long)]
    pub preference: Option<f32>,
    /// Most calls at the same time.
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
    /// Values in place of the file's.
    #[command(flatten)]
    pub overrides: Overrides,
    /// Port of the page on this machine.
    #[arg(long, default_value_t = 7860)]
    pub port: u16,
    /// Reach the page from other machines. Not offered: the page would be open to everybody who finds it.
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

/// Look at a model bundle.
#[derive(Debug, Subcommand)]
pub enum Bundle {
    /// Print what a bundle holds.
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
