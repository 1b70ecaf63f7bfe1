//! Facts about the training configuration.

use super::*;
use crate::data::source::BenchFiles;

/// The file as users of PersonalizedRouter have it.
const EXISTING: &str = "
data_path:
  routing_data_path: 'data/personaroute_bench/router_user_data_v1.csv'
  routing_data_train: 'data/personaroute_bench/router_user_train_data_v1.csv'
  routing_data_val: 'data/personaroute_bench/router_user_val_data_v1.csv'
  routing_data_test: 'data/personaroute_bench/router_user_test_data_v1.csv'
  llm_data: 'data/personaroute_bench/LLM_Descriptions_large.json'
  llm_embedding_data: 'data/personaroute_bench/llm_description_embedding_large.pkl'
model_path:
  save_model_path: 'saved_models/personalizedrouter/personalizedrouter.pt'
  load_model_path: 'saved_models/personalizedrouter/personalizedrouter.pt'
  ini_model_path: ''
hparam:
  embedding_dim: 48
  edge_dim: 1
  user_num: 1000
  num_task: 4
  learning_rate: 0.001
  weight_decay: 0.0001
  train_epoch: 100
  batch_size: 4
  train_mask_rate: 0.3
  split_ratio: [0.6, 0.2, 0.2]
  llm_family: ['LLaMa', 'Qwen']
  random_state: 43
metric:
  weights:
    performance: 1
";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("c.yaml"), text)
}

#[test]
fn the_existing_file_works_unchanged_and_every_value_wins_over_ours() {
    let config = parse(EXISTING).unwrap();
    let h = &config.hparams;
    assert_eq!((h.embedding_dim, h.edge_dim, h.train_epoch, h.batch_size), (48, 1, 100, 4));
    assert_eq!((h.learning_rate, h.weight_decay, h.train_mask_rate), (1e-3, 1e-4, 0.3));
    assert_eq!((config.seed, config.ratio), (43, Ratio::new([0.6, 0.2, 0.2]).unwrap()));
    assert_eq!(config.families, ["LLaMa", "Qwen"]);
    assert_eq!(config.weights.get("performance"), Some(&1.0));
    assert_eq!(config.run.as_deref(), Some(Path::new("saved_models/personalizedrouter/personalizedrouter")));
    assert_eq!(config.save.as_deref(), Some(Path::new("saved_models/personalizedrouter/personalizedrouter.pt")));
    assert_eq!(config.initial, None);
    let Some(Source::Bench(BenchFiles { files, embeddings, .. })) = config.source else { panic!("no bench source") };
    assert_eq!(files.len(), 3);
    assert!(embeddings.is_some());
}

#[test]
fn keys_without_effect_are_named_in_one_sentence() {
    assert_eq!(parse(EXISTING).unwrap().without_effect(), None, "the graph network uses all of them");
    let said = parse(&format!("model: closed_form\n{EXISTING}")).unwrap().without_effect().unwrap();
    assert!(said.starts_with("the model `closed_form` takes no gradient steps"), "{said}");
    for key in ["data_path.llm_embedding_data", "hparam.embedding_dim", "hparam.train_epoch", "hparam.llm_family"] {
        assert!(said.contains(key), "{key}: {said}");
    }
    assert!(!said.contains("ini_model_path") && !said.contains("split_ratio"), "{said}");
    assert_eq!(parse("hparam: {random_state: 1}").unwrap().without_effect(), None);
}

#[test]
fn a_model_that_does_not_exist_is_refused_with_line_and_column() {
    assert_eq!(parse("model: closed_form").unwrap().model, ModelKind::ClosedForm);
    let error = |name: &str| parse(&format!("setting: R\nmodel: {name}\n")).unwrap_err().to_string();
    assert!(
        error("published").contains("the model `published` is not available in this version; expected closed_form"),
        "{}",
        error("published")
    );
    assert!(error("tree").contains("unknown model `tree`") && error("tree").contains("line 2"), "{}", error("tree"));
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = parse("{}").unwrap();
    assert_eq!((config.hparams, config.seed, config.setting), (Hparams::default(), 42, Setting::Rewards));
    assert!(config.source.is_none());
}

#[test]
fn an_unknown_key_is_refused_with_line_and_column() {
    let error = parse("hparam:\n  embedding_dim: 8\n  learning_rat: 0.1\n").unwrap_err().to_string();
    assert!(error.starts_with("c.yaml: ") && error.contains("learning_rat"), "{error}");
    assert!(error.contains("line 3") && error.contains("column 3"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_line_and_column() {
    let error = parse("hparam:\n  embedding_dim: wide\n").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("column 18"), "{error}");
}

#[test]
fn values_out_of_range_name_their_key() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let expected = "c.yaml: `hparam.train_mask_rate`: expected a share between 0 and 1, found 1.5";
    assert_eq!(error("hparam: {train_mask_rate: 1.5}"), expected);
    let expected =
        "c.yaml: `hparam.split_ratio`: expected three shares that add up to at most 1, found [0.9, 0.2, 0.2]";
    assert_eq!(error("hparam: {split_ratio: [0.9, 0.2, 0.2]}"), expected);
    assert!(error("metric: {weights: {beauty: 1}}").contains("`metric.weights`"));
    assert!(error("data_path: {routing_data_path: a.csv}").contains("`data_path.llm_data`"));
    assert!(error("data_path: {llm_data: a.json}").contains("routing_data_path, or all of"));
}

#[test]
fn more_users_or_tasks_than_there_is_room_for_are_refused_with_both_numbers() {
    let config = parse(EXISTING).unwrap();
    assert_eq!((config.check_counts(9, 4), config.check_counts(1000, 4)), (Ok(()), Ok(())));
    let error = |users, tasks| config.check_counts(users, tasks).unwrap_err().to_string();
    let expected = "hparam.user_num has room for 1000 users, and the data has 1001: expected 1001 or more";
    assert_eq!(error(1001, 4), expected);
    assert_eq!(error(9, 5), "hparam.num_task has room for 4 tasks, and the data has 5: expected 5 or more");
}

#[test]
fn our_own_keys_are_read() {
    let config = parse("setting: EC\ncost: cost\nencoder: embedding\nrun: runs/x\ndata_path: {outcomes: d}\n").unwrap();
    assert_eq!((config.setting, config.cost), (Setting::EffectCost, Cost::Cost));
    assert_eq!(config.hparams.text, crate::graph::query::TextEncoder::Embedding);
    assert_eq!(config.run.as_deref(), Some(Path::new("runs/x")));
    assert!(matches!(config.source, Some(Source::Outcomes(_))));
}

#[test]
fn the_configurations_of_the_guide_are_accepted() {
    let guide = include_str!("../../../docs/training.md");
    let blocks: Vec<&str> =
        guide.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        parse(block).unwrap();
    }
}

#[test]
fn the_configurations_of_the_repository_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    for name in ["train.yaml", "train-personaroute.yaml", "train-bundle.yaml"] {
        assert!(Config::read(&folder.join(name)).unwrap().source.is_some(), "{name}");
    }
}
