//! The three examples of PersonalizedRouter's page, as they stand but for the import line: training, one query, a batch.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use super::seen;

const LLMS: [&str; 2] = ["small", "large"];
/// Weight of effect against cost, by user.
const PREFERENCES: [f64; 3] = [0.1, 1.0, 0.5];

/// A configuration in the existing format, and a small data set in PersonaRoute-Bench's columns: user 0 saves, user 1 wants
/// quality.
fn written(folder: &std::path::Path) -> String {
    let mut csv = String::from("user_id,performance_preference,task_id,query,query_embedding,effect,cost,llm,reward\n");
    for (query, user, (llm, name)) in (0..40)
        .flat_map(|query| (0..3).flat_map(move |user| LLMS.into_iter().enumerate().map(move |llm| (query, user, llm))))
    {
        let (angle, effect) = (f64::from(query), 0.4 + 0.4 * llm as f64);
        let cost = 0.1 + 0.6 * llm as f64;
        let reward = PREFERENCES[user] * effect - (1.0 - PREFERENCES[user]) * cost;
        let embedding = format!("[[{:.3} {:.3} {:.3}]]", angle.sin(), angle.cos(), (2.0 * angle).sin());
        writeln!(
            csv,
            "{user},{},{},question {query},{embedding},{effect},{cost},{name},{reward}",
            PREFERENCES[user],
            query % 2
        )
        .unwrap();
    }
    let described = |name: &str, price: f64| json!({ "feature": format!("the {name} one"), "input_price": price, "output_price": price, "model": name });
    let llms = json!({ "small": described("small", 0.1), "large": described("large", 5.0) });
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("data.csv"), csv).unwrap();
    fs::write(folder.join("llms.json"), llms.to_string()).unwrap();
    let model = path("saved/personalizedrouter.pt");
    format!(
        "data_path: {{ routing_data_path: '{}', llm_data: '{}' }}
model_path: {{ save_model_path: '{model}', load_model_path: '{model}' }}
hparam: {{ embedding_dim: 16, user_num: 3, num_task: 2, train_epoch: 20, split_ratio: [0.6, 0.2, 0.2], random_state: 42 }}
",
        path("data.csv"),
        path("llms.json")
    )
}

#[test]
fn the_pages_examples_run_as_they_stand_but_for_the_import() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("personalizedrouter.yaml");
    fs::write(&file, written(folder.path())).unwrap();
    let seen = seen(include_str!("seed.py"), &[file.display().to_string()]);
    assert_eq!(seen["before"][0], "FileNotFoundError");
    assert!(seen["before"][1].as_str().unwrap().contains("PersonalizedRouterTrainer"), "{seen}");
    let chosen: Vec<&str> = seen["single"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(chosen, LLMS, "users 0 and 1 get what each values");
    assert_eq!(seen["batch"], json!(["small", "large", "small"]));
    assert_eq!(seen["text"], json!({ "query": "plain text", "user_id": 0, "model_name": "small" }));
}
