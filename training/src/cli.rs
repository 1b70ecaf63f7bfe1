//! The command line: `train`, `evaluate`, `export`, `simulate`, `protocol`, `download`.

mod simulated;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::simulated::{Protocol, Simulate};

use crate::data::world::WorldKind;
use crate::model::kind::ModelKind;

/// Trains and measures routers for PersonaRoute.
#[derive(Debug, Parser)]
#[command(name = "personaroute-train", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One command each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a router and measure it on the test split.
    Train(Train),
    /// Measure a run or an exported bundle, beside the baselines.
    Evaluate(Evaluate),
    /// Write a run's model as a bundle.
    Export(Export),
    /// Make users and what they have seen from outcomes.
    Simulate(Simulate),
    /// Train and measure by the evaluation protocol, once a seed.
    Protocol(Protocol),
    /// Fetch PersonaRoute-Bench from the hub.
    Download(Download),
}

/// Options of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Training configuration (YAML).
    #[arg(long, value_name = "FILE", required_unless_present_any = ["data", "resume"])]
    pub config: Option<PathBuf>,
    /// Data instead of the configuration's: an outcomes folder with users, or PersonaRoute-Bench files.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Folder of the run instead of the configuration's.
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Model to train; the configuration's, else gnn.
    #[arg(long)]
    pub model: Option<ModelKind>,
    /// cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// No progress, no table.
    #[arg(long)]
    pub quiet: bool,
    /// Continue an interrupted run.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "data", "run", "model", "device"])]
    pub resume: Option<PathBuf>,
}

/// Options of `evaluate`.
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Training configuration whose run is measured.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["run", "bundle"])]
    pub config: Option<PathBuf>,
    /// Run to measure.
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Bundle to measure, through the plugin and ONNX Runtime that serve it.
    #[arg(long, value_name = "DIR", conflicts_with = "run", requires = "data")]
    pub bundle: Option<PathBuf>,
    /// Data instead of the run's.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The plugin; PERSONAROUTE_PLUGIN's, else the installed one.
    #[arg(long, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// World whose hidden utilities are the measure, where the data's folder does not name it.
    #[arg(long)]
    pub world: Option<WorldKind>,
    /// Key of that world; 42 unless said.
    #[arg(long, value_name = "K")]
    pub key: Option<u64>,
    /// Write the router's choices (user, query_id, llm).
    #[arg(long, value_name = "CSV")]
    pub choices: Option<PathBuf>,
    /// Write table and chart into a folder.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Run whose model is written.
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub run: Option<PathBuf>,
    /// Training configuration whose run is written: that of load_model_path, else its own.
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    pub config: Option<PathBuf>,
    /// Folder of the bundle.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// A name for the trained user nearest to a preference, such as `ada=0.9`; may be repeated.
    #[arg(long, value_name = "NAME=P", value_parser = named)]
    pub user: Vec<(String, f32)>,
    /// LLMs that training has not seen, as metadata (JSON: name to `feature`, `input_price`, `output_price`, `model`).
    #[arg(long, value_name = "JSON")]
    pub add_llm: Option<PathBuf>,
    /// What the run's users rated of their answers to the run's training queries (`user_id, query_id, llm, reward`).
    #[arg(long, value_name = "CSV", requires = "add_llm")]
    pub ratings: Option<PathBuf>,
}

/// Options of `download`.
#[derive(Debug, Args)]
pub struct Download {
    /// Folder to write.
    #[arg(long, value_name = "DIR", default_value = "data/personaroute_bench")]
    pub out: PathBuf,
    /// Data set on the hub.
    #[arg(long, value_name = "OWNER/NAME", default_value = "ulab-ai/PersonaRoute-Bench")]
    pub dataset: String,
    /// Branch, tag or commit.
    #[arg(long, default_value = "main")]
    pub revision: String,
    /// Seconds without a byte from the hub after which the download fails.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..))]
    pub timeout: u16,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

fn named(text: &str) -> Result<(String, f32), String> {
    let expected = || format!("expected NAME=P with P from 0 to 1, found `{text}`");
    let (name, preference) = text.split_once('=').ok_or_else(expected)?;
    let preference: f32 = preference.parse().map_err(|_| expected())?;
    match !name.is_empty() && (0.0..=1.0).contains(&preference) {
        true => Ok((name.to_owned(), preference)),
        false => Err(expected()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::data::outcome::Cost;
    use crate::data::world::{Feedback, KEY};

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn documented_calls_are_understood() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let call = "personaroute-train simulate --outcomes o --users 1000 --seen 40 --seed 42 --out d";
        assert!(matches!(
            parse(call).unwrap().command,
            Command::Simulate(Simulate { users: 1000, seen: Some(40), .. })
        ));
        let call = "personaroute-train simulate --outcomes o --users 1000 --world persona --key 7 --out d";
        let Command::Simulate(simulate) = parse(call).unwrap().command else { panic!("not simulate") };
        assert_eq!((simulate.world, simulate.key), (WorldKind::Persona, 7));
        let Command::Protocol(protocol) =
            parse("personaroute-train protocol --outcomes o --world choice").unwrap().command
        else {
            panic!("not protocol")
        };
        assert_eq!((protocol.world(), protocol.key()), (WorldKind::Choice, KEY));
        let call = "personaroute-train protocol --outcomes o --users s9 --seeds 0,1,2 --setting R --feedback bandit --cost cost --config f --choices c --json";
        let Command::Protocol(protocol) = parse(call).unwrap().command else { panic!("not protocol") };
        assert_eq!(
            (protocol.seeds(), protocol.feedback(), protocol.cost()),
            (&[0, 1, 2][..], Feedback::Bandit, Cost::Cost)
        );
        assert_eq!(protocol.of_outcomes_only(), Some("--users"));
        let Command::Protocol(protocol) =
            parse("personaroute-train protocol --outcomes o --unseen-tasks --every 5").unwrap().command
        else {
            panic!("not protocol")
        };
        assert_eq!((protocol.every, protocol.of_outcomes_only()), (5, Some("--unseen-tasks")));
        assert!(parse("personaroute-train protocol --outcomes o --every 5").is_err());
        assert!(parse("personaroute-train protocol --outcomes o --noise -1").is_err());
        assert!(parse("personaroute-train train --config f --device cuda --quiet").is_ok());
        assert!(parse("personaroute-train train --resume r").is_ok());
        assert!(parse("personaroute-train train --resume r --device cuda").is_err());
        assert!(parse("personaroute-train train --config f --model closed_form").is_ok());
        assert!(parse("personaroute-train protocol --outcomes o --model gnn").is_ok());
        let error = parse("personaroute-train protocol --outcomes o --model published").unwrap_err().to_string();
        assert!(error.contains("the model `published` is not available"), "{error}");
        assert!(parse("personaroute-train evaluate --bundle b --data d --json").is_ok());
        assert!(parse("personaroute-train evaluate --bundle b").is_err());
        assert!(parse("personaroute-train train").is_err());
        assert!(parse("personaroute-train export --run r --out o --user ada=0.9 --user bob=2").is_err());
    }
}
