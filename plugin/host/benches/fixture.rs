//! Bundles of a given number of LLMs, and routers on them.

#![expect(clippy::unwrap_used, reason = "a bench fails when its set-up fails")]

use std::{
    env,
    path::{Path, PathBuf},
};

use personaroute_host::{Candidate, RouteRequest, Router, RouterOptions, bundle::folder::Bundle};
use tempfile::TempDir;

use crate::bundle::BundleSpec;

/// A typical question.
pub(crate) const SHORT: &str = "What is the fastest way to sort a million integers in Rust, and why is it the fastest?";

/// A prompt of two kilobytes.
pub(crate) const PROMPT: &str = include_str!("prompt.txt");

/// A bundle and the options that open it.
pub(crate) struct Fixture {
    pub(crate) options: RouterOptions,
    _folder: Option<TempDir>,
}

impl Fixture {
    /// Writes a bundle of `llms` LLMs with user embeddings of 32 values.
    pub(crate) fn new(llms: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = BundleSpec { llms, tasks: 8, user_dim: 32, ..BundleSpec::default() };
        let bundle = folder.path().join("bundle");
        spec.write(&bundle).unwrap();
        Self { options: RouterOptions::new(bundle, plugin()), _folder: Some(folder) }
    }

    /// Returns the default bundle, if the repository has one.
    pub(crate) fn trained() -> Option<Self> {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/bundle");
        bundle.is_dir().then(|| Self { options: RouterOptions::new(bundle, plugin()), _folder: None })
    }

    pub(crate) fn router(&self) -> Router {
        Router::open(&self.options).unwrap()
    }

    pub(crate) fn request(&self, text: &str) -> RouteRequest {
        let bundle = Bundle::open(&self.options.bundle).unwrap();
        let user = bundle.users.ids().next().map(str::to_owned);
        RouteRequest {
            user,
            text: text.to_owned(),
            candidates: bundle.catalog.llms.iter().map(Candidate::from_catalog).collect(),
            prompt_tokens: 500,
            ..RouteRequest::default()
        }
    }
}

fn plugin() -> PathBuf {
    let target = || env::var_os("CARGO_TARGET_DIR").map_or_else(|| "../../target".into(), PathBuf::from);
    let named = env::var_os("PERSONAROUTE_PLUGIN").map(PathBuf::from);
    named.unwrap_or_else(|| target().join("plugin/personaroute.wasm"))
}
