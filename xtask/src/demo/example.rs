//! The example questions of the README, and the two users that send them.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::ask;

/// Users of the default bundle: one prefers low cost, one prefers quality.
const USERS: [&str; 2] = ["cost-first", "quality-first"];

/// The questions, as the README has them.
const QUESTIONS: [&str; 3] = [
    "A train covers 180 km in 2 hours, then 90 km in 45 minutes. What is its average speed?",
    "How many positive integers n below 1000 make n^2 + 3n + 2 divisible by 6?",
    "What does f([3, 1, 2]) return? def f(xs): return [x * i for i, x in enumerate(sorted(xs))]",
];

/// Sends every question as both users, and prints the chosen LLMs and the commands to send them by hand.
pub(super) fn show(listen: SocketAddr) -> Result<()> {
    let mut lines = Vec::new();
    for question in QUESTIONS {
        lines.push(format!("  {question}"));
        for user in USERS {
            let model = ask::chosen(listen, &chat(user, question))?;
            lines.push(format!("    {user:<13} -> {model}"));
        }
    }
    let [question, ..] = QUESTIONS;
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nThe same questions from two users:\n{}", lines.join("\n"))?;
    writeln!(out, "\nPersonaRoute is ready: http://{listen}/v1 (stop with Ctrl-C). Send a request as either user:")?;
    for user in USERS {
        writeln!(out, "  {}", curl(listen, user, question))?;
    }
    out.flush().context("printing")
}

fn chat(user: &str, question: &str) -> Value {
    json!({ "model": "auto", "user": user, "messages": [{ "role": "user", "content": question }] })
}

/// Returns a shell command; no question contains a single quote.
fn curl(listen: SocketAddr, user: &str, question: &str) -> String {
    format!(
        "curl -i http://{listen}/v1/chat/completions -H 'content-type: application/json' -d '{}'",
        chat(user, question)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_readme_has_the_questions_and_the_users() {
        let readme = std::fs::read_to_string(workspace::root().join("README.md")).unwrap();
        for words in QUESTIONS.iter().chain(&USERS) {
            assert!(readme.contains(words), "README.md does not have {words:?}");
        }
    }

    #[test]
    fn a_question_fits_between_single_quotes() {
        assert!(QUESTIONS.iter().all(|question| !question.contains('\'')));
    }
}
