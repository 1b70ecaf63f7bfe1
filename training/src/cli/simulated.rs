//! The commands on simulated users: `simulate` and `protocol`.

use std::path::PathBuf;

use clap::Args;

use crate::config::raw::{Encoder, Setting};
use crate::data::outcome::Cost;
use crate::data::union::Rename;
use crate::data::world::{Feedback, KEY, WorldKind};
use crate::model::kind::ModelKind;

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

fn deviation(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    let sound = number.filter(|number| number.is_finite() && *number >= 0.0);
    sound.ok_or_else(|| format!("expected a number of at least 0, found `{text}`"))
}
