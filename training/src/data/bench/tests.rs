//! Facts about reading PersonaRoute-Bench files.

use super::*;
use crate::data::load::load;
use crate::data::outcome::tests::shared;
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

fn sample(names: &[&str], embeddings: &str) -> Option<Loaded> {
    let folder = shared("personaroute_sample")?;
    let files = names.iter().map(|name| folder.join(name)).collect();
    let llms = folder.join("LLM_Descriptions.json");
    let bench = BenchFiles { files, llms, embeddings: Some(folder.join(embeddings)) };
    Some(load(&Source::Bench(bench), &Options::default()).unwrap())
}

#[test]
fn the_sample_is_read_with_the_values_python_reads() {
    let Some(loaded) = sample(&["router_user_data_v1.csv.gz"], "llm_description_embedding.pkl") else { return };
    let data = &loaded.dataset;
    assert_eq!((data.queries.len(), data.llms.len(), data.tasks.len()), (30, 10, 3));
    assert_eq!((loaded.interactions.users.len(), loaded.interactions.entries.len()), (9, 2700));
    let ids: Vec<&str> = loaded.interactions.users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(loaded.interactions.users[4].preference, Some(0.6));
    // numpy and pandas give these.
    let near =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-4 * expected.abs(), "{found} {expected}");
    near(loaded.interactions.entries.iter().map(|e| f64::from(e.value)).sum(), 1_010.031_763);
    near(data.effect.iter().map(|&v| f64::from(v)).sum::<f64>() * 9.0, 1782.0);
    near(data.cost.iter().map(|&v| f64::from(v)).sum::<f64>() * 9.0, 147.920_592);
    let first =
        data.queries.iter().position(|q| q.text.contains("nums.count(n), n") && q.text.contains("[1, 1, 3, 1, 3, 1]"));
    let row = data.query_embeddings.row(first.unwrap());
    assert_eq!((row[0], row[1], row[383]), (0.023_893_245, -0.006_876_702_4, -0.037_117_224));
    assert_eq!(data.tasks[0].name, "crux");
    assert_eq!((data.task_embeddings[[0, 0]], data.task_embeddings[[0, 383]]), (-0.034_526_9, -0.054_271_47));
    assert_eq!((data.llm_embeddings[[0, 0]], data.llm_embeddings[[9, 383]]), (-0.008_389_44, -0.019_823_6));
    assert!(loaded.explained);
}

#[test]
fn three_files_make_the_split_and_the_same_data() {
    let parts =
        ["router_user_train_data_v1.csv.gz", "router_user_val_data_v1.csv.gz", "router_user_test_data_v1.csv.gz"];
    let Some(loaded) = sample(&parts, "llm_description_embedding_dict.pkl") else { return };
    let whole = sample(&["router_user_data_v1.csv.gz"], "llm_description_embedding.pkl").unwrap();
    assert_eq!(loaded.dataset.fingerprint, whole.dataset.fingerprint);
    assert_eq!(loaded.interactions, whole.interactions);
    let split = &loaded.split;
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (18, 6, 6));
    let sum: f64 = loaded.training().entries.iter().map(|entry| f64::from(entry.value)).sum();
    assert!((sum - 609.775_78).abs() < 1e-3, "{sum}");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn a_folder_is_recognised_and_its_whole_file_taken() {
    let Some(folder) = shared("personaroute_sample") else { return };
    let loaded = load(&Source::recognise(&folder).unwrap(), &Options::default()).unwrap();
    assert_eq!((loaded.dataset.queries.len(), loaded.dataset.llm_embeddings.dim()), (30, (10, 384)));
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
