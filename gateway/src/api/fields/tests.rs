//! Facts about reading fields and rewriting the model.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn rewritten(body: &str, name: &str) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let text = std::str::from_utf8(&bytes).unwrap();
    let fields = Fields::parse(text).unwrap();
    let document = Document::new(bytes.clone(), &fields);
    String::from_utf8(document.with_model(name).to_vec()).unwrap()
}

#[test]
fn only_the_model_changes_and_every_other_byte_stays() {
    let body = "{ \"seed\" : 1e2,\n\t\"model\":\"auto\" ,\"x\":{\"model\":\"inner\"}, \"n\":1.0 }\n";
    assert_eq!(rewritten(body, "gpt-4o"), body.replace("\"auto\"", "\"gpt-4o\""));
}

#[test]
fn a_repeated_or_escaped_model_is_rewritten_everywhere() {
    let body = r#"{"model":"a","mod\u0065l":"b","m":"model"}"#;
    assert_eq!(rewritten(body, "c"), r#"{"model":"c","mod\u0065l":"c","m":"model"}"#);
}

#[test]
fn each_object_of_an_array_is_handed_on_and_nothing_else_is_an_array_of_objects() {
    let each = |text: &str| {
        let value: &RawValue = serde_json::from_str(text).unwrap();
        let mut names = Vec::new();
        let count = Fields::each(value, |fields| names.push(fields.string("name"))).ok();
        (count, names.into_iter().flatten().collect::<String>())
    };
    assert_eq!(each(r#" [{"name":"a"}, {}, {"name":"b"}] "#), (Some(3), "ab".to_owned()));
    assert_eq!(each("[]"), (Some(0), String::new()));
    assert_eq!(each(r#"[{"name":"a"}, 1]"#), (None, "a".to_owned()));
    assert_eq!(each("{}").0, None);
}

#[test]
fn a_name_with_quotes_is_escaped() {
    assert_eq!(rewritten(r#"{"model":"a"}"#, "x\"\\\n"), r#"{"model":"x\"\\\n"}"#);
}

#[test]
fn the_same_model_costs_no_copy() {
    let bytes = Bytes::from_static(br#"{"model":"a"}"#);
    let fields = Fields::parse(std::str::from_utf8(&bytes).unwrap()).unwrap();
    assert_eq!(Document::new(bytes.clone(), &fields).with_model("a").as_ptr(), bytes.as_ptr());
}

#[test]
fn other_json_and_broken_json_are_refused() {
    for text in ["[]", "1", "", "{", r#"{"model":}"#, r#"{"a":1}x"#, r#"{"a":1,}"#] {
        assert!(Fields::parse(text).is_err(), "{text}");
    }
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let deep = format!(r#"{{"x":{}{}, "model":"a"}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert!(rewritten(&deep, "b").ends_with(r#""model":"b"}"#));
}

#[test]
fn empty_lists_are_not_filled() {
    let fields = Fields::parse(r#"{"a":[ ],"b":[1],"c":{},"d":"[","e":null}"#).unwrap();
    let filled: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().filter(|name| fields.is_filled(name)).collect();
    assert_eq!(filled, ["b"]);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}|model", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn rewriting_equals_replacing_in_the_parsed_value(
        before in prop::collection::btree_map("[a-z\"\\\\é]{0,5}", value(), 0..4),
        after in prop::collection::btree_map("[A-Z]{1,5}", value(), 0..4),
        model in value(),
        name in any::<String>(),
        pretty in any::<bool>(),
    ) {
        let mut map: Map<String, Value> = before.into_iter().filter(|(key, _)| key != "model").collect();
        map.insert("model".to_owned(), model);
        map.extend(after);
        let original = Value::Object(map.clone());
        let body = if pretty { serde_json::to_string_pretty(&original) } else { serde_json::to_string(&original) }.unwrap();
        map.insert("model".to_owned(), json!(name));
        let parsed: Value = serde_json::from_str(&rewritten(&body, &name)).unwrap();
        prop_assert_eq!(parsed, Value::Object(map));
    }

    #[test]
    fn whatever_serde_json_accepts_as_an_object_is_accepted(text in "[\\[\\]{}\":,0-9a-e\\\\ ]{0,40}") {
        let is_object = serde_json::from_str::<Map<String, Value>>(&text).is_ok();
        prop_assert_eq!(Fields::parse(&text).is_ok(), is_object);
    }
}
