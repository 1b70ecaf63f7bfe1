//! `personaroute.Router`: the same decisions as the router in Rust, batches as arrays, errors as Python's exceptions.

use personaroute_harness::path;
use personaroute_host::{Candidate, RouteRequest, Router, RouterOptions};
use serde_json::{Value, json};

use super::seen;

const TEXTS: [&str; 4] = ["What is 12 times 12?", "Prove that 2 is prime.", "", "🦀 Schreibe ein Gedicht über Rost."];
const USERS: [Option<&str>; 4] = [Some("cost-first"), Some("quality-first"), None, Some("nobody knows me")];

#[test]
fn python_decides_as_rust_does() {
    let mut options = RouterOptions::new(path::default_bundle(), path::plugin());
    options.onnxruntime = Some(path::onnxruntime());
    let router = Router::open(&options).unwrap();
    let candidates: Vec<Candidate> = router.bundle().catalog.llms.iter().map(Candidate::from_catalog).collect();
    let decisions = TEXTS.iter().zip(USERS).map(|(text, user)| {
        let user = user.map(str::to_owned);
        let request = RouteRequest { text: (*text).into(), user, candidates: candidates.clone(), ..Default::default() };
        router.route(&request).unwrap()
    });

    let asked = json!(TEXTS.iter().zip(USERS).collect::<Vec<_>>()).to_string();
    let seen = seen(include_str!("package.py"), &[asked]);
    for (idx, decision) in decisions.enumerate() {
        let order: Vec<&str> = decision.ranking.iter().map(|score| &*score.llm).collect();
        for way in ["single", "batch"] {
            assert_eq!(seen[way][idx]["order"], json!(order), "{way} of {idx}");
            assert_eq!(seen[way][idx]["state"], decision.user_state.as_str());
        }
        for (score, found) in decision.ranking.iter().zip(seen["single"][idx]["utilities"].as_array().unwrap()) {
            assert!((f64::from(score.utility) - found.as_f64().unwrap()).abs() < 1e-4);
        }
        assert_eq!(seen["arrays"]["best"][idx], seen["single"][idx]["order"][0]);
    }
    assert_eq!(seen["arrays"]["shape"], json!([TEXTS.len(), candidates.len()]));
}

#[test]
fn a_user_is_adapted_to_what_it_rated() {
    let seen = seen(include_str!("package.py"), &["[]".to_owned()]);
    let adapted = &seen["adapted"];
    assert_eq!(adapted["state"], "adapted");
    assert_eq!(adapted["interactions"], 8);
    let rank = |list: &Value| list.as_array().unwrap().iter().position(|llm| *llm == adapted["liked"]).unwrap();
    assert!(rank(&adapted["after"]) < rank(&adapted["before"]), "{adapted}");
}

#[test]
fn errors_are_pythons_exceptions_and_name_what_is_wrong() {
    let seen = seen(include_str!("package.py"), &["[]".to_owned()]);
    let errors = &seen["errors"];
    assert_eq!(errors["preference"][0], "ValueError");
    assert!(errors["preference"][1].as_str().unwrap().contains("preference"), "{errors}");
    assert_eq!(errors["bundle"][0], "FileNotFoundError");
    assert_eq!(errors["not a bundle"][0], "OpenError");
    assert_eq!(errors["unknown field"], json!(["TypeError", errors["unknown field"][1]]));
    assert_eq!(errors["lengths"], json!(["ValueError", "users: 1 entries for 2 texts"]));
}
