//! Facts about the commands as a whole, on outcomes made here.

// The harness itself would link the gateway's allocator beside libtorch.
#[expect(unreachable_pub, reason = "the harness shares this file, in which it is public")]
#[path = "../../../tests/harness/src/skip.rs"]
mod skip;

use std::fmt::Write as _;
use std::path::Path;

use clap::Parser;
use serde_json::Value;

use super::*;

/// Two tasks, three LLMs: `small` is cheap and right on `easy`, `large` is dear and right on all, `odd` is never right.
fn outcomes(folder: &Path) {
    let mut queries = String::from("query_id,task_id,query\n");
    let mut rows = String::from("query_id,llm,effect,cost,cost_log\n");
    for id in 0..120 {
        let task = if id % 2 == 0 { "easy" } else { "hard" };
        let words = if id % 2 == 0 { "add two numbers" } else { "prove the theorem" };
        writeln!(queries, "{id},{task},\"{words}, number {id}\"").unwrap();
        for (llm, effect, cost) in [("small", id % 2 == 0, 0.1), ("large", true, 0.9), ("odd", false, 0.5)] {
            writeln!(rows, "{id},{llm},{},{cost},{cost}", u8::from(effect)).unwrap();
        }
    }
    let llms = r#"{"small": {"feature": "s", "input_price": 0.1, "output_price": 0.1},
        "large": {"feature": "l", "input_price": 9, "output_price": 9},
        "odd": {"feature": "o", "input_price": 1, "output_price": 1}}"#;
    for (name, text) in [("queries.csv", queries.as_str()), ("outcomes.csv", rows.as_str()), ("llms.json", llms)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

fn call(line: &str) -> Result<()> {
    dispatch(Cli::try_parse_from(std::iter::once("personaroute-train").chain(line.split(' '))).unwrap().command)
}

#[test]
fn a_simulated_world_is_measured_by_its_hidden_utilities() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    outcomes(folder.path());
    let line = "--users 30 --seen 12 --seed 5 --world persona --key 7 --quiet";
    call(&format!("simulate --outcomes {} {line} --out {}", at(""), at("d"))).unwrap();
    call(&format!("train --data {} --run {} --quiet", at("d"), at("run"))).unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(at("run/report/metrics.json")).unwrap()).unwrap();
    let gap = |name: &str| report["baselines"][name]["gap_closed"].as_f64().unwrap();
    // Outcomes by task are all there is in this data, so who is told everything but the length habit loses by that only.
    assert!(gap("told_all_and_habit") > 0.99, "{report}");
    assert!(gap("told_all_task_means") < gap("told_all_and_habit"), "{report}");
    let error = call(&format!("evaluate --run {} --world taste --json", at("run"))).unwrap_err().to_string();
    assert_eq!(error, "d: its users are of world persona (key 7), not taste (key 7)");
    call(&format!("evaluate --run {} --world persona --key 7 --json", at("run"))).unwrap();
}

#[test]
fn worlds_without_users_or_feedback_are_refused() {
    let refused = |line: &str| call(&format!("{line} --outcomes nowhere")).unwrap_err().to_string();
    let error = refused("protocol --users s9 --world taste");
    assert!(error.starts_with("world `taste` is defined for users with uniform preferences"), "{error}");
    assert_eq!(error, refused("simulate --users 9 --world taste --out nowhere"));
    let error = refused("protocol --world choice --feedback bandit");
    assert!(error.starts_with("world `choice` has no bandit feedback"), "{error}");
    assert_eq!(error, refused("simulate --users 10 --world choice --feedback bandit --out nowhere"));
    let error = refused("protocol --world persona --unseen-tasks");
    assert_eq!(error, "--unseen-tasks is defined for world line only, found world persona");
}

