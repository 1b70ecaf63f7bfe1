//! Votes instead of ratings: `protocol`, `train` and `evaluate` on a folder of votes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::run::Info;
use super::{note, print};
use crate::cli::Protocol;
use crate::config::Config;
use crate::data::vote::{VoteSplit, Votes, read, verdicts};
use crate::eval::model_router::ModelRouter;
use crate::model::Model;
use crate::model::Router;
use crate::train::{self, device::device};
use crate::vote::design::{Block, Design};
use crate::vote::score::{Prediction, Row, markdown, row};
use crate::vote::serve::{SERVED, VoteFit, position_biases};
use crate::vote::solve::{Problem, Ridges, logits};
use crate::vote::tune::{Folds, start};
use crate::vote::{baseline, design};

/// The judge's verdicts that a folder may hold.
const JUDGE: &str = "judge_gpt4.csv";

/// Votes, their split and the design of the model.
struct VoteExperiment {
    votes: Votes,
    split: VoteSplit,
    design: Design,
}

/// Measures the model of votes and its baselines on the protocol's test votes.
pub fn protocol(args: &Protocol, config: &Config) -> Result<()> {
    let experiment = VoteExperiment::open(&args.outcomes, config, &args.device)?;
    if !args.quiet {
        note(&experiment.summary());
    }
    let mut rows = Vec::new();
    if !args.baselines_only {
        let ridges = experiment.tuned();
        let model = experiment.fitted(&ridges).model(config.hparams.clone(), config.seed);
        rows.push(experiment.measure("router", &model, true)?);
        rows.push(experiment.measure("router_task_unknown", &model, false)?);
        rows.push(experiment.everything(ridges));
    }
    rows.extend(experiment.baselines(&args.outcomes)?);
    match args.json {
        true => print(&Value::Object(experiment.json(&rows)).to_string()),
        false => print(&format!("{}\n\n{}", experiment.summary(), markdown(&rows))),
    }
}

/// Trains on the training votes, measures on the test votes, writes the run.
pub fn train(folder: &Path, (info, config): (&Info, &Config), run: &Path, quiet: bool) -> Result<()> {
    let experiment = VoteExperiment::open(folder, config, &info.device)?;
    if !quiet {
        note(&experiment.summary());
    }
    let model = experiment.fitted(&experiment.tuned()).model(config.hparams.clone(), info.seed);
    model.save(run)?;
    let rows = experiment.table(&model, folder)?;
    write(&run.join("report"), &experiment, &rows)?;
    if !quiet {
        note(&markdown(&rows));
    }
    print(&run.display().to_string())
}

/// Measures a run on votes.
pub fn evaluate(folder: &Path, config: &Config, run: &Path, json: bool) -> Result<()> {
    let model = train::load(run)?;
    let experiment = VoteExperiment::open(folder, config, "cpu")?;
    let rows = experiment.table(&*model, folder)?;
    match json {
        true => print(&Value::Object(experiment.json(&rows)).to_string()),
        false => print(&format!("{}\n\n{}", experiment.summary(), markdown(&rows))),
    }
}

impl VoteExperiment {
    fn open(folder: &Path, config: &Config, on: &str) -> Result<Self> {
        let mut votes = read(folder, &config.families)?;
        if let Some(encoder) = &config.encoder {
            crate::data::encode::missing(&mut votes.dataset, encoder)?;
        }
        let split = votes.split();
        let design = Design::build(&votes, device(on)?);
        Ok(Self { votes, split, design })
    }

    fn summary(&self) -> String {
        let data = &self.votes.dataset;
        let [votes, users] = [self.votes.votes.len(), self.votes.users.len()];
        let [llms, queries, tasks] = [data.llms.len(), data.queries.len(), data.tasks.len()];
        let test = self.split.test.len();
        format!(
            "{}: {votes} votes of {users} users on {llms} LLMs, {queries} queries, {tasks} tasks; {test} test votes",
            data.name
        )
    }

