//! The deployment files agree with the program, its configuration and each other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use personaroute_gateway::app;
use personaroute_gateway::config::{self, Loaded};
use personaroute_harness::{path, python, skip};
use serde_json::Value;

fn text(name: &str) -> String {
    std::fs::read_to_string(path::root().join("configs/deploy").join(name)).unwrap()
}

fn environment(name: &str) -> Option<String> {
    matches!(name, "OPENAI_API_KEY" | "ADMIN_TOKEN").then(|| "a-key".to_owned())
}

fn manifests() -> Vec<Value> {
    text("kubernetes.yaml").split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

fn of_kind(kind: &str) -> Value {
    manifests().into_iter().find(|manifest| manifest["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn configuration() -> Loaded {
    let map = of_kind("ConfigMap");
    let written = map["data"]["gateway.yaml"].as_str().unwrap().to_owned();
    config::parse(Path::new("kubernetes.yaml"), &written, &environment).unwrap()
}

/// The arguments must be ones that the program knows: help comes after everything before it was understood.
fn is_understood(arguments: &[&str]) {
    let output = Command::new(path::binary("personaroute")).args(arguments).arg("--help").output();
    let output = output.unwrap_or_else(|error| panic!("`cargo build --workspace --bins`: {error}"));
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_cluster_serves_what_its_configuration_says() {
    let loaded = configuration();
    app::check(&path::with_assets(loaded.clone())).unwrap();
    let pod = &of_kind("Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |name: &str| {
        let ports = container["ports"].as_array().unwrap();
        let found = ports.iter().find(|port| port["name"] == name).unwrap();
        u16::try_from(found["containerPort"].as_u64().unwrap()).unwrap()
    };
    assert_eq!(port("http"), loaded.config.listen.port());
    assert_eq!(Some(port("admin")), loaded.config.admin.map(|admin| admin.port()));
    assert!(loaded.config.listen.ip().is_unspecified(), "pods are reached from outside");
    assert!(loaded.config.admin_token.is_some(), "metrics need a token, the probes do not");
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
    let sleep = Duration::from_secs(container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap());
    assert!(grace > sleep + loaded.config.timeouts.drain);
    let arguments: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    is_understood(&arguments);
    let mount = &container["volumeMounts"][0];
    assert!(arguments[2].starts_with(mount["mountPath"].as_str().unwrap()));
    assert_eq!(pod["volumes"][0]["name"], mount["name"]);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], of_kind("ConfigMap")["metadata"]["name"]);
    let annotations = &of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/port"], port("admin").to_string());
}

#[test]
fn the_clusters_parts_find_each_other() {
    let label = &of_kind("Deployment")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&of_kind("Deployment")["spec"]["selector"]["matchLabels"], label);
    assert_eq!(&of_kind("Service")["spec"]["selector"], label);
    assert_eq!(&of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], label);
    assert_eq!(of_kind("Service")["spec"]["ports"][0]["targetPort"], "http");
    for manifest in manifests() {
        assert!(manifest["apiVersion"].is_string() && manifest["metadata"]["name"] == "personaroute", "{manifest}");
    }
}

/// Runs the linters that are installed beside the interpreter; what they report is on standard output.
const LINT: &str = r#"
import pathlib, shutil, subprocess, sys
dockerfile, manifests = sys.argv[1:]
beside = pathlib.Path(sys.executable).parent
for program, arguments in [("kubernetes-validate", ["--strict", manifests]), ("hadolint", ["--no-color", dockerfile])]:
    if shutil.which(program, path=beside) is None:
        print("missing:", program)
        continue
    done = subprocess.run([beside / program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    print("fine:", program)
"#;

#[test]
fn linters_find_nothing() {
    let folder = path::root().join("configs/deploy");
    let found = python::run(LINT, &[folder.join("Dockerfile"), folder.join("kubernetes.yaml")]).unwrap();
    assert!(found.contains("fine: kubernetes-validate"), "{found}");
    if found.contains("missing: hadolint") && !cfg!(target_os = "linux") {
        skip::record("hadolint has no package for this system: the Dockerfile is not linted");
        return;
    }
    assert!(found.contains("fine: hadolint"), "{found}");
}

#[test]
fn the_unit_starts_what_exists_and_waits_for_the_drain() {
    let unit = text("personaroute.service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    let start = value("ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    assert_eq!(words[0], "/usr/local/bin/personaroute");
    is_understood(&words[1..]);
    assert!(value("ExecReload").contains("-HUP"));
    let stop = Duration::from_secs(value("TimeoutStopSec").parse().unwrap());
    assert!(stop > configuration().config.timeouts.drain);
}

#[test]
fn the_image_is_made_of_what_the_repository_has_and_pins() {
    let docker = text("Dockerfile");
    let toolchain = std::fs::read_to_string(path::root().join("rust-toolchain.toml")).unwrap();
    let version = docker.lines().find_map(|line| line.strip_prefix("FROM rust:")?.split('-').next()).unwrap();
    assert!(toolchain.contains(version), "{version} is not of {toolchain}");
    let tasks = std::fs::read_to_string(path::root().join("xtask/src/install/options.rs")).unwrap();
    let install = docker.lines().find_map(|line| line.strip_prefix("RUN cargo xtask install ")).unwrap();
    let mut options = install.split(' ').filter(|word| word.starts_with("--"));
    assert!(options.all(|option| tasks.contains(&format!("\"{option}\" =>"))), "{install}");
    let prefix = install.split(' ').skip_while(|word| *word != "--prefix").nth(1).unwrap();
    assert!(docker.contains(&format!("COPY --from=build {prefix} /usr/local\n")));
    let loaded = configuration();
    for port in [Some(loaded.config.listen), loaded.config.admin].into_iter().flatten().map(|address| address.port()) {
        assert!(docker.contains("EXPOSE") && docker.contains(&port.to_string()));
    }
    let command = docker.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let arguments: Vec<String> = serde_json::from_str(command).unwrap();
    is_understood(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
}
