//! `personaroute users`: what is known of a user.

use std::{fs, io::Write};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{Failed, operator::Operator};
use crate::cli;

/// Runs one of the commands.
pub(super) fn users(command: &cli::Users, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Failed> {
    match command {
        cli::Users::List { learned } => list(&Operator::find(learned, env)?),
        cli::Users::Show { user, learned } => {
            print(&Operator::find(learned, env)?.call(Method::GET, &path(user, ""), Vec::new())?)
        }
        cli::Users::Erase { user, learned } => {
            print(&Operator::find(learned, env)?.call(Method::DELETE, &path(user, ""), Vec::new())?)
        }
        cli::Users::Export { user, output, learned } => {
            let export = Operator::find(learned, env)?.call(Method::GET, &path(user, "/export"), Vec::new())?;
            match output {
                Some(file) => {
                    fs::write(file, format!("{export}\n")).map_err(Failed::io(format!("writing {}", file.display())))
                }
                None => print(&export),
            }
        }
        cli::Users::Import { user, input, learned } => {
            let export = fs::read(input).map_err(Failed::io(format!("reading {}", input.display())))?;
            print(&Operator::find(learned, env)?.call(Method::POST, &path(user, "/import"), export)?)
        }
    }
}

/// Prints one user a line.
fn list(operator: &Operator) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let mut path = "/users".to_owned();
    loop {
        let page = operator.call(Method::GET, &path, Vec::new())?;
        for user in page.get("rows").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            writeln!(out, "{user}").map_err(Failed::io("writing to stdout"))?;
        }
        let Some(next) = page.get("next").and_then(Value::as_str) else { return Ok(()) };
        path = format!("/users?after={}", encoded(next));
    }
}

fn path(user: &str, rest: &str) -> String {
    format!("/users/{}{rest}", encoded(user))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn print(value: &Value) -> Result<(), Failed> {
    writeln!(std::io::stdout().lock(), "{value:#}").map_err(Failed::io("writing to stdout"))
}
