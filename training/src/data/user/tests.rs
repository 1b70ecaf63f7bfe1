//! Facts about users and interactions on disk.

use ndarray::Array2;

use super::super::{LlmInfo, Query, TaskInfo};
use super::*;

/// Two LLMs and queries 10, 11, 12.
fn dataset() -> Dataset {
    let llm = |id: &str| LlmInfo {
        id: id.to_owned(),
        description: String::new(),
        model: id.to_owned(),
        input_price: 1.0,
        output_price: 1.0,
        family: None,
    };
    Dataset {
        name: "toy".to_owned(),
        llms: vec![llm("a"), llm("b,c")],
        llm_embeddings: Array2::zeros((2, 0)),
        tasks: vec![TaskInfo { name: "t".to_owned(), description: String::new() }],
        task_embeddings: Array2::zeros((1, 0)),
        queries: (10..13).map(|id| Query { id, task: 0, text: String::new() }).collect(),
        query_embeddings: Array2::zeros((3, 0)),
        effect: Array2::zeros((3, 2)),
        cost: Array2::zeros((3, 2)),
        fingerprint: String::new(),
    }
}

fn entry(query: u32, llm: u16, reward: f32) -> Interaction {
    Interaction::rating(query, llm, reward)
}

#[test]
fn what_is_written_is_read_back() {
    let (folder, data) = (tempfile::tempdir().unwrap(), dataset());
    let mut writer = UserWriter::create(folder.path(), Layout::Ratings).unwrap();
    let users =
        [("x", Some(0.1)), ("y \"z\"", None)].map(|(id, preference)| UserInfo { id: id.to_owned(), preference });
    writer.push(&data, &users[0], &[entry(0, 1, 0.1), entry(2, 0, -1e-7)]).unwrap();
    writer.push(&data, &users[1], &[entry(1, 0, 0.5)]).unwrap();
    writer.finish().unwrap();
    let read = read(folder.path(), &data).unwrap();
    assert_eq!(read.users, users);
    assert_eq!(read.of(0), [entry(0, 1, 0.1), entry(2, 0, -1e-7)]);
    assert_eq!(read.of(1), [entry(1, 0, 0.5)]);
    assert_eq!(read.of(2), []);
}

#[test]
fn every_kind_of_signal_is_written_and_read_back() {
    let (folder, data) = (tempfile::tempdir().unwrap(), dataset());
    let mut writer = UserWriter::create(folder.path(), Layout::Signals).unwrap();
    let user = UserInfo { id: "x".to_owned(), preference: None };
    let choice = |llm, value| Interaction { kind: SignalKind::Choice, ..entry(0, llm, value) };
    let vote = |value| Interaction { kind: SignalKind::Vote { against: 1, is_left: false }, ..entry(0, 0, value) };
    let all = [entry(0, 1, 0.25), choice(0, 0.0), choice(1, 1.0), vote(0.5), vote(0.0), vote(0.0)];
    writer.push(&data, &user, &all).unwrap();
    writer.finish().unwrap();
    assert_eq!(read(folder.path(), &data).unwrap().of(0), all);
}

#[test]
fn signals_that_make_no_sense_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(USERS), "user_id\n1\n").unwrap();
    let error = |row: &str| {
        let rows = format!("user_id,query_id,llm,reward,kind,against\n{row}\n");
        std::fs::write(folder.path().join("interactions.csv"), rows).unwrap();
        let error = read(folder.path(), &dataset()).unwrap_err().to_string();
        error.split_once("interactions.csv").unwrap().1.to_owned()
    };
    assert_eq!(error("1,10,a,1,like,"), ", line 2, column `kind`: expected rating, choice or vote, found `like`");
    assert_eq!(error("1,10,a,0.5,choice,"), ", line 2, column `reward`: expected 0 or 1, found 0.5");
    assert_eq!(
        error("1,10,a,0.7,vote,\"b,c\""),
        ", line 2, column `reward`: expected 0, 0.5 or 1 of a vote, found 0.7"
    );
    assert_eq!(error("1,10,a,1,vote,a"), ", line 2, column `against`: expected another LLM than `llm`, found `a`");
    assert_eq!(error("1,10,a,1,vote,"), ", line 2, column `against`: expected an LLM of llms.json, found ``");
    let twice = error("1,10,a,1,choice,\n1,10,a,0,choice,");
    assert_eq!(twice, ", line 3: expected one reward for each user, query and LLM, found a second");
}

#[test]
fn rows_of_users_may_be_mixed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(USERS), "user_id\n1\n2\n").unwrap();
    let rows = "user_id,query_id,llm,reward\n2,12,a,1\n1,11,a,2\n2,10,\"b,c\",3\n2,10,a,4\n";
    std::fs::write(folder.path().join("interactions.csv"), rows).unwrap();
    let read = read(folder.path(), &dataset()).unwrap();
    assert_eq!(read.of(0), [entry(1, 0, 2.0)]);
    assert_eq!(read.of(1), [entry(0, 0, 4.0), entry(0, 1, 3.0), entry(2, 0, 1.0)]);
}

#[test]
fn duplicates_and_unknown_names_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(USERS), "user_id\n1\n").unwrap();
    let error = |row: &str| {
        let rows = format!("user_id,query_id,llm,reward\n1,10,a,1\n{row}\n");
        std::fs::write(folder.path().join("interactions.csv"), rows).unwrap();
        read(folder.path(), &dataset()).unwrap_err().to_string()
    };
    assert!(error("1,10,a,2").ends_with("line 3: expected one reward for each user, query and LLM, found a second"));
    assert!(error("2,10,a,2").ends_with("line 3, column `user_id`: expected a user of users.csv, found `2`"));
    assert!(error("1,9,a,2").ends_with("line 3, column `query_id`: expected a query of queries.csv, found `9`"));
    assert!(error("1,10,d,2").ends_with("line 3, column `llm`: expected an LLM of llms.json, found `d`"));
    assert!(error("1,10,a,NaN").ends_with("line 3, column `reward`: expected a finite number, found `NaN`"));
}

#[test]
fn a_preference_beyond_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(USERS), "user_id,performance_preference\n1,1.5\n").unwrap();
    std::fs::write(folder.path().join("interactions.csv"), "user_id,query_id,llm,reward\n").unwrap();
    let error = read(folder.path(), &dataset()).unwrap_err().to_string();
    assert!(error.ends_with("line 2, column `performance_preference`: expected a preference from 0 to 1, found 1.5"));
}

#[test]
fn a_split_is_kept_by_query_id_and_refuses_overlap() {
    let (folder, data) = (tempfile::tempdir().unwrap(), dataset());
    let split = Split { train: vec![2], validation: vec![0], test: vec![1] };
    write_split(folder.path(), &data, &split, 7).unwrap();
    assert_eq!(read_split(folder.path(), &data).unwrap(), Some((split, 7)));
    let twice = r#"{"seed": 1, "train": [10, 11], "validation": [10], "test": []}"#;
    std::fs::write(folder.path().join(SPLIT), twice).unwrap();
    let error = read_split(folder.path(), &data).unwrap_err().to_string();
    assert!(error.ends_with("expected each query in one part, found 10 twice"), "{error}");
}
