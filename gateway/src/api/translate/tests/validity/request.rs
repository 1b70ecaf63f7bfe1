//! Requests in each client format whose values are as loose as clients write them.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

/// Joins the fields that are set to one request.
fn with_fields(fields: Vec<(&'static str, Option<Value>)>, base: &Value) -> Value {
    let mut request = base.as_object().cloned().unwrap_or_default();
    request.extend(fields.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))));
    Value::Object(request)
}

/// A whole number from 1 as clients write it: a number, with a fraction of zero, or as text.
fn count() -> impl Strategy<Value = Value> {
    (1_u32..100_000, 0..3).prop_map(|(number, style)| match style {
        0 => json!(number),
        1 => json!(f64::from(number)),
        _ => json!(number.to_string()),
    })
}

/// A number within `0..most`, some as text.
fn number(most: f64) -> impl Strategy<Value = Value> {
    (0.0..most, any::<bool>())
        .prop_map(|(number, is_text)| if is_text { json!(number.to_string()) } else { json!(number) })
}

/// Text, of which some is empty or blank.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-zA-Z0-9é ?]{1,20}", 1 => "[ \n\t]{0,3}"]
}

/// Names of users: short, long, personal, of a session.
fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9-]{1,300}",
        "[a-z]{1,9}@[a-z]{1,9}\\.org",
        "[A-Z][a-z]{1,9} [A-Z][a-z]{1,9}",
        "[a-f0-9]{8}_account_[a-z]{3}_session_[a-f0-9]{8}",
        "[a-z]{1,5}".prop_map(|id| json!({"device_id": id, "session_id": "s"}).to_string()),
    ]
}

/// Ids of calls in the alphabets of several vendors.
fn id() -> impl Strategy<Value = String> {
    prop_oneof!["call_[a-zA-Z0-9]{4,24}", "toolu_[a-zA-Z0-9]{40,80}", "functions\\.[a-z]{1,9}:[0-9]", "[a-z|:é/]{1,50}"]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,20}", "[a-z]{60,140}", "[a-z]{1,5}[.:/ é][a-z]{1,90}"]
}

/// Schemas of a tool's input.
fn schema() -> impl Strategy<Value = Value> {
    let word = select(vec!["string", "integer"]);
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"type": null})),
        Just(json!({"type": "object"})),
        Just(json!({"properties": {}})),
        (word, any::<bool>()).prop_map(|(kind, is_closed)| {
            let mut schema = json!({"type": "object", "properties": {"a": {"type": kind}}});
            if is_closed {
                schema["required"] = json!(["a"]);
                schema["additionalProperties"] = json!(false);
            }
            schema
        }),
    ]
}

/// Media types of images, in any spelling.
fn media_type() -> impl Strategy<Value = &'static str> {
    select(vec!["image/png", "image/jpg", "image/jpeg", "IMAGE/PNG", "image/webp", "image/tiff"])
}

