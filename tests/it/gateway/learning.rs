//! Learning while serving, through the real plugin, ONNX Runtime and the default bundle.

mod access;
mod profile;

use std::path::Path;

use anyhow::{Result, ensure};
use http::Method;
use personaroute_harness::{
    gateway::Gateway,
    wire::{self, Answer},
};
use serde_json::{Value, json};

/// The LLMs of the default bundle that answer, the cheapest first.
const LLMS: [(&str, f32, f32); 4] = [
    ("GPT-4o-mini", 0.15, 0.6),
    ("Llama-3.1-70B-Instruct", 0.88, 0.88),
    ("GPT-4o", 5.0, 15.0),
    ("Claude-3-Opus", 15.0, 75.0),
];

/// Returns a configuration of these LLMs at a simulated upstream.
fn configuration(more: &str) -> String {
    let models: Vec<String> = LLMS
        .iter()
        .map(|(llm, input, output)| {
            format!("  - {{llm: {llm}, upstream: s, input_price: {input}, output_price: {output}}}")
        })
        .collect();
    format!(
        "version: 1\nlisten: 127.0.0.1:0\nadmin: 127.0.0.1:0\nupstreams:\n  - {{name: s, kind: simulated, chunk_delay: 0ms}}\n\
         models:\n{}\nvirtual_models:\n  - {{name: auto}}\n{more}\n",
        models.join("\n")
    )
}

/// Returns a configuration whose signals are kept in `folder`.
fn kept_in(folder: &Path) -> String {
    configuration(&format!("state: {{file: '{}'}}", folder.join("state.redb").display()))
}

/// Sends a chat of `user`; returns its answer, which must be successful.
async fn ask(gateway: &Gateway, user: &str, text: &str) -> Result<Answer> {
    let body = json!({"model": "auto", "user": user, "messages": [{"role": "user", "content": text}]});
    let answer = wire::post(gateway.address(), "/v1/chat/completions", &[], &body).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(answer)
}

/// Gives feedback.
async fn tell(gateway: &Gateway, body: &Value) -> Result<Answer> {
    wire::post(gateway.address(), "/v1/feedback", &[], body).await
}

async fn send(gateway: &Gateway, method: Method, path: &str, body: &Value) -> Result<Answer> {
    wire::send(gateway.address(), method, path, &[], body).await
}

async fn show(gateway: &Gateway, user: &str) -> Result<Value> {
    Ok(wire::get(gateway.address(), &format!("/v1/users/{user}")).await?.json())
}

/// Rates `count` different answers of every LLM: 1 for those of `liked`, and 0 for the others.
async fn rate(gateway: &Gateway, user: &str, liked: &[&str], count: usize) -> Result<()> {
    for idx in 0..count {
        for (llm, ..) in LLMS {
            let rating = u8::from(liked.contains(&llm));
            let text = format!("What is {idx} times 17?");
            let body = json!({"user": user, "llm": llm, "text": text, "rating": rating});
            let answer = tell(gateway, &body).await?;
            ensure!(answer.status == 200, "{}", answer.text());
        }
    }
    Ok(())
}
