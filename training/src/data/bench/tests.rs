//! PersonaRoute-Bench files are read as documented, in any order and of several parts.

use serde_json::Value;

use super::*;
use crate::data::load::load;
use crate::data::outcome::tests::committed;
use crate::data::source::Source;
use crate::data::visible::visible;
use crate::data::{Setting, SignalKind};

const LLMS: &str = r#"{"small": {"input_price": 0.1}, "large": {"input_price": 2}}"#;
const HEADER: &str =
    "user_id,performance_preference,task_id,query,query_embedding,effect,cost,llm,task_description_embedding,reward";

fn read_text(text: &str) -> Result<Loaded> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("data.csv"), text)?;
    std::fs::write(folder.path().join("llms.json"), LLMS)?;
    load(&Source::recognise(folder.path())?, &Options::default())
}

fn error(rows: &str) -> String {
    let message = read_text(&format!("{HEADER}\n{rows}")).unwrap_err().to_string();
    message.split_once("data.csv").unwrap().1.to_owned()
}

/// Loads files of `tests/fixtures/bench`, which `bench.py` beside it wrote with numpy.
fn fixture(names: &[&str], embeddings: &str) -> Loaded {
    let folder = committed("bench");
    let files = names.iter().map(|name| folder.join(name)).collect();
    let llms = folder.join("LLM_Descriptions.json");
    let bench = BenchFiles { files, llms, embeddings: Some(folder.join(embeddings)) };
    load(&Source::Bench(bench), &Options::default()).unwrap()
}

/// What numpy reads in the files.
fn known() -> Value {
    serde_json::from_slice(&std::fs::read(committed("bench.json")).unwrap()).unwrap()
}

fn near(found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-5 * expected.abs(), "{found}, expected {expected}");
}

fn sum(entries: &[crate::data::Interaction]) -> f64 {
    entries.iter().map(|entry| f64::from(entry.value)).sum()
}

#[test]
fn files_that_numpy_wrote_are_read_with_the_values_that_numpy_reads() {
    let (loaded, known) = (fixture(&["router_user_data_v1.csv.gz"], "llm_description_embedding.pkl"), known());
    let data = &loaded.dataset;
    assert_eq!((data.queries.len(), data.llms.len(), data.tasks.len()), (12, 4, 2));
    assert_eq!((loaded.interactions.users.len(), loaded.interactions.entries.len()), (3, 144));
    let ids: Vec<&str> = loaded.interactions.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "10"]);
    assert_eq!(loaded.interactions.users[1].preference, Some(0.5));
    near(sum(&loaded.interactions.entries), &known["reward"]);
    near(data.effect.iter().map(|&effect| f64::from(effect)).sum(), &known["effect"]);
    near(data.cost.iter().map(|&cost| f64::from(cost)).sum(), &known["cost"]);
    let row = data.queries.iter().position(|query| known["text_of_7"] == query.text).unwrap();
    let vectors = [
        (data.query_embeddings.row(row), &known["embedding_of_7"]),
        (data.task_embeddings.row(1), &known["embedding_of_tales"]),
        (data.llm_embeddings.row(3), &known["embedding_of_delta"]),
    ];
    for (found, expected) in vectors {
        let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(found.len(), expected.len());
        // The text of an array has eight decimals.
        let is_near = |(found, expected): (&f32, &f32)| (found - expected).abs() <= 1e-8;
        assert!(found.iter().zip(&expected).all(is_near), "{found:?} for {expected:?}");
    }
    assert_eq!(data.tasks[1].name, "tales");
    assert!(loaded.explained);
}

#[test]
fn three_files_make_the_split_and_the_same_data() {
    let parts =
        ["router_user_train_data_v1.csv.gz", "router_user_val_data_v1.csv.gz", "router_user_test_data_v1.csv.gz"];
    let loaded = fixture(&parts, "llm_description_embedding_dict.pkl");
    let whole = fixture(&["router_user_data_v1.csv.gz"], "llm_description_embedding.pkl");
    assert_eq!(loaded.dataset.fingerprint, whole.dataset.fingerprint);
    assert_eq!(loaded.interactions, whole.interactions);
    let split = &loaded.split;
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (8, 2, 2));
    near(sum(&loaded.training().entries), &known()["training_reward"]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn a_folder_is_recognised_and_its_whole_file_taken() {
    let loaded = load(&Source::recognise(&committed("bench")).unwrap(), &Options::default()).unwrap();
    assert_eq!((loaded.dataset.queries.len(), loaded.dataset.llm_embeddings.dim()), (12, (4, 20)));
}

#[test]
fn rows_may_stand_in_any_order_and_columns_too() {
    let rows = [
        "1,0.5,t,q one,[[1 2]],1,0.5,small,[3],0.25",
        "1,0.5,t,q one,[[1 2]],0,0.25,large,[3],-0.125",
        "10,1,s,q two,[[5. 6e0]],1,0.5,small,[4],1",
        "2,0,s,q two,[5 6],1,0.5,small,[4],-0.5",
    ];
    let forward = read_text(&format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
    let backward: Vec<&str> = rows.iter().rev().copied().collect();
    let backward = read_text(&format!("{HEADER}\n{}\n", backward.join("\n"))).unwrap();
    assert_eq!(forward.dataset.fingerprint, backward.dataset.fingerprint);
    assert_eq!(forward.interactions, backward.interactions);
    let ids: Vec<&str> = forward.interactions.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "10"]);
    assert!(forward.explained);
    assert!(forward.dataset.effect[[0, 1]].is_nan());
}