/// A question with its image, the answer, and calls with results; the order is that of a conversation.
type Turn = (String, Option<&'static str>, String, Vec<(String, String, String)>);

fn turn() -> impl Strategy<Value = Turn> {
    let call = (id(), name(), text());
    (text(), option::weighted(0.2, media_type()), text(), vec(call, 0..3)).prop_map(
        |(question, image, answer, mut calls)| {
            calls.sort();
            calls.dedup_by(|one, other| one.0 == other.0);
            (question, image, answer, calls)
        },
    )
}

/// A chat completion request.
pub(super) fn chat() -> impl Strategy<Value = Value> {
    let tool = (name(), schema(), any::<bool>()).prop_map(|(name, parameters, strict)| {
        json!({"type": "function", "function": {"name": name, "parameters": parameters, "strict": strict}})
    });
    let stop = prop_oneof![text().prop_map(Value::from), vec(text(), 0..7).prop_map(Value::from)];
    let sampling = (option::of(number(2.0)), option::of(number(1.0)), option::of(count()), option::of(stop));
    let rest = (option::of(user()), option::of(vec(tool, 0..3)), option::of(select(vec!["auto", "none", "required"])));
    (vec(turn(), 0..3), text(), sampling, rest).prop_map(|(turns, last, (temperature, top_p, most, stop), (user, tools, choice))| {
        let mut messages = Vec::new();
        for (question, image, answer, calls) in turns {
            let mut parts = vec![json!({"type": "text", "text": question})];
            parts.extend(image.map(|kind| json!({"type": "image_url", "image_url": {"url": format!("data:{kind};base64,AA")}})));
            messages.push(json!({"role": "user", "content": parts}));
            let call = |(id, name, _): &(String, String, String)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
            messages.push(json!({"role": "assistant", "content": answer, "tool_calls": calls.iter().map(call).collect::<Vec<_>>()}));
            let result = |(id, _, text): &(String, String, String)| json!({"role": "tool", "tool_call_id": id, "content": text});
            messages.extend(calls.iter().map(result));
        }
        messages.push(json!({"role": "user", "content": last}));
        let fields = vec![
            ("temperature", temperature),
            ("top_p", top_p),
            ("max_tokens", most),
            ("stop", stop),
            ("user", user.map(Value::from)),
            ("tools", tools.map(Value::from)),
            ("tool_choice", choice.map(Value::from)),
        ];
        with_fields(fields, &json!({"model": "auto", "messages": messages}))
    })
}

/// A messages request.
pub(super) fn messages() -> impl Strategy<Value = Value> {
    let tool = (name(), schema(), any::<bool>())
        .prop_map(|(name, schema, strict)| json!({"name": name, "input_schema": schema, "strict": strict}));
    let sampling = (option::of(number(1.0)), option::of(number(1.0)), count(), option::of(vec(text(), 0..7)));
    let rest = (option::of(user()), option::of(vec(tool, 0..3)));
    (vec(turn(), 0..3), text(), sampling, rest).prop_map(
        |(turns, last, (temperature, top_p, most, stops), (user, tools))| {
            let mut messages = Vec::new();
            let mut results: Vec<Value> = Vec::new();
            for (question, image, answer, calls) in turns {
                let mut content = std::mem::take(&mut results);
                content.push(json!({"type": "text", "text": question}));
                content.extend(image.map(
                    |kind| json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": "AA"}}),
                ));
                messages.push(json!({"role": "user", "content": content}));
                let mut content = vec![json!({"type": "text", "text": answer})];
                for (id, name, text) in calls {
                    content.push(json!({"type": "tool_use", "id": id, "name": name, "input": {}}));
                    results.push(json!({"type": "tool_result", "tool_use_id": id, "content": text}));
                }
                messages.push(json!({"role": "assistant", "content": content}));
            }
            results.push(json!({"type": "text", "text": last}));
            messages.push(json!({"role": "user", "content": results}));
            let fields = vec![
                ("temperature", temperature),
                ("top_p", top_p),
                ("stop_sequences", stops.map(Value::from)),
                ("metadata", user.map(|user| json!({"user_id": user}))),
                ("tools", tools.map(Value::from)),
            ];
            with_fields(fields, &json!({"model": "auto", "max_tokens": most, "messages": messages}))
        },
    )
}

/// A request of the Responses API.
pub(super) fn responses() -> impl Strategy<Value = Value> {
    let tool = (name(), schema(), any::<bool>()).prop_map(|(name, parameters, strict)| {
        json!({"type": "function", "name": name, "parameters": parameters, "strict": strict})
    });
    let sampling = (option::of(number(2.0)), option::of(number(1.0)), option::of(count()));
    let rest = (option::of(user()), option::of(vec(tool, 0..3)));
    (vec(turn(), 0..3), text(), sampling, rest).prop_map(|(turns, last, (temperature, top_p, most), (user, tools))| {
        let mut input = Vec::new();
        for (question, image, answer, calls) in turns {
            let mut parts = vec![json!({"type": "input_text", "text": question})];
            parts.extend(
                image.map(|kind| json!({"type": "input_image", "image_url": format!("data:{kind};base64,AA")})),
            );
            input.push(json!({"role": "user", "content": parts}));
            input.push(
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]}),
            );
            for (id, name, _) in &calls {
                input.push(json!({"type": "function_call", "call_id": id, "name": name, "arguments": "{}"}));
            }
            for (id, _, text) in calls {
                input.push(json!({"type": "function_call_output", "call_id": id, "output": text}));
            }
        }
        input.push(json!({"role": "user", "content": last}));
        let fields = vec![
            ("temperature", temperature),
            ("top_p", top_p),
            ("max_output_tokens", most),
            ("safety_identifier", user.map(Value::from)),
            ("tools", tools.map(Value::from)),
        ];
        with_fields(fields, &json!({"model": "auto", "input": input}))
    })
}
