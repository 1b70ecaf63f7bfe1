//! Tests of reading a feedback: each kind, and each refusal with its field.

use super::*;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn read_now(text: &str) -> Result<Feedback, Invalid> {
    read(text, now())
}

#[test]
fn each_kind_is_read() {
    let said = |fields: &str| read_now(&format!(r#"{{"decision_id":"dec_1",{fields}}}"#)).unwrap().said;
    assert_eq!(said(r#""rating":0.25"#), Said::Rating { llm: None, rating: 0.25 });
    assert_eq!(said(r#""thumbs":"down","llm":"a""#), Said::Thumbs { llm: Some("a".to_owned()), up: false });
    let shown = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(said(r#""best":"b","shown":["a","b"]"#), Said::Best { best: "b".to_owned(), shown });
    assert_eq!(said(r#""better":"a","worse":"b""#), Said::Pair { better: "a".to_owned(), worse: "b".to_owned() });
    assert_eq!(said(r#""effect":1,"cost":0"#), Said::Outcome { llm: None, effect: 1.0, cost: 0.0 });
}

#[test]
fn an_answer_is_named_without_a_decision() {
    let feedback = read_now(r#"{"user":"ada","llm":"a","text":"q","rating":1,"at":1799999999.5}"#).unwrap();
    let about = About::Answer { user: Some("ada".to_owned()), text: Some("q".to_owned()), task: None };
    assert_eq!((feedback.about, feedback.at), (about, Some(1_799_999_999_500)));
    let pair = read_now(r#"{"user":"ada","task":"t","better":"a","worse":"b","at":"2026-01-02T03:04:05Z"}"#).unwrap();
    assert_eq!(pair.at, Some(1_767_323_045_000));
}

#[test]
fn each_refusal_names_its_field() {
    let refusals = [
        ("", "body"),
        ("[]", "body"),
        (r#"{"decision_id":"d","rating":1,"stars":5}"#, "stars"),
        (r#"{"rating":1}"#, "decision_id"),
        (r#"{"decision_id":"d"}"#, "rating"),
        (r#"{"decision_id":"d","rating":1.5}"#, "rating"),
        (r#"{"decision_id":"d","rating":"1"}"#, "rating"),
        (r#"{"decision_id":"d","rating":1,"thumbs":"up"}"#, "thumbs"),
        (r#"{"decision_id":"d","thumbs":"left"}"#, "thumbs"),
        (r#"{"decision_id":"d","best":"a"}"#, "shown"),
        (r#"{"decision_id":"d","best":"c","shown":["a","b"]}"#, "best"),
        (r#"{"decision_id":"d","best":"a","shown":["a"]}"#, "shown"),
        (r#"{"decision_id":"d","best":"a","shown":["a","a"]}"#, "shown"),
        (r#"{"decision_id":"d","best":"a","shown":["a",1]}"#, "shown"),
        (r#"{"decision_id":"d","best":"a","shown":["a","b"],"llm":"a"}"#, "llm"),
        (r#"{"decision_id":"d","better":"a"}"#, "worse"),
        (r#"{"decision_id":"d","better":"a","worse":"a"}"#, "worse"),
        (r#"{"decision_id":"d","effect":1}"#, "cost"),
        (r#"{"decision_id":"d","effect":1,"cost":-1}"#, "cost"),
        (r#"{"decision_id":"d","user":"ada","rating":1}"#, "user"),
        (r#"{"decision_id":7,"rating":1}"#, "decision_id"),
        (r#"{"user":"ada","text":"q","rating":1}"#, "llm"),
        (r#"{"decision_id":"d","rating":1,"retry":true}"#, "retry"),
        (r#"{"decision_id":"d","thumbs":"up","retry":true}"#, "retry"),
        (r#"{"decision_id":"d","thumbs":"up","retry":1}"#, "retry"),
        (r#"{"decision_id":"d","rating":1,"at":"yesterday"}"#, "at"),
        (r#"{"decision_id":"d","rating":1,"at":1900000000}"#, "at"),
        (r#"{"decision_id":"d","rating":1,"idempotency_key":""}"#, "idempotency_key"),
    ];
    for (text, field) in refusals {
        assert_eq!(read_now(text).expect_err(text).param, field, "{text}");
    }
    let long = format!(r#"{{"decision_id":"{}","rating":1}}"#, "d".repeat(257));
    assert_eq!(read_now(&long).unwrap_err().param, "decision_id");
}
