//! Routers and requests of these tests.

use personaroute_harness::bundle::Recipe;
use personaroute_harness::path;
use personaroute_host::{Candidate, Limits, RouteRequest, Router, RouterOptions};
use tempfile::TempDir;

/// A router and the folder its bundle lies in.
pub(crate) struct Fixture {
    pub(crate) router: Router,
    _folder: TempDir,
}

/// Opens a router with the real plugin on a bundle made from `recipe`.
pub(crate) fn open(recipe: &Recipe) -> Fixture {
    open_with(recipe, |_options| ())
}

/// Opens a router whose options `change` has changed.
pub(crate) fn open_with(recipe: &Recipe, change: impl FnOnce(&mut RouterOptions)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = options(recipe, &folder, change);
    Fixture { router: Router::open(&options).unwrap(), _folder: folder }
}

/// Writes a bundle into `folder` and returns options that lead to it.
pub(crate) fn options(recipe: &Recipe, folder: &TempDir, change: impl FnOnce(&mut RouterOptions)) -> RouterOptions {
    let bundle = folder.path().join("bundle");
    recipe.write(&bundle).unwrap();
    let mut options = RouterOptions::new(bundle, path::plugin());
    options.onnxruntime = Some(path::onnxruntime());
    options.limits = Limits { sessions: 2, concurrency: 16, ..Limits::default() };
    change(&mut options);
    options
}

/// Returns a request of `user` with every LLM of the bundle as a candidate.
pub(crate) fn request(router: &Router, user: Option<&str>, text: &str) -> RouteRequest {
    RouteRequest {
        user: user.map(str::to_owned),
        text: text.to_owned(),
        candidates: router.bundle().catalog.llms.iter().map(Candidate::from_catalog).collect(),
        ..RouteRequest::default()
    }
}
