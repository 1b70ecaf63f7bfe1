//! The command line: `train`, `evaluate`, `export`, `simulate`, `protocol`, `download`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::raw::{Encoder, Setting};
use crate::data::outcome::Cost;
use crate::data::union::Rename;
use crate::data::world::{Feedback, KEY, WorldKind};
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
    /// The plugin, where it is not in the build's folder.
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

/// Options of `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Folder of outcomes. Of several, LLMs and queries stand side by side, with costs on one scale of dollars.
    #[arg(long, value_name = "DIR", required = true)]
    pub outcomes: Vec<PathBuf>,
    /// Another name for an LLM of one of several folders.
    #[arg(long, value_name = "FOLDER/LLM=NAME")]
    pub llm_name: Vec<Rename>,
    /// 9 (preferences 0.2 to 1.0, as in the paper), or how many with uniform preferences.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub users: u32,
    /// How many training queries each user has seen; all unless said.
    #[arg(long, value_name = "K")]
    pub seen: Option<usize>,
    /// Seed of the split and of what users have seen.
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub seed: u64,
    /// All rewards of a seen query, or that of one LLM.
    #[arg(long, default_value = "full")]
    pub feedback: Feedback,
    /// What users are like, and how they say it.
    #[arg(long, default_value = "line")]
    pub world: WorldKind,
    /// Another key draws other users, tastes and habits.
    #[arg(long, value_name = "K", default_value_t = KEY)]
    pub key: u64,
    /// Which cost counts.
    #[arg(long, default_value = "cost_log")]
    pub cost: Cost,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

/// Options of `protocol`.
#[derive(Debug, Args)]
pub struct Protocol {
    /// Folder of outcomes.
    #[arg(long, value_name = "DIR")]
    pub outcomes: PathBuf,
    /// s9 or s1000 (unless said).
    #[arg(long, value_parser = ["s9", "s1000"])]
    users: Option<String>,
    /// Seeds, separated by commas; 0,1,2 unless said.
    #[arg(long, value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    /// What the router may know; the configuration's, else R.
    #[arg(long)]
    pub setting: Option<Setting>,
    /// How query text is read; the configuration's, else lexical.
    #[arg(long)]
    pub encoder: Option<Encoder>,
    /// All rewards of a seen query (unless said), or that of one LLM.
    #[arg(long)]
    feedback: Option<Feedback>,
    /// What users are like, and how they say it; line unless said.
    #[arg(long)]
    world: Option<WorldKind>,
    /// Another key than 42 draws other users, tastes and habits.
    #[arg(long, value_name = "K")]
    key: Option<u64>,
    /// Which cost counts; cost_log unless said.
    #[arg(long)]
    cost: Option<Cost>,
    /// Standard deviation of normal noise on the rewards that users have seen.
    #[arg(long, value_name = "SD", default_value_t = 0.0, value_parser = deviation)]
    pub noise: f64,
    /// Model to train; the configuration's, else gnn.
    #[arg(long)]
    pub model: Option<ModelKind>,
    /// Training configuration, for its hyperparameters.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Write the router's choices (user, query_id, llm); one file a seed when there are several.
    #[arg(long, value_name = "CSV")]
    pub choices: Option<PathBuf>,
    /// Also measure held-out users, by how many queries support them.
    #[arg(long)]
    pub held_out: bool,
    /// Also measure LLMs that training has never seen, by how many queries they are then observed on (trains 5 times a
    /// seed).
    #[arg(long)]
    pub new_llms: bool,
    /// Also measure tasks that training has never seen, each left out in turn (trains once a task and seed).
    #[arg(long)]
    pub unseen_tasks: bool,
    /// On unseen tasks, measure every N-th user; training hears all of them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), requires = "unseen_tasks")]
    pub every: u16,
    /// Only the baselines, no training.
    #[arg(long)]
    pub baselines_only: bool,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

impl Protocol {
    /// Returns the population's name.
    pub fn users(&self) -> &str {
        self.users.as_deref().unwrap_or("s1000")
    }

    /// Returns the seeds.
    pub fn seeds(&self) -> &[u64] {
        self.seeds.as_deref().unwrap_or(&[0, 1, 2])
    }

    /// Returns which rewards of a seen query a user knows.
    pub fn feedback(&self) -> Feedback {
        self.feedback.unwrap_or_default()
    }

    /// Returns what users are like.
    pub fn world(&self) -> WorldKind {
        self.world.unwrap_or_default()
    }

    /// Returns the key that users, tastes and habits are drawn with.
    pub fn key(&self) -> u64 {
        self.key.unwrap_or(KEY)
    }

    /// Returns which cost counts.
    pub fn cost(&self) -> Cost {
        self.cost.unwrap_or_default()
    }

    /// Returns the first option given that only outcomes have a use for.
    pub fn of_outcomes_only(&self) -> Option<&'static str> {
        let given = [
            ("--users", self.users.is_some()),
            ("--seeds", self.seeds.is_some()),
            ("--setting", self.setting.is_some()),
            ("--feedback", self.feedback.is_some()),
            ("--world", self.world.is_some()),
            ("--key", self.key.is_some()),
            ("--cost", self.cost.is_some()),
            ("--noise", self.noise > 0.0),
            ("--choices", self.choices.is_some()),
            ("--held-out", self.held_out),
            ("--new-llms", self.new_llms),
            ("--unseen-tasks", self.unseen_tasks),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
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

fn deviation(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let sound = number.filter(|number| number.is_finite() && *number >= 0.0);
    sound.ok_or_else(|| format!("expected a number of at least 0, found `{text}`"))
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
