//! The commands, and the one place where failures become exit codes.

mod serve;
mod check;
mod schema;
mod infer;
mod rows;
mod bundle;
mod key;
mod operator;
mod users;
mod interactions;
mod exit;

use std::process::ExitCode;

use clap::Parser;

use self::exit::Failed;
use crate::cli::{Cli, Command};

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(shown) => return exit::usage(&shown),
    };
    let env = |name: &str| std::env::var(name).ok();
    let done = match cli.command {
        Command::Serve(serve) => serve::serve(&serve, &env),
        Command::Chat(chat) => serve::chat(&chat, &env),
        Command::Check { file, overrides } => check::check(&file, &overrides, &env),
        Command::Schema => schema::schema(),
        Command::Infer(infer) => infer::infer(&infer, &env),
        Command::Bundle(bundle) => bundle::bundle(bundle),
        Command::Users(users) => users::users(&users, &env),
        Command::Interactions(interactions) => interactions::interactions(&interactions, &env),
        Command::Key { json } => key::key(json),
    };
    done.map_or_else(|failed| exit::report(&failed), |()| ExitCode::SUCCESS)
}
