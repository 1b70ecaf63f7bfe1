//! `personaroute infer`: queries from the command line or a file, through the same proxy that serves.

use std::{io::Write, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value, json};

use super::{Failed, rows, rows::Row, serve::runtime};
use crate::{
    app::App,
    cli,
    config::{self, Auth, Quota},
    proxy::Proxy,
    telemetry::log,
};

/// Runs the queries.
pub(super) fn infer(options: &cli::Infer, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    let mut loaded = config::load(&options.config, &options.overrides, env)?;
    // Who may read the configuration and its secrets needs no key; the file of what was spent is the server's.
    loaded.config.auth = Auth { keys: None, user_quota: Quota::UNLIMITED };
    loaded.config.state = config::State::default();
    // A batch run is nobody's conversation.
    loaded.config.learning = None;
    let mut quiet = loaded.config.log.clone();
    if quiet.filter == "info" {
        // One line for each query is noise at a prompt; what fails still shows.
        "warn".clone_into(&mut quiet.filter);
    }
    log::start(&quiet).map_err(|error| Failed::Usage(format!("log.filter: {error}")))?;
    let asked = match (&options.query, &options.input) {
        (Some(query), _) => vec![rows::query(query)],
        (None, Some(input)) => rows::read(input)?,
        (None, None) => return Err(Failed::Usage("give --query or --input".to_owned())),
    };
    let app = App::build(&loaded)?;
    let batch = loaded.config.limits.batch;
    let answered = runtime()?.block_on(async {
        match options.route_only {
            true => decide(app.proxy(), options, asked, batch).await,
            false => call(app.proxy(), options, asked).await,
        }
    });
    let failed = answered.iter().filter(|row| row.contains_key("error")).count();
    match &options.output {
        Some(output) => rows::write(output, &answered)?,
        None => print(&answered, options.json)?,
    }
    if failed > 0 { Err(Failed::Rows { failed, total: answered.len() }) } else { Ok(()) }
}

/// Decides about all rows, in batches.
async fn decide(proxy: &Arc<Proxy>, options: &cli::Infer, asked: Vec<Row>, batch: usize) -> Vec<Row> {
    let mut answered = Vec::with_capacity(asked.len());
    for chunk in asked.chunks(batch) {
        let requests: Vec<Value> = chunk.iter().map(|row| Value::Object(question(row, options))).collect();
        let body = json!({"requests": requests}).to_string();
        let (_, _, reply) = post(proxy, "/v1/route", &[], body).await;
        let mut decisions = match reply.get("decisions").and_then(Value::as_array) {
            Some(decisions) => decisions.clone().into_iter(),
            None => vec![reply; chunk.len()].into_iter(),
        };
        for row in chunk {
            let decision = decisions.next().unwrap_or_default();
            answered.push(decided(row.clone(), &decision));
        }
    }
    answered
}

/// Makes the calls, a few at a time, in the order of the rows.
async fn call(proxy: &Arc<Proxy>, options: &cli::Infer, asked: Vec<Row>) -> Vec<Row> {
    let calls = asked.into_iter().map(|row| async move {
        let question = question(&row, options);
        let messages = match (question.get("messages"), question.get("text")) {
            (Some(messages), _) => messages.clone(),
            (None, text) => json!([{"role": "user", "content": text}]),
        };
        let model = question.get("model").cloned().unwrap_or_else(|| first_model(proxy));
        let body = json!({"model": model, "messages": messages}).to_string();
        let headers = ["user", "task", "preference"].map(|key| (key, question.get(key)));
        let (status, head, reply) = post(proxy, "/v1/chat/completions", &headers, body).await;
        let explained =
            head.get("x-personaroute-explain").and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        let mut row = decided(row, &explained.unwrap_or_else(|| reply.clone()));
        if let Some(model) = head.get("x-personaroute-model") {
            row.insert("model_name".to_owned(), String::from_utf8_lossy(model.as_bytes()).into());
        }
        if status.is_success() {
            let text = reply.pointer("/choices/0/message/content").cloned().unwrap_or_default();
            row.insert("response".to_owned(), text);
            row.insert("usage".to_owned(), reply.get("usage").cloned().unwrap_or_default());
        } else {
            let message = reply.pointer("/error/message").cloned().unwrap_or_else(|| status.as_u16().into());
            row.insert("error".to_owned(), message);
        }
        row
    });
    stream::iter(calls).buffered(options.concurrency.max(1)).collect().await
}

