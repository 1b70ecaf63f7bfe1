//! Routers and requests for these tests.

use personaroute_harness::bundle::BundleSpec;
use personaroute_harness::path;
use personaroute_host::{Candidate, Limits, RouteRequest, Router, RouterOptions};
use tempfile::TempDir;

/// A router and the temporary folder of its bundle.
pub(crate) struct Fixture {
    pub(crate) router: Router,
    _folder: TempDir,
}

/// Opens a router with the routing plugin on the bundle that `spec` describes.
pub(crate) fn open(spec: &BundleSpec) -> Fixture {
    open_with(spec, |_options| ())
}

/// Opens a router after `change` has modified its options.
pub(crate) fn open_with(spec: &BundleSpec, change: impl FnOnce(&mut RouterOptions)) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = options(spec, &folder, change);
    Fixture { router: Router::open(&options).unwrap(), _folder: folder }
}

/// Writes a bundle into `folder` and returns options that open it.
pub(crate) fn options(spec: &BundleSpec, folder: &TempDir, change: impl FnOnce(&mut RouterOptions)) -> RouterOptions {
    let bundle = folder.path().join("bundle");
    spec.write(&bundle).unwrap();
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
