//! What training costs as interactions grow: users drawn over real outcomes, each size simulated, read and trained.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::archive::Archive;
use super::usage;
use crate::environment::Environment;
use crate::{process, workspace};

/// Training queries that each user has seen; of one LLM each, so as many interactions.
const SEEN: u32 = 40;
/// Users of each row: ten thousand to ten million interactions.
const USERS: [u32; 4] = [250, 2_500, 25_000, 250_000];
/// How often memory is looked at: the kernel keeps the peak, so only the last look counts.
const LOOK: Duration = Duration::from_millis(50);

/// What one program run cost.
struct Cost {
    wall: Duration,
    processor: Duration,
    /// Most resident memory in kilobytes.
    peak: u64,
    /// When each stage of a training run was done, as it says itself.
    stages: String,
}

/// Measures and archives one table.
pub(super) fn run(environment: &Environment, outcomes: &Path, archive: &Archive) -> Result<()> {
    ensure!(outcomes.is_dir(), "{}: no folder of outcomes", outcomes.display());
    let mut build = process::cargo();
    environment.give(&mut build)?;
    build.args(["build", "--quiet", "--release", "--locked", "--workspace", "--bin", "personaroute-train"]);
    process::run(&mut build, "building the trainer")?;
    let folder = workspace::cache()?.join("bench-training");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut table = format!(
        "# Training cost\n\n`cargo xtask bench training {}`: users of which each has seen {SEEN} queries, one LLM each.\n\n\
         | interactions | wall s | processor s | µs an interaction | to the row above | peak MB | done after |\n\
         |---|---|---|---|---|---|---|\n",
        outcomes.display()
    );
    let mut before: Option<Duration> = None;
    for users in USERS {
        let cost = measure(environment, outcomes, &folder, users)?;
        let interactions = f64::from(users) * f64::from(SEEN);
        let ratio = before.map_or_else(|| "–".to_owned(), |before| format!("{:.1}", ratio(cost.processor, before)));
        writeln!(
            table,
            "| {interactions:.0e} | {:.1} | {:.1} | {:.1} | {ratio} | {} | {} |",
            cost.wall.as_secs_f64(),
            cost.processor.as_secs_f64(),
            cost.processor.as_secs_f64() * 1e6 / interactions,
            cost.peak / 1024,
            cost.stages,
        )?;
        before = Some(cost.processor);
        eprint!("{table}");
    }
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    archive.write("training.md", &table)
}

fn ratio(now: Duration, before: Duration) -> f64 {
    now.as_secs_f64() / before.as_secs_f64().max(1e-3)
}

/// Simulates and trains one size; the data goes away with the next.
fn measure(environment: &Environment, outcomes: &Path, folder: &Path, users: u32) -> Result<Cost> {
    let (data, run) = (folder.join("data"), folder.join("run"));
    for old in [&data, &run].into_iter().filter(|old| old.exists()) {
        fs::remove_dir_all(old).with_context(|| old.display().to_string())?;
    }
    let mut simulate = trainer(environment)?;
    simulate.arg("simulate").arg("--outcomes").arg(outcomes).arg("--out").arg(&data);
    simulate.args(["--users", &users.to_string(), "--seen", &SEEN.to_string(), "--feedback", "bandit", "--quiet"]);
    watched(&mut simulate, folder)?;
    let mut train = trainer(environment)?;
    train.arg("train").arg("--data").arg(&data).arg("--run").arg(&run);
    watched(&mut train, folder)
}

fn trainer(environment: &Environment) -> Result<Command> {
    let mut command = Command::new(workspace::target()?.join("release/personaroute-train"));
    environment.give(&mut command)?;
    Ok(command)
}

/// Runs a program to its end and says what it cost.
fn watched(command: &mut Command, folder: &Path) -> Result<Cost> {
    let said = folder.join("said.txt");
    let file = File::create(&said).with_context(|| said.display().to_string())?;
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(file).spawn().context("starting the trainer")?;
    let (mut peak, mut processor) = (0, Duration::ZERO);
    let status = loop {
        if let Some(status) = child.try_wait().context("waiting for the trainer")? {
            break status;
        }
        peak = usage::peak(child.id()).unwrap_or(peak);
        processor = usage::processor(child.id()).max(processor);
        std::thread::park_timeout(LOOK);
    };
    let wall = started.elapsed();
    let text = fs::read_to_string(&said).unwrap_or_default();
    ensure!(status.success(), "the trainer ended with {status}: {text}");
    Ok(Cost { wall, processor, peak, stages: stages(&text) })
}

/// The times that a training run tells: `read in 1.0 s`, `users estimated after 2.0 s`.
fn stages(said: &str) -> String {
    let time = |line: &str| {
        let (what, seconds) = line.rsplit_once(" estimated after ").or_else(|| line.rsplit_once(", read in "))?;
        let what = if line.contains("read in") { "reading" } else { what };
        Some(format!("{what} {}", seconds.trim_end()))
    };
    said.lines().filter_map(time).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_its_stages() {
        let said =
            "data: 9 queries, 2 LLMs, read in 1.5 s\nusers estimated after 2.0 s\nqueries estimated after 3.5 s\n";
        assert_eq!(stages(said), "reading 1.5 s, users 2.0 s, queries 3.5 s");
    }

    #[test]
    fn a_programs_cost_is_told_and_its_failure_too() {
        let folder = std::env::temp_dir().join(format!("personaroute-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let shell = |script: &str| watched(Command::new("sh").args(["-c", script]), &folder);
        let cost = shell("echo 'users estimated after 1.0 s' >&2; sleep 0.2").unwrap();
        let failed = shell("echo broken >&2; exit 3");
        fs::remove_dir_all(&folder).unwrap();
        assert!(cost.wall >= Duration::from_millis(200) && cost.peak > 0);
        assert_eq!(cost.stages, "users 1.0 s");
        assert!(failed.err().unwrap().to_string().contains("broken"));
    }
}
