//! The documentation is true: its configurations load, its commands exist, its requests are answered.

use std::path::Path;
use std::process::Command;

use personaroute_gateway::{
    app,
    config::{self, Overrides},
};
use personaroute_harness::document::{self, Block};
use personaroute_harness::gateway::Gateway;
use personaroute_harness::{path, wire};
use serde_json::Value;

/// Keys are references; any value resolves them.
fn environment(name: &str) -> Option<String> {
    let is_secret = name.ends_with("_KEY") || name.ends_with("_PASSWORD");
    is_secret.then(|| "a-key".to_owned())
}

fn blocks(language: &str) -> Vec<Block> {
    document::blocks().unwrap().into_iter().filter(|block| block.language == language).collect()
}

/// The commands of the shell blocks, each on one line, without comments.
fn commands() -> Vec<(String, String)> {
    let mut commands = Vec::new();
    for block in blocks("sh") {
        for line in block.text.replace("\\\n", " ").lines() {
            let line = line.split("  #").next().unwrap_or(line).trim();
            if !line.is_empty() && !line.starts_with('#') {
                commands.push((block.place.clone(), line.to_owned()));
            }
        }
    }
    commands
}

/// Splits at spaces outside single quotes, as a shell does.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (idx, part) in command.split('\'').enumerate() {
        let is_quoted = idx % 2 == 1;
        let mut pieces = if is_quoted { vec![part] } else { part.split(' ').collect() }.into_iter();
        if let (Some(last), Some(first)) = (words.last_mut(), pieces.next()) {
            last.push_str(first);
        }
        words.extend(pieces.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_serving_configuration_fits_the_default_bundle() {
    let names: Vec<String> =
        path::configurations().iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let serving = ["demo.yaml", "gateway.yaml"];
    for name in serving {
        assert!(names.iter().any(|found| found == name), "configs/{name} is gone");
        let loaded =
            config::load(&path::root().join("configs").join(name), &Overrides::default(), &environment).unwrap();
        app::check(&path::with_assets(loaded)).unwrap();
    }
}

#[test]
fn every_serving_configuration_in_the_docs_loads() {
    let configurations: Vec<Block> =
        blocks("yaml").into_iter().filter(|block| block.text.starts_with("version: 1")).collect();
    assert!(!configurations.is_empty());
    for block in configurations {
        let loaded = config::parse(Path::new(&block.place), &block.text, &environment);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}: {error}", block.place));
        app::check(&path::with_assets(loaded)).unwrap_or_else(|error| panic!("{}: {error}", block.place));
    }
}

#[test]
fn every_key_of_the_configuration_is_documented() {
    let guide = std::fs::read_to_string(path::root().join("docs/configuration.md")).unwrap();
    let block = blocks("yaml").into_iter().find(|block| block.place.starts_with("docs/configuration.md")).unwrap();
    let loaded = config::parse(Path::new(&block.place), &block.text, &environment).unwrap();
    let effective = loaded.effective();
    let keys = effective.lines().filter_map(|line| Some(line.trim_start_matches(['-', ' ']).split_once(':')?.0));
    let missing: Vec<&str> = keys.filter(|key| !guide.contains(&format!("{key}:"))).collect();
    assert_eq!(missing, Vec::<&str>::new(), "of\n{effective}");
}

#[test]
fn every_command_in_the_docs_exists() {
    let tasks = std::fs::read_to_string(path::root().join("xtask/src/main.rs")).unwrap();
    let mut checked = 0;
    for (place, command) in commands() {
        let words = words(&command);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["cargo", "xtask", task, ..] => {
                assert!(tasks.contains(&format!("[\"{task}\"")), "{place}: no task {task}");
                checked += 1;
            }
            [program @ ("personaroute" | "personaroute-train"), arguments @ ..] => {
                // Help comes after everything before it was understood.
                let output = Command::new(path::binary(program)).args(arguments).arg("--help").output();
                let output =
                    output.unwrap_or_else(|error| panic!("{program} (`cargo build --workspace --bins`): {error}"));
                assert!(output.status.success(), "{place}: {command}\n{}", String::from_utf8_lossy(&output.stderr));
                checked += 1;
            }
            _ => {}
        }
    }
    assert!(checked > 5, "only {checked} commands were found");
}

#[tokio::test]
async fn every_request_in_the_docs_is_answered_by_the_demo() {
    let text = std::fs::read_to_string(path::root().join("configs/demo.yaml")).unwrap();
    let anywhere = text.replace("127.0.0.1:8080", "127.0.0.1:0").replace("127.0.0.1:8081", "127.0.0.1:0");
    let gateway = Gateway::start(&anywhere).unwrap();
    let mut asked = 0;
    for (place, command) in commands().into_iter().filter(|(_, command)| command.starts_with("curl ")) {
        let words = words(&command);
        let after = |flag: &str| words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1));
        let url = words
            .iter()
            .find_map(|word| word.strip_prefix("http://127.0.0.1:8080"))
            .unwrap_or_else(|| panic!("{place}"));
        let headers: Vec<(&str, &str)> = words
            .iter()
            .zip(words.iter().skip(1))
            .filter(|(flag, _)| *flag == "-H")
            .filter_map(|(_, header)| header.split_once(": "))
            .filter(|(name, _)| *name != "content-type")
            .collect();
        let answer = match after("-d") {
            Some(body) => {
                let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{place}: {error}"));
                wire::post(gateway.address(), url, &headers, &body).await.unwrap()
            }
            None => wire::get(gateway.address(), url).await.unwrap(),
        };
        assert_eq!(answer.status, 200, "{place}: {command}\n{}", answer.text());
        asked += 1;
    }
    assert!(asked > 0);
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(words("curl  -d '{\"a b\": 1}' x='y z'"), ["curl", "-d", "{\"a b\": 1}", "x=y z"]);
}