#[test]
fn outcomes_become_users_a_run_a_table_and_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    outcomes(folder.path());
    call(&format!("simulate --outcomes {} --users 60 --seen 12 --seed 5 --out {} --quiet", at(""), at("d"))).unwrap();
    let config = "hparam: {train_epoch: 12, embedding_dim: 32}\nmetric: {weights: {performance: 1, cost: -1}}\n";
    std::fs::write(at("c.yaml"), config).unwrap();
    call(&format!("train --config {} --data {} --run {} --quiet", at("c.yaml"), at("d"), at("run"))).unwrap();
    let choices = at("choices.csv");
    call(&format!("evaluate --run {} --json --choices {choices} --report {}", at("run"), at("report"))).unwrap();
    let lines = std::fs::read_to_string(&choices).unwrap().lines().count();
    // 60 users, and of each task's 60 queries 42 train, 6 validation, 12 test.
    assert_eq!(lines, 1 + 60 * 24);
    let report: Value = serde_json::from_slice(&std::fs::read(at("report/metrics.json")).unwrap()).unwrap();
    assert_eq!(
        report,
        serde_json::from_slice::<Value>(&std::fs::read(at("run/report/metrics.json")).unwrap()).unwrap()
    );
    let figure = |router: &str, name: &str| report[router][name].as_f64().unwrap();
    let (router, random) = (figure("router", "reward"), report["baselines"]["random"]["reward"].as_f64().unwrap());
    assert!(router > random + 0.1, "{router} against {random}");
    let weighted = figure("router", "performance") - figure("router", "cost");
    assert!((figure("router", "weighted") - weighted).abs() < 1e-12);
    call(&format!("export --run {} --out {} --user ada=0.9", at("run"), at("bundle"))).unwrap();
    let bundle = personaroute_bundle::folder::Bundle::open(Path::new(&at("bundle"))).unwrap();
    assert_eq!((bundle.users.len(), bundle.manifest.llms), (61, 3));
    assert!(bundle.manifest.files.contains_key("report/report.md"));
    assert_eq!(bundle.manifest.metrics.get("reward"), Some(&router));
}

#[test]
fn paths_and_counts_of_a_configuration_have_their_effect() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    outcomes(folder.path());
    call(&format!("simulate --outcomes {} --users 30 --seen 12 --seed 5 --out {} --quiet", at(""), at("d"))).unwrap();
    let configuration = |name: &str, users: usize, paths: &str| {
        let hparam = format!("hparam: {{train_epoch: 1, user_num: {users}, num_task: 4}}");
        let text = format!("{hparam}\ndata_path: {{outcomes: {}}}\nmodel_path: {{{paths}}}\n", at("d"));
        std::fs::write(at(name), text).unwrap();
    };
    configuration("train.yaml", 1000, &format!("save_model_path: {}", at("saved/router.pt")));
    call(&format!("train --config {} --quiet", at("train.yaml"))).unwrap();
    let named = crate::model::store::load(Path::new(&at("saved/router.pt"))).unwrap();
    assert!(named.iter().any(|(name, _)| name == "users") && Path::new(&at("saved/router")).is_dir());
    configuration("load.yaml", 30, &format!("load_model_path: {}", at("saved/router.pt")));
    call(&format!("evaluate --config {} --json", at("load.yaml"))).unwrap();
    call(&format!("export --config {} --out {}", at("load.yaml"), at("bundle"))).unwrap();
    assert!(personaroute_bundle::folder::Bundle::open(Path::new(&at("bundle"))).is_ok());
    configuration("few.yaml", 29, "");
    let error = call(&format!("train --config {} --run {} --quiet", at("few.yaml"), at("few"))).unwrap_err();
    assert!(error.to_string().contains("room for 29 users, and the data has 30"), "{error}");
}

#[test]
fn folders_of_outcomes_become_users_of_all_their_llms() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for (name, dollars) in [("one", 0.001), ("two", 0.1)] {
        let part = folder.path().join(name);
        std::fs::create_dir(&part).unwrap();
        outcomes(&part);
        let rows = std::fs::read_to_string(part.join("outcomes.csv")).unwrap();
        let priced = |(at, line): (usize, &str)| match at {
            0 => format!("{line},cost_usd\n"),
            _ => format!("{line},{dollars}\n"),
        };
        std::fs::write(part.join("outcomes.csv"), rows.lines().enumerate().map(priced).collect::<String>()).unwrap();
    }
    let line = format!("simulate --outcomes {} --outcomes {} --users 20 --seen 30 --quiet", at("one"), at("two"));
    call(&format!("{line} --llm-name two/odd=strange --out {}", at("d"))).unwrap();
    call(&format!("train --data {} --run {} --quiet", at("d"), at("run"))).unwrap();
    call(&format!("export --run {} --out {}", at("run"), at("bundle"))).unwrap();
    let bundle = personaroute_bundle::folder::Bundle::open(Path::new(&at("bundle"))).unwrap();
    let ids: Vec<&str> = bundle.catalog.llms.iter().map(|llm| llm.id.as_str()).collect();
    assert_eq!(ids, ["small", "large", "odd", "strange"]);
    let report: Value = serde_json::from_slice(&std::fs::read(at("run/report/metrics.json")).unwrap()).unwrap();
    let reward = |router: &Value| router["reward"].as_f64().unwrap();
    assert!(reward(&report["router"]) > reward(&report["baselines"]["random"]), "{report}");
}