    /// Chooses the ridges of the served blocks, on training votes only.
    fn tuned(&self) -> Ridges {
        Folds::new(&self.votes, &self.design, &self.split).tune(start(&SERVED))
    }

    fn fitted(&self, ridges: &Ridges) -> VoteFit<'_> {
        VoteFit::new(&self.votes, &self.design, ridges, &self.split.train)
    }

    fn table(&self, model: &dyn Model, folder: &Path) -> Result<Vec<Row>> {
        let mut rows = vec![self.measure("router", model, true)?, self.measure("router_task_unknown", model, false)?];
        rows.extend(self.baselines(folder)?);
        Ok(rows)
    }

    /// Measures the router as it is served: by the utilities of both answers and the user's position bias.
    fn measure(&self, name: &str, model: &dyn Model, declared: bool) -> Result<Row> {
        let (data, users) = (&self.votes.dataset, &self.votes.users);
        let queries: Vec<u32> = (0..).take(data.queries.len()).collect();
        let router = match declared {
            true => ModelRouter::declared(model, data, users, &queries)?,
            false => ModelRouter::unknown(model, data, users, &queries)?,
        };
        let biases = position_biases(model, users);
        let (mut utilities, mut logits) = (vec![None; users.len()], Vec::new());
        for vote in self.split.test.iter().filter_map(|&row| self.votes.votes.get(row)) {
            let user = vote.user as usize;
            let own = utilities.get_mut(user).context("a vote of a user that does not exist")?;
            if own.is_none() {
                *own = Some(router.utilities(user, &queries)?);
            }
            let utility = |llm: u16| {
                let table = own.as_ref()?;
                table.get((vote.query as usize, usize::from(llm))).copied()
            };
            let (left, right) = utility(vote.left).zip(utility(vote.right)).context("an LLM that does not exist")?;
            logits.push(biases.get(user).copied().unwrap_or(0.0) + left - right);
        }
        Ok(row(name, &Prediction::all(&self.votes, &self.split.test, &logits)))
    }

    /// Measures the whole model, with personal terms of single answers, which new queries cannot have.
    fn everything(&self, mut ridges: Ridges) -> Row {
        let own = start(&design::Block::ALL);
        let column = Block::UserQueryLlm.column();
        if let (Some(place), Some(ridge)) = (ridges.get_mut(column), own.get(column)) {
            *place = *ridge;
        }
        let ridges = Folds::new(&self.votes, &self.design, &self.split).tune(ridges);
        let point = Problem::new(&self.votes, &self.design, &ridges, &self.split.train).solve(None);
        let logits = logits(&self.design, &ridges, &point, &self.split.test);
        row("router_known_queries", &Prediction::all(&self.votes, &self.split.test, &logits))
    }

    fn baselines(&self, folder: &Path) -> Result<Vec<Row>> {
        let verdicts = verdicts(folder, JUDGE, &self.votes.dataset)?;
        Ok(baseline::all(&self.votes, &self.split, &self.design, verdicts.as_ref()))
    }

    fn json(&self, rows: &[Row]) -> Map<String, Value> {
        let data = &self.votes.dataset;
        let (routers, others): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.name.starts_with("router"));
        let figures =
            |rows: Vec<&Row>| rows.into_iter().map(|row| (row.name.clone(), json!(row))).collect::<Map<_, _>>();
        let mut object = Map::new();
        object.insert("data".to_owned(), json!(data.name));
        object.insert("fingerprint".to_owned(), json!(data.fingerprint));
        object.insert("votes".to_owned(), json!(self.votes.votes.len()));
        object.insert("users".to_owned(), json!(self.votes.users.len()));
        object.extend(figures(routers));
        object.insert("baselines".to_owned(), Value::Object(figures(others)));
        object
    }
}

fn write(folder: &Path, experiment: &VoteExperiment, rows: &[Row]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).with_context(|| format!("write {}", folder.join(name).display()))
    };
    write("report.md", &format!("# {}\n\n{}", experiment.summary(), markdown(rows)))?;
    write("metrics.json", &serde_json::to_string_pretty(&Value::Object(experiment.json(rows)))?)
}
