//! Messages requests and the chat completion requests that they become.

use super::*;

fn translated(request: &Value) -> Result<Value, Invalid> {
    completion(request, &request.to_string(), &ToolNames::of(std::iter::empty(), 64))
}

fn asked(more: &Value) -> Value {
    let mut request = json!({"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    request
}

#[test]
fn inputs_keep_their_bytes() {
    let input = r#"{"id": 123456789012345678901234567890, "price": 0.10000000000000000001, "e": "\u00e9"}"#;
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}},
            {{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"f","input":{input}}}]}},
            {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":"1"}}]}}]}}"#
    );
    let written =
        completion(&serde_json::from_str(&body).unwrap(), &body, &ToolNames::of(std::iter::empty(), 64)).unwrap();
    assert_eq!(written["messages"][1]["tool_calls"][0]["function"]["arguments"], input);
}

#[test]
fn strict_schemas_stay_strict_only_where_they_can_hold() {
    let text = json!({"type": "string"});
    let format = |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let strict = |schema: Value| {
        let written = translated(&asked(&format(schema))).unwrap();
        written["response_format"]["json_schema"]["strict"].clone()
    };
    let closed = json!({"type": "object", "properties": {"a": text}, "required": ["a"], "additionalProperties": false});
    assert_eq!(strict(closed), true);
    assert_eq!(strict(json!({"type": "object", "properties": {"a": text}, "additionalProperties": false})), false);
    let tool = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": true}]});
    let function = &translated(&asked(&tool)).unwrap()["tools"][0]["function"];
    assert_eq!((function.get("strict"), &function["parameters"]["properties"]), (None, &json!({})));
}

#[test]
fn stop_sequences_and_numbers_are_mended_or_refused() {
    let written = translated(&asked(&json!({"stop_sequences": ["", "END"], "temperature": "0.5"}))).unwrap();
    assert_eq!((&written["stop"], &written["temperature"]), (&json!(["END"]), &json!(0.5)));
    let many = asked(&json!({"stop_sequences": ["a", "b", "c", "d", "e"]}));
    assert_eq!(translated(&many).unwrap_err().param, "stop_sequences");
    assert_eq!(translated(&asked(&json!({"max_tokens": "many"}))).unwrap_err().param, "max_tokens");
    assert_eq!(translated(&asked(&json!({"max_tokens": 100.0}))).unwrap()[OUTPUT_LIMIT], 100);
}

#[test]
fn what_the_upstream_wants_back_returns_with_its_turn() {
    let thinking = json!({"type": "thinking", "thinking": "hm", "signature": "personaroute:reasoning_content"});
    let extra = json!({"type": "redacted_thinking",
                       "data": "personaroute:extra_content:{\"t\":{\"google\":{\"thought_signature\":\"s\"}}}"});
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "t", "content": "1"});
    let request = asked(&json!({"messages": [
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": [thinking, extra, call]},
        {"role": "user", "content": [result]}]}));
    let turn = &translated(&request).unwrap()["messages"][1];
    assert_eq!(turn["reasoning_content"], "hm");
    assert_eq!(turn["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "s");
}
