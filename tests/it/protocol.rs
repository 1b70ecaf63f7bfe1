//! The trainer follows the evaluation protocol: an independent implementation gives the same splits, metrics and scores.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use personaroute_harness::{path, python};
use serde_json::Value;

/// The independent implementation.
const SCRIPT: &str = include_str!("../fixtures/protocol.py");
const METRICS: [&str; 6] = ["reward", "best_single_per_user", "oracle", "gap_closed", "accuracy", "routed_differently"];
/// Baselines that both implementations have; the last only where users have seen a part of the queries.
const BASELINES: [&str; 4] = ["cheapest", "best_single_overall", "told_p_task_means", "best_per_user_task_own_40"];

fn fixture(name: &str) -> PathBuf {
    path::root().join("tests/fixtures").join(name)
}

fn answers() -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(fixture("answers.json"))?)?)
}

/// Runs `personaroute-train protocol` and returns the object that it prints.
fn protocol(outcomes: &Path, users: &str, seeds: &str, more: &[&str]) -> Result<Value> {
    let mut trainer = Command::new(path::binary("personaroute-train"));
    trainer.args(["protocol", "--json", "--quiet", "--users", users, "--seeds", seeds]).args(more);
    let output = trainer.arg("--outcomes").arg(outcomes).output().context("`cargo build --workspace --bins`")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Holds every metric of `found` to that of `expected`, which is rounded to six digits.
fn assert_same(found: &Value, expected: &Value, what: &str) {
    for metric in METRICS {
        let (found, expected) = (found[metric].as_f64().unwrap(), expected[metric].as_f64().unwrap());
        assert!((found - expected).abs() < 2e-6, "{what}: {metric} is {found}, expected {expected}");
    }
}

fn assert_baselines(found: &Value, expected: &Value, users: &str) {
    for seed in found["seeds"].as_array().unwrap() {
        let number = seed["seed"].to_string();
        let routers = expected["seeds"][&number][users].as_object().unwrap();
        for baseline in BASELINES.into_iter().filter(|baseline| routers.contains_key(*baseline)) {
            let what = format!("{users}, seed {number}, {baseline}");
            assert_same(&seed["baselines"][baseline], &routers[baseline], &what);
        }
    }
}

#[test]
fn baselines_are_measured_as_the_independent_implementation_measures_them() -> Result<()> {
    for users in ["s9", "s1000"] {
        let found = protocol(&fixture("outcomes"), users, "0,1,2", &["--baselines-only"])?;
        assert_eq!(found["seeds"].as_array().unwrap().len(), 3);
        assert_baselines(&found, &answers()?, users);
    }
    Ok(())
}

#[test]
fn choices_of_a_trained_router_score_the_same_in_both_implementations() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("choices.csv");
    let choices = file.to_str().context("a path in Unicode")?;
    let found = protocol(&fixture("outcomes"), "s9", "1", &["--choices", choices, "--model", "closed_form"])?;
    let outcomes = fixture("outcomes");
    let arguments = ["score", outcomes.to_str().context("a path in Unicode")?, choices, "s9", "1"];
    let expected: Value = serde_json::from_str(&python::run(SCRIPT, &arguments)?)?;
    assert_same(&found["router"], &expected, "the trained router");
    let written = std::fs::read_to_string(&file)?;
    let ids = written.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse::<u64>().unwrap());
    let sum = answers()?["seeds"]["1"]["sums_of_ids"]["test"].as_u64().unwrap();
    assert_eq!(ids.sum::<u64>(), 9 * sum, "each of nine users is sent every test query once");
    Ok(())
}

#[test]
fn the_committed_answers_are_those_of_the_scripts() -> Result<()> {
    let outcomes = fixture("outcomes");
    let printed = python::run(SCRIPT, &[OsStr::new("answers"), outcomes.as_os_str()])?;
    assert_eq!(serde_json::from_str::<Value>(&printed)?, answers()?);
    for (script, argument, committed) in
        [("worlds.py", outcomes.as_os_str(), "worlds.json"), ("bench.py", OsStr::new("answers"), "bench.json")]
    {
        // The scripts import the protocol's.
        let run = format!("import runpy, sys; sys.path.insert(0, {:?})\n", fixture("").display().to_string());
        let run = format!("{run}runpy.run_path({:?}, run_name='__main__')", fixture(script).display().to_string());
        let printed: Value = serde_json::from_str(&python::run(&run, &[argument])?)?;
        let expected: Value = serde_json::from_slice(&std::fs::read(fixture(committed))?)?;
        assert_same_numbers(&printed, &expected, script);
    }
    Ok(())
}

/// Holds every number to the committed one, apart from the last digits, which depend on the machine's arithmetic.
fn assert_same_numbers(found: &Value, expected: &Value, what: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            expected.iter().for_each(|(name, value)| assert_same_numbers(&found[name], value, name));
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{what}");
            found.iter().zip(expected).for_each(|(found, expected)| assert_same_numbers(found, expected, what));
        }
        (Value::Number(found), Value::Number(expected)) => {
            let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[test]
fn the_large_sets_give_the_same_figures_in_both_implementations() -> Result<()> {
    for (name, sum) in [("zeroeval", 820_440), ("llmrouter9", 3_605_094)] {
        let Some(folder) = path::shared_data(name) else { return Ok(()) };
        let printed = python::run(SCRIPT, &[OsStr::new("answers"), folder.as_os_str(), OsStr::new("0")])?;
        let expected: Value = serde_json::from_str(&printed)?;
        assert_eq!(expected["seeds"]["0"]["sums_of_ids"]["test"], sum);
        let found = protocol(&folder, "s9", "0", &["--baselines-only"])?;
        assert_baselines(&found, &expected, "s9");
    }
    Ok(())
}