fn first_model(proxy: &Proxy) -> Value {
    proxy.snapshot().models.first_policy().map_or(Value::Null, |policy| Value::from(&*policy.name))
}

/// Returns what is asked for `row`, its own keys before the options.
fn question(row: &Row, options: &cli::Infer) -> Map<String, Value> {
    let own = |keys: &[&str]| keys.iter().find_map(|key| row.get(*key)).filter(|value| !value.is_null()).cloned();
    let text = |value: Value| if value.is_string() { value } else { Value::from(value.to_string()) };
    let mut question = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            question.insert(key.to_owned(), value);
        }
    };
    match own(&["messages"]) {
        Some(messages) => set("messages", Some(messages)),
        None => set("text", own(&["query", "text"]).map(text)),
    }
    set("model", options.model.clone().map(Value::from));
    set("user", own(&["user", "user_id"]).map(text).or(options.user.clone().map(Value::from)));
    set("task", own(&["task", "task_id"]).map(text).or(options.task.clone().map(Value::from)));
    set("preference", own(&["preference"]).or(options.preference.map(Value::from)));
    question
}

/// Adds `decision` to `row`.
fn decided(mut row: Row, decision: &Value) -> Row {
    if let Some(message) = decision.pointer("/error/message") {
        row.insert("error".to_owned(), message.clone());
        return row;
    }
    let scores: Map<String, Value> = decision
        .get("ranking")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry.get("llm")?.as_str()?.to_owned(), entry.get("utility")?.clone())))
        .collect();
    row.insert("model_name".to_owned(), decision.get("model").cloned().unwrap_or_default());
    row.insert("scores".to_owned(), Value::Object(scores));
    row.insert("user_state".to_owned(), decision.get("user_state").cloned().unwrap_or_default());
    row.insert("why".to_owned(), decision.get("why").cloned().unwrap_or_default());
    if let Some(reason) = decision.get("fallback").filter(|reason| !reason.is_null()) {
        row.insert("fallback".to_owned(), reason.clone());
    }
    row
}

async fn post(
    proxy: &Proxy,
    path: &'static str,
    about: &[(&str, Option<&Value>)],
    body: String,
) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert("x-personaroute-explain", HeaderValue::from_static("1"));
    for (key, value) in about {
        let text = value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let name = http::HeaderName::try_from(format!("x-personaroute-{key}"));
        if let (Some(text), Ok(name)) = (text, name)
            && let Ok(value) = HeaderValue::from_bytes(text.as_bytes())
        {
            headers.insert(name, value);
        }
    }
    let (head, body) = proxy.handle(request).await.into_parts();
    let reply = match body.collect().await {
        Ok(collected) => serde_json::from_slice(&collected.to_bytes()).unwrap_or_default(),
        Err(error) => json!({"error": {"message": error.to_string()}}),
    };
    (head.status, head.headers, reply)
}

fn print(answered: &[Row], as_json: bool) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    for row in answered {
        let text = if as_json { Value::Object(row.clone()).to_string() } else { describe(row) };
        writeln!(out, "{text}").map_err(Failed::io("writing to stdout"))?;
    }
    Ok(())
}

fn describe(row: &Row) -> String {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut lines = vec![format!("model: {}", text("model_name")), format!("user: {}", text("user_state"))];
    lines.push(format!("why: {}", text("why")));
    if let Some(Value::Object(scores)) = row.get("scores") {
        lines.extend(scores.iter().map(|(llm, utility)| format!("  {llm:<32} {utility}")));
    }
    for key in ["response", "error"] {
        if row.contains_key(key) {
            lines.push(format!("{key}: {}", text(key)));
        }
    }
    lines.join("\n")
}
