//! Facts about reading and splitting votes.

use std::path::Path;

use super::*;
use crate::data::outcome::tests::committed;
use crate::data::source::Source;

const HEADER: &str = "user_id,query_id,task_id,llm_left,llm_right,winner";

fn folder(votes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("queries.csv", "query_id,task_id,query\n4,jokes,tell a joke\n7,logic,how many sisters\n");
    write("llms.json", r#"{"b": {"feature": "b", "input_price": null}, "a": {"feature": "a"}}"#);
    write("votes.csv", &format!("{HEADER}\n{}\n", votes.join("\n")));
    folder
}

fn error(vote: &str) -> String {
    let folder = folder(&["ada,4,jokes,a,b,left", vote]);
    let error = read(folder.path(), &[]).unwrap_err().to_string();
    let file = format!("{}, line 3, column ", folder.path().join("votes.csv").display());
    error.strip_prefix(&file).unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[test]
fn votes_are_read_in_order_with_users_by_first_appearance() {
    let folder = folder(&["zoe,4,jokes,a,b,left", "ada,7,logic,b,a,tie", "zoe,7,logic,a,b,right"]);
    assert_eq!(Source::recognise(folder.path()).unwrap(), Source::Votes(folder.path().to_owned()));
    let votes = read(folder.path(), &[]).unwrap();
    assert_eq!(votes.users.iter().map(|user| user.id.as_str()).collect::<Vec<_>>(), ["zoe", "ada"]);
    let expected = Vote { user: 1, query: 1, left: 0, right: 1, winner: Winner::Tie };
    assert_eq!((votes.votes.len(), votes.votes[1]), (3, expected));
    assert_eq!(votes.dataset.tasks.len(), 2);
    assert!(votes.dataset.effect.iter().all(|effect| effect.is_nan()));
}

#[test]
fn votes_become_interactions_of_the_left_answer_against_the_right() {
    let folder =
        folder(&["zoe,7,logic,a,b,right", "ada,7,logic,b,a,tie", "zoe,4,jokes,a,b,left", "zoe,7,logic,a,b,left"]);
    let votes = read(folder.path(), &[]).unwrap();
    let all = votes.interactions();
    let vote = |query, llm, against, value| Interaction {
        query,
        llm,
        value,
        kind: SignalKind::Vote { against, is_left: true },
    };
    // `b` comes first in llms.json; votes on one pair keep their order.
    assert_eq!(all.of(0), [vote(0, 1, 0, 1.0), vote(1, 1, 0, 0.0), vote(1, 1, 0, 1.0)]);
    assert_eq!(all.of(1), [vote(1, 0, 1, 0.5)]);
}

#[test]
fn all_votes_of_a_user_on_a_query_share_their_fold() {
    let rows: Vec<String> = (0..80).map(|at| format!("{},{},jokes,a,b,left", 9 + at % 3, [4, 7][at % 2])).collect();
    let folder = folder(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let votes = read(folder.path(), &[]).unwrap();
    let folds = votes.pair_folds();
    for (vote, &(fold, is_tested)) in votes.votes.iter().zip(&folds) {
        // Users 9, 10 and 11 are numbers 0, 1 and 2 although "10" sorts before "9" as text.
        let query = [4, 7][vote.query as usize];
        assert_eq!((fold, is_tested), (h(0, Domain::VotePair, vote.user.into(), query) % 5, true));
    }
}

#[test]
fn what_is_wrong_with_a_vote_is_said_with_its_place() {
    assert_eq!(error("ada,5,jokes,a,b,left"), "`query_id`: expected a query of queries.csv, found 5");
    assert_eq!(error("ada,4,jokes,a,c,left"), "`llm_right`: expected an LLM of llms.json, found `c`");
    assert_eq!(error("ada,4,jokes,a,b,both"), "`winner`: expected left, right or tie, found `both`");
    assert_eq!(error("ada,4,jokes,a,a,tie"), "`llm_right`: expected another LLM than llm_left, found `a`");
    assert_eq!(error(",4,jokes,a,b,tie"), "`user_id`: expected a user, found nothing");
    let empty = folder(&[]);
    let said = read(empty.path(), &[]).unwrap_err().to_string();
    assert!(said.ends_with("expected at least one vote, found none"), "{said}");
}

#[test]
fn a_verdict_holds_for_both_orders_of_a_pair() {
    let folder = folder(&["ada,4,jokes,a,b,left"]);
    std::fs::write(folder.path().join("judge.csv"), "judge,query_id,llm_left,llm_right,winner\ng,7,a,b,right\n")
        .unwrap();
    let votes = read(folder.path(), &[]).unwrap();
    let verdicts = verdicts(folder.path(), "judge.csv", &votes.dataset).unwrap().unwrap();
    assert_eq!((verdicts[&(1, 1, 0)], verdicts[&(1, 0, 1)]), (Winner::Right, Winner::Left));
    assert!(super::verdicts(Path::new("/nowhere"), "judge.csv", &votes.dataset).unwrap().is_none());
}

#[test]
fn rare_voters_are_only_learned_from() {
    let rows: Vec<String> =
        (0..60).map(|at| format!("{},4,jokes,a,b,left", if at < 19 { "rare" } else { "17" })).collect();
    let folder = folder(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let votes = read(folder.path(), &[]).unwrap();
    let split = votes.split();
    assert_eq!(split.train.len() + split.test.len(), 60);
    let expected = (19..60).zip(0..).filter(|&(_, own)| h(0, Domain::Vote, 17, own).is_multiple_of(5));
    let expected: Vec<usize> = expected.map(|(row, _)| row).collect();
    assert_eq!(split.test, expected);
}

/// Printed by `tests/fixtures/protocol.py votes` for the committed votes.
const TESTED_USERS: usize = 16;
const DECIDED_BY_FOLD: [usize; 5] = [55, 95, 73, 86, 85];
const DECIDED_TESTS: usize = 83;

#[test]
fn votes_are_split_as_the_independent_implementation_splits_them() {
    let votes = read(&committed("votes"), &[]).unwrap();
    assert_eq!((votes.votes.len(), votes.users.len(), votes.dataset.llms.len()), (900, 40, 5));
    let decided = votes.split().test.iter().filter(|&&at| votes.votes[at].winner != Winner::Tie).count();
    assert_eq!(decided, DECIDED_TESTS);
    let (mut users, mut by_fold) = (std::collections::HashSet::new(), [0; 5]);
    for (vote, (fold, is_tested)) in votes.votes.iter().zip(votes.pair_folds()) {
        if is_tested {
            users.insert(vote.user);
            by_fold[usize::try_from(fold).unwrap()] += usize::from(vote.winner != Winner::Tie);
        }
    }
    assert_eq!((users.len(), by_fold), (TESTED_USERS, DECIDED_BY_FOLD));
}
