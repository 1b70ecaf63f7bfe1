//! How long does a decision take without a text encoder, by number of LLMs: in the plugin, natively, and the plugin call
//! alone?

#[expect(unreachable_pub, reason = "a file of the test harness, where it is public")]
#[path = "../../../tests/harness/src/bundle.rs"]
mod bundle;
mod fixture;
mod native;
#[expect(unreachable_pub, reason = "a file of the test harness, where it is public")]
#[path = "../../../tests/harness/src/onnx.rs"]
mod onnx;

use divan::{Bencher, black_box};

use self::fixture::{Fixture, PROMPT, SHORT};

fn main() {
    divan::main();
}

/// The default bundle: a trained scorer and the lexical encoder.
#[divan::bench]
fn trained(bencher: Bencher<'_, '_>) {
    let Some(fixture) = Fixture::trained() else { return };
    let (router, request) = (fixture.router(), fixture.request(SHORT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// The same scoring without WASM.
#[divan::bench]
fn trained_native(bencher: Bencher<'_, '_>) {
    let Some(fixture) = Fixture::trained() else { return };
    let native = fixture.native(SHORT);
    bencher.bench_local(|| black_box(native.route()));
}

/// The whole call: profile, plugin and scorer.
#[divan::bench(args = [10, 100, 1000])]
fn routed(bencher: Bencher<'_, '_>, llms: usize) {
    let fixture = Fixture::new(llms);
    let (router, request) = (fixture.router(), fixture.request(SHORT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// The same with a prompt of two kilobytes.
#[divan::bench(args = [10, 100, 1000])]
fn routed_two_kilobytes(bencher: Bencher<'_, '_>, llms: usize) {
    let fixture = Fixture::new(llms);
    let (router, request) = (fixture.router(), fixture.request(PROMPT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// The plugin's code compiled natively with the same scorer, to compare the WASM boundary with.
#[divan::bench(args = [10, 100, 1000])]
fn native(bencher: Bencher<'_, '_>, llms: usize) {
    let fixture = Fixture::new(llms);
    let native = fixture.native(SHORT);
    bencher.bench_local(|| black_box(native.route()));
}

/// The plugin with a scorer that returns constants: instantiation, copies and policy.
#[divan::bench(args = [10, 100, 1000])]
fn call(bencher: Bencher<'_, '_>, llms: usize) {
    let fixture = Fixture::new(llms);
    let (router, request) = (fixture.router_without_runtime(), fixture.request(SHORT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// A call with a short question and ten LLMs, by the number of calls that an instance serves: 1 is a fresh one each time.
#[divan::bench(args = [1, 1000])]
fn instance_calls_short(bencher: Bencher<'_, '_>, instance_calls: u32) {
    let mut fixture = Fixture::new(10);
    fixture.options.limits.instance_calls = instance_calls;
    let (router, request) = (fixture.router_without_runtime(), fixture.request(SHORT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// The same with a prompt of two kilobytes and a hundred LLMs, for which the plugin writes to more memory.
#[divan::bench(args = [1, 1000])]
fn instance_calls_long(bencher: Bencher<'_, '_>, instance_calls: u32) {
    let mut fixture = Fixture::new(100);
    fixture.options.limits.instance_calls = instance_calls;
    let (router, request) = (fixture.router_without_runtime(), fixture.request(PROMPT));
    bencher.bench_local(|| black_box(router.route(black_box(&request))));
}

/// One request of a batch of 64.
#[divan::bench(args = [10, 100, 1000])]
fn batch_of_64(bencher: Bencher<'_, '_>, llms: usize) {
    let fixture = Fixture::new(llms);
    let (router, requests) = (fixture.router(), vec![fixture.request(SHORT); 64]);
    bencher.bench_local(|| black_box(router.route_batch(black_box(&requests))));
}