#[test]
fn missing_columns_have_the_documented_defaults() {
    let loaded = read_text("user_id,task_id,query,effect,llm\na,t,q,0.75,large\n").unwrap();
    let entry = loaded.interactions.entries[0];
    assert_eq!((entry.llm, entry.value, loaded.dataset.cost[[0, 1]]), (1, 0.75, 0.0));
    assert_eq!(loaded.interactions.users[0].preference, Some(1.0));
    assert_eq!((loaded.dataset.query_embeddings.ncols(), loaded.dataset.task_embeddings.ncols()), (0, 0));
}

#[test]
fn in_the_judge_variant_the_best_answer_is_the_reward_of_each_user() {
    let rows = "1,t,q,0.5,0.1,small,1\n1,t,q,0.6,0.2,large,0\n2,t,q,0.5,0.1,small,0\n2,t,q,0.6,0.2,large,1\n";
    let loaded = read_text(&format!("user_id,task_id,query,effect,cost,llm,best_answer\n{rows}")).unwrap();
    let rewards: Vec<f32> = loaded.interactions.entries.iter().map(|entry| entry.value).collect();
    assert_eq!(rewards, [1.0, 0.0, 0.0, 1.0]);
    assert!(loaded.interactions.entries.iter().all(|entry| entry.kind == SignalKind::Choice));
    let half = "user_id,task_id,query,llm,best_answer\n1,t,q,small,0.5\n";
    let error = read_text(half).unwrap_err().to_string();
    assert!(error.ends_with("line 2, column `best_answer`: expected 0 or 1, found 0.5"), "{error}");
    assert!(!loaded.explained);
    assert_eq!(loaded.interactions.users[0].preference, None);
}

#[test]
fn bad_rows_are_refused_with_line_column_and_what_was_expected() {
    let good = "1,0.5,t,q,[[1 2]],1,0.5,small,[3],0.25\n";
    let message = error(&format!("{good}1,0.5,t,q\n"));
    assert_eq!(message, ", line 3: expected 10 fields as in the header, found 4");
    let message = error(&format!("{good}1,0.5,t,q,[[1 2]],good,0.5,large,[3],0.25\n"));
    assert_eq!(message, ", line 3, column `effect`: expected a finite number, found `good`");
    let message = error(&format!("{good}1,0.5,t,q2,[[1 2 3]],1,0.5,large,[3],0.25\n"));
    assert_eq!(message, ", line 3, column `query_embedding`: expected 2 numbers as in the first embedding, found 3");
    let message = error(&format!("{good}1,0.5,t,q2,[[1 ... 3]],1,0.5,large,[3],0.25\n"));
    assert_eq!(message, ", line 3, column `query_embedding`: expected an array of numbers, found `...`");
    let message = error(&format!("{good}1,0.5,t,q,[[1 2]],1,0.5,huge,[3],0.25\n"));
    assert_eq!(message, ", line 3, column `llm`: expected an LLM of the metadata, found `huge`");
    let message = error(&format!("{good}{good}"));
    assert_eq!(message, ", line 3: expected one reward for each user, query and LLM, found a second");
    let message = error(&format!("{good}1,0.75,t,q,[[1 2]],1,0.5,large,[3],0.25\n"));
    assert_eq!(message, ", line 3: expected user 1's preference 0.5 as on line 2, found 0.75");
}

#[test]
fn rewards_that_the_preference_does_not_explain_are_noticed() {
    let loaded = read_text(&format!("{HEADER}\n1,0.5,t,q,[[1 2]],1,0.5,small,[3],0.3\n")).unwrap();
    assert!(!loaded.explained);
}

#[test]
fn what_a_router_must_not_know_is_not_there() {
    let loaded = read_text(&format!("{HEADER}\n1,0.5,t,q,[[1 2]],1,0.5,small,[3],0.25\n")).unwrap();
    let split = Split { train: vec![0], ..Split::default() };
    assert!(visible(&loaded.dataset, Setting::Rewards, &split).effect.iter().all(|value| value.is_nan()));
    assert_eq!(visible(&loaded.dataset, Setting::EffectCost, &split).effect[[0, 0]], 1.0);
    let split = Split { test: vec![0], ..Split::default() };
    assert!(visible(&loaded.dataset, Setting::EffectCost, &split).cost.iter().all(|value| value.is_nan()));
}
