//! The manifest survives a round trip through YAML, and invalid ones are refused by field.

use super::*;
use crate::layout::REQUIRED;

/// A manifest that every check accepts.
pub(crate) fn sample() -> Manifest {
    let text_encoder = TextEncoder::Lexical(Lexical { buckets: 4_096, max_words: 2, max_ids: 256, seed: u64::MAX });
    Manifest {
        format_version: FORMAT_VERSION,
        encoding_version: crate::lexical::ENCODING_VERSION,
        user_dim: 2,
        llms: 2,
        tasks: 1,
        graphs: Graphs::expected(2, 2, 1, &text_encoder),
        text_encoder,
        setting: Setting::Rewards,
        prior: vec![0.1, -2.5e-7],
        reward_range: [-0.75, 1.0],
        dataset: Dataset { name: "a: b # c".into(), ..Dataset::default() },
        training: Training {
            config: [("dims".to_string(), "64".to_string()), ("on".to_string(), "yes".to_string())].into(),
            ..Training::default()
        },
        parity: Parity { samples: 100, max_abs_difference: 1.25e-6 },
        metrics: [("test.reward".to_string(), 0.4017)].into(),
        files: REQUIRED.iter().map(|name| (name.to_string(), "0".repeat(64))).collect(),
    }
}

fn parse(yaml: &str) -> Result<Manifest, BundleError> {
    Manifest::parse(yaml.as_bytes(), "manifest.yaml".as_ref())
}

/// The message with which `change` makes the sample refused.
fn refusal(change: impl FnOnce(&mut Manifest)) -> String {
    let mut manifest = sample();
    change(&mut manifest);
    parse(&manifest.to_yaml().unwrap()).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn manifest_survives_yaml() {
    let mut embedding = sample();
    embedding.text_encoder = TextEncoder::Embedding(EmbeddingEncoder {
        dim: 384,
        encoder_id: "all-MiniLM-L6-v2".into(),
        sha256: Some("ab".repeat(32)),
    });
    embedding.graphs = Graphs::expected(2, 2, 1, &embedding.text_encoder);
    embedding.setting = Setting::EffectCost;
    for manifest in [sample(), embedding] {
        let yaml = manifest.to_yaml().unwrap();
        assert_eq!(parse(&yaml).unwrap(), manifest, "{yaml}");
    }
}

#[test]
fn other_versions_are_refused_before_anything_else() {
    let refused = |yaml: &str| parse(yaml).unwrap_err().to_string();
    let format = refused("format_version: 1\nencoding_version: 2\nnew_key: 1\n");
    assert_eq!(format, "manifest.yaml: format_version: expected 2, found 1");
    let encoding = refused("format_version: 2\nencoding_version: 9\n");
    assert_eq!(encoding, "manifest.yaml: encoding_version: expected 2, found 9");
    assert!(refused("encoding_version: 1\n").contains("format_version"));
}

#[test]
fn unknown_and_misplaced_keys_are_refused_with_their_line() {
    let yaml = sample().to_yaml().unwrap();
    let lines = yaml.lines().count();
    let refused = parse(&format!("{yaml}models: 3\n")).unwrap_err().to_string();
    assert!(refused.contains("models") && refused.contains(&format!("line {}", lines + 1)), "{refused}");
    let misspelt = yaml.replace("user_dim: 2", "user_dim: two");
    let refused = parse(&misspelt).unwrap_err().to_string();
    assert!(refused.starts_with("manifest.yaml: ") && refused.contains("line 3"), "{refused}");
}

#[test]
fn dimensions_must_agree() {
    assert_eq!(refusal(|m| m.user_dim = 0), "manifest.yaml: user_dim: expected 1 to 65536, found 0");
    assert_eq!(refusal(|m| m.prior.push(0.0)), "manifest.yaml: prior: expected user_dim = 2 values, found 3");
    assert!(refusal(|m| m.prior[0] = f32::NAN).contains("non-finite"));
    let scorer = refusal(|m| m.graphs.scorer.inputs[0].dims[1] = Dim::Fixed(3));
    assert_eq!(
        scorer,
        "manifest.yaml: graphs.scorer.inputs[0]: expected user: f32 [batch, 2], found user: f32 [batch, 3]"
    );
    let adapter = refusal(|m| m.graphs.adapter.outputs.truncate(1));
    assert_eq!(adapter, "manifest.yaml: graphs.adapter.outputs: expected 3 tensors, found 1");
    assert!(refusal(|m| m.graphs.scorer.opset = 16).contains("graphs.scorer.opset: expected 17 to"));
    assert!(refusal(|m| m.graphs.scorer.file = "s.onnx".into()).contains("graphs.scorer.file: expected scorer.onnx"));
}

#[test]
fn the_range_of_rewards_must_rise() {
    for range in [[1.0, 1.0], [1.0, 0.0]] {
        assert!(refusal(|m| m.reward_range = range).contains("reward_range: expected two finite values"), "{range:?}");
    }
}

#[test]
fn parity_beyond_the_limit_is_refused() {
    for difference in [2e-4, -1.0] {
        let refused = refusal(|m| m.parity.max_abs_difference = difference);
        assert!(refused.contains("parity.max_abs_difference: expected 0 to 0.0001"), "{refused}");
    }
}

#[test]
fn encoder_parameters_are_checked() {
    let with = |lexical| refusal(move |m| m.text_encoder = TextEncoder::Lexical(lexical));
    let lexical = Lexical { buckets: 1, max_words: 1, max_ids: 1, seed: 0 };
    assert_eq!(with(lexical), "");
    assert!(with(Lexical { buckets: 0, ..lexical }).contains("text_encoder.lexical.buckets: expected at least 1"));
    assert!(with(Lexical { max_words: 3, ..lexical }).contains("text_encoder.lexical.max_words: expected 1 or 2"));
    assert!(with(Lexical { max_ids: 0, ..lexical }).contains("text_encoder.lexical.max_ids"));
}

#[test]
fn files_stay_inside_the_bundle() {
    let listed = |name: &str| refusal(|m| drop(m.files.insert(name.into(), "0".repeat(64))));
    assert_eq!(listed("encoder/model.onnx"), "");
    for name in ["", "../x", "/etc/passwd", "a/../../x", "C:\\x", "manifest.yaml"] {
        assert!(listed(name).contains("files: expected paths inside the bundle"), "{name}");
    }
    assert!(refusal(|m| drop(m.files.insert("x".into(), "12".into()))).contains("files.x: expected 64 hexadecimal"));
    assert!(refusal(|m| drop(m.files.remove("users.idx"))).contains("files: expected an entry users.idx, found none"));
}