#[test]
fn an_llm_that_training_has_not_seen_enters_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    outcomes(folder.path());
    call(&format!("simulate --outcomes {} --users 60 --seen 30 --seed 5 --out {} --quiet", at(""), at("d"))).unwrap();
    call(&format!("train --model closed_form --data {} --run {} --quiet", at("d"), at("run"))).unwrap();
    // As good as `large`, and nearly free.
    let llms = r#"{"fresh": {"feature": "f", "input_price": 0.1, "output_price": 0.1, "model": "vendor/fresh"}}"#;
    std::fs::write(at("fresh.json"), llms).unwrap();
    let mut ratings = String::from("user_id,query_id,llm,reward\n");
    let data = crate::data::load::load(
        &crate::data::source::Source::recognise(&folder.path().join("d")).unwrap(),
        &crate::data::source::Options::default(),
    )
    .unwrap();
    for (user, info) in data.interactions.users.iter().enumerate() {
        let preference = info.preference.unwrap();
        let mut queries: Vec<u32> = data.training().of(user).iter().map(|entry| entry.query).collect();
        queries.dedup();
        for query in queries {
            let id = data.dataset.queries[query as usize].id;
            writeln!(ratings, "{},{id},fresh,{}", info.id, preference - (1.0 - preference) * 0.1).unwrap();
        }
    }
    std::fs::write(at("ratings.csv"), ratings).unwrap();
    let line = format!("export --run {} --out {} --add-llm {}", at("run"), at("bundle"), at("fresh.json"));
    call(&format!("{line} --ratings {}", at("ratings.csv"))).unwrap();
    let bundle = personaroute_bundle::folder::Bundle::open(Path::new(&at("bundle"))).unwrap();
    assert_eq!(bundle.catalog.llms[3].model, "vendor/fresh");
    // Without ratings it enters too; an LLM the run knows does not.
    call(&line).unwrap();
    let error = call(&line.replace("fresh.json", "llms.json")).unwrap_err();
    assert!(format!("{error:#}").contains("the run knows the LLM `small` already"), "{error:#}");
    std::fs::write(at("ratings.csv"), "user_id,query_id,llm,reward\n0,0,other,1\n").unwrap();
    let error = call(&format!("{line} --ratings {}", at("ratings.csv"))).unwrap_err();
    assert!(format!("{error:#}").contains("`other`"), "{error:#}");
}

#[test]
fn the_protocol_runs_on_nine_users_and_writes_choices_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    outcomes(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let line = format!("protocol --outcomes {} --users s9 --seeds 3,4 --baselines-only --json --quiet", at(""));
    call(&line).unwrap();
    std::fs::write(at("c.yaml"), "hparam: {train_epoch: 1, text_epoch: 1, embedding_dim: 16}\n").unwrap();
    call(&format!("{line} --config {} --choices {}", at("c.yaml"), at("x.csv")).replace(" --baselines-only", ""))
        .unwrap();
    for seed in [3, 4] {
        let lines = std::fs::read_to_string(at(&format!("x-{seed}.csv"))).unwrap().lines().count();
        assert_eq!(lines, 1 + 9 * 24);
    }
}

#[test]
fn held_out_users_and_new_llms_are_measured_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    outcomes(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("c.yaml"), "hparam: {train_epoch: 1, text_epoch: 1, embedding_dim: 16}\n").unwrap();
    let line = format!("protocol --outcomes {} --users s9 --seeds 3 --held-out --quiet", at(""));
    call(&format!("{line} --config {}", at("c.yaml"))).unwrap();
    call(&format!("{line} --new-llms --model closed_form")).unwrap();
    let error = call(&format!("{line} --new-llms")).unwrap_err().to_string();
    assert!(error.contains("--model closed_form"), "{error}");
}

