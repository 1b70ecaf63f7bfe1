//! Facts about exported bundles.

use std::process::Command;

use personaroute_bundle::folder::Bundle;
use personaroute_bundle::layout::{ADAPTER, SCORER};
use personaroute_bundle::manifest::Parity;

use super::{ExportOptions, write};
use crate::data::Setting;
use crate::fixture::{Fixture, NetworkRun, hparams};
use crate::graph::query::TextEncoder;
use crate::model::hparams::Hparams;
use crate::model::kind::ModelKind;
use crate::train::Trained;

fn bundle(kind: ModelKind, text: TextEncoder) -> (tempfile::TempDir, Bundle) {
    let dir = tempfile::tempdir().unwrap();
    let hparams = Hparams { text, train_epoch: 3, text_epoch: 2, ..hparams() };
    let run = dir.path().join("run");
    let fixture = Fixture::new();
    let model = match kind {
        ModelKind::ClosedForm => {
            Trained::ClosedForm(fixture.train_with(&hparams, (&run, Setting::Rewards, false), None).unwrap())
        }
        ModelKind::Gnn => Trained::Gnn(NetworkRun::new(hparams, &run).train(&fixture).unwrap()),
    };
    let options = ExportOptions {
        named: vec![("quality-first".to_owned(), 1.0), ("cost-first".to_owned(), 0.0)],
        ..ExportOptions::default()
    };
    let bundle = write(&model, &dir.path().join("bundle"), &options).unwrap();
    (dir, bundle)
}

/// Every kind of model with both encoders.
fn kinds() -> impl Iterator<Item = (ModelKind, TextEncoder)> {
    let encoders = [hparams().text, TextEncoder::Embedding];
    [ModelKind::ClosedForm, ModelKind::Gnn].into_iter().flat_map(move |kind| encoders.map(|text| (kind, text)))
}

#[test]
fn libtorch_and_onnx_runtime_agree_for_every_kind_with_both_encoders() {
    for (kind, text) in kinds() {
        let (_dir, bundle) = bundle(kind, text);
        assert_eq!(bundle.manifest.parity.samples, 100);
        assert!(bundle.manifest.parity.max_abs_difference <= Parity::LIMIT);
        assert!(Bundle::verify(&bundle.source).is_ok());
    }
}

#[test]
fn named_users_stand_where_they_were_asked_to() {
    let (_dir, bundle) = bundle(ModelKind::ClosedForm, hparams().text);
    let preference = |name: &str| bundle.users.get(name).and_then(|row| row.preference).unwrap();
    assert!(preference("quality-first") > 0.9 && preference("cost-first") < 0.1);
    assert_eq!(bundle.users.len(), 48 + 2);
}

#[test]
fn the_onnx_checker_accepts_both_graphs() {
    let Ok(python) = std::env::var("PERSONAROUTE_PYTHON") else {
        eprintln!("PERSONAROUTE_PYTHON names no Python with the package onnx: skipped; `cargo xtask test` sets it");
        return;
    };
    let script = "import sys, onnx\nfor f in sys.argv[1:]: onnx.checker.check_model(f, full_check=True)";
    for (kind, text) in kinds() {
        let (_dir, bundle) = bundle(kind, text);
        let graphs = [SCORER, ADAPTER].map(|name| bundle.source.path(name));
        let checked = Command::new(&python).arg("-c").arg(script).args(&graphs).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
