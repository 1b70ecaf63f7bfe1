//! Writes shell completions and manual pages of the installed programs below a folder; `cargo xtask install` runs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};
use personaroute_gateway::cli::Cli as Gateway;
#[cfg(feature = "training")]
use personaroute_training::cli::Cli as Training;

/// Where each shell looks below a prefix.
const COMPLETIONS: &[(Shell, &str)] = &[
    (Shell::Bash, "share/bash-completion/completions"),
    (Shell::Zsh, "share/zsh/site-functions"),
    (Shell::Fish, "share/fish/vendor_completions.d"),
];

/// Where `man` looks below a prefix.
const MANUAL: &str = "share/man/man1";

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).context("usage: personaroute-pages <folder>")?;
    programs().into_iter().try_for_each(|program| write(&program, &folder))
}

fn programs() -> Vec<Command> {
    [
        Gateway::command(),
        #[cfg(feature = "training")]
        Training::command(),
    ]
    .into()
}

/// Writes all pages of one program below `prefix`.
fn write(program: &Command, prefix: &Path) -> Result<()> {
    for (shell, folder) in COMPLETIONS {
        let folder = create(prefix, folder)?;
        let file = generate_to(*shell, &mut program.clone(), program.get_name(), &folder);
        let file = file.with_context(|| folder.display().to_string())?;
        if *shell == Shell::Bash {
            // Bash loads the file that is named as the program.
            let named = folder.join(program.get_name());
            fs::rename(&file, &named).with_context(|| named.display().to_string())?;
        }
    }
    let folder = create(prefix, MANUAL)?;
    clap_mangen::generate_to(program.clone(), &folder).with_context(|| folder.display().to_string())
}

fn create(prefix: &Path, folder: &str) -> Result<PathBuf> {
    let folder = prefix.join(folder);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_completions_for_each_shell_and_a_page_for_each_command() {
        let prefix = tempfile::tempdir().unwrap();
        for program in programs() {
            write(&program, prefix.path()).unwrap();
            let name = program.get_name();
            let text = |file: &str| fs::read_to_string(prefix.path().join(file)).unwrap();
            let bash = text(&format!("share/bash-completion/completions/{name}"));
            let zsh = text(&format!("share/zsh/site-functions/_{name}"));
            let fish = text(&format!("share/fish/vendor_completions.d/{name}.fish"));
            assert!(program.get_subcommands().count() > 3);
            for command in program.get_subcommands().map(Command::get_name) {
                assert!([&bash, &zsh, &fish].iter().all(|script| script.contains(command)), "{command}");
                assert!(text(&format!("share/man/man1/{name}-{command}.1")).contains("SYNOPSIS"), "{command}");
            }
        }
    }

    #[test]
    fn bash_reads_its_completions() {
        let prefix = tempfile::tempdir().unwrap();
        for program in programs() {
            write(&program, prefix.path()).unwrap();
            let script = prefix.path().join("share/bash-completion/completions").join(program.get_name());
            let status = std::process::Command::new("bash").arg("-n").arg(&script).status().unwrap();
            assert!(status.success(), "{}", script.display());
        }
    }
}