#[test]
fn tasks_that_training_has_not_seen_are_measured_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    outcomes(folder.path());
    let line = format!("protocol --outcomes {} --users s9 --seeds 3 --quiet --json", folder.path().display());
    call(&format!("{line} --unseen-tasks --every 3 --noise 0.05")).unwrap();
    // With one task there is nothing to leave out.
    let file = folder.path().join("queries.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(",hard,", ",easy,")).unwrap();
    let error = call(&format!("{line} --unseen-tasks --baselines-only")).unwrap_err();
    assert!(format!("{error:#}").contains("expected two tasks or more, found one"), "{error:#}");
}

#[test]
fn a_bad_configuration_has_a_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "hparam:\n  wings: 2\n").unwrap();
    let error = call(&format!("train --config {}", file.display())).unwrap_err();
    assert_eq!(code(&error), 64);
    let error = call(&format!("train --data {}", folder.path().display())).unwrap_err();
    assert_eq!(code(&error), 1);
    assert!(format!("{error:#}").contains("neither an outcomes folder nor PersonaRoute-Bench files"), "{error:#}");
}

#[test]
fn outcomes_without_users_say_how_to_make_some() {
    let folder = tempfile::tempdir().unwrap();
    outcomes(folder.path());
    let run = folder.path().join("run");
    let error = call(&format!("train --data {} --run {}", folder.path().display(), run.display())).unwrap_err();
    assert!(format!("{error:#}").contains("personaroute-train simulate --outcomes"), "{error:#}");
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    if tch::Cuda::device_count() > 0 {
        skip::record("this machine has a CUDA device");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    outcomes(folder.path());
    let run = folder.path().join("run");
    let line = format!("train --data {} --device cuda --run {}", folder.path().display(), run.display());
    let error = call(&line).unwrap_err();
    assert_eq!(code(&error), 1);
    assert!(format!("{error:#}").contains("no CUDA device"), "{error:#}");
}

/// Votes of 12 users: even ones like `small`, odd ones `large`.
fn votes(folder: &Path) {
    outcomes(folder);
    std::fs::remove_file(folder.join("outcomes.csv")).unwrap();
    let mut rows = String::from("user_id,query_id,llm_left,llm_right,winner\n");
    for at in 0..480_u32 {
        let (user, query) = (at % 12, at % 5);
        let pair = [("small", "large"), ("large", "odd"), ("odd", "small")][(at / 12 % 3) as usize];
        let liked = if user % 2 == 0 { "small" } else { "large" };
        let winner = if pair.0 == liked || pair.1 == "odd" {
            "left"
        } else if pair.1 == liked {
            "right"
        } else {
            "tie"
        };
        writeln!(rows, "{user},{query},{},{},{winner}", pair.0, pair.1).unwrap();
    }
    std::fs::write(folder.join("votes.csv"), rows).unwrap();
}

#[test]
fn votes_become_a_table_a_run_and_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    votes(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    call(&format!("protocol --outcomes {} --json --quiet", at(""))).unwrap();
    for (flag, value) in [("--users", " s9"), ("--seeds", " 1"), ("--noise", " 0.1"), ("--unseen-tasks", "")] {
        let error = call(&format!("protocol --outcomes {} {flag}{value} --quiet", at(""))).unwrap_err();
        assert!(format!("{error:#}").starts_with(&format!("{flag} has no meaning for votes")), "{error:#}");
    }
    call(&format!("train --data {} --run {} --quiet", at(""), at("run"))).unwrap();
    let report: Value = serde_json::from_slice(&std::fs::read(at("run/report/metrics.json")).unwrap()).unwrap();
    let figure = |name: &str| report[name]["accuracy"].as_f64().unwrap();
    let without = report["baselines"]["task_llm"]["accuracy"].as_f64().unwrap();
    assert!(figure("router") > without + 0.1, "{} against {without}", figure("router"));
    call(&format!("evaluate --run {} --json", at("run"))).unwrap();
    call(&format!("export --run {} --out {}", at("run"), at("bundle"))).unwrap();
    let bundle = personaroute_bundle::folder::Bundle::open(Path::new(&at("bundle"))).unwrap();
    assert_eq!((bundle.users.len(), bundle.manifest.llms), (12, 3));
    assert_eq!(bundle.manifest.metrics.get("accuracy"), Some(&figure("router")));
}
