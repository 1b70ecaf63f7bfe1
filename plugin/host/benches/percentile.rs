//! What are the median and the high percentiles of decision times, by number of LLMs and length of the prompt?

#[expect(unreachable_pub, reason = "a file of the test harness, where it is public")]
#[path = "../../../tests/harness/src/bundle.rs"]
mod bundle;
mod fixture;
#[expect(unreachable_pub, reason = "a file of the test harness, where it is public")]
#[path = "../../../tests/harness/src/onnx.rs"]
mod onnx;

use std::{
    env, io,
    io::Write as _,
    time::{Duration, Instant},
};

use personaroute_host::{RouteRequest, Router};

use self::fixture::{Fixture, PROMPT, SHORT};

/// Measured decisions; a tenth as many run before as a warm-up.
const DECISIONS: usize = 20_000;

fn main() -> io::Result<()> {
    // `cargo test` runs benches as tests, with few iterations.
    let decisions = if env::args().any(|arg| arg == "--bench") { DECISIONS } else { 10 };
    writeln!(io::stdout(), "{:<28}{:>10}{:>10}{:>10}{:>10}", "bundle, prompt", "p50 us", "p95 us", "p99 us", "max us")?;
    if let Some(trained) = Fixture::trained() {
        report("trained", &trained, decisions)?;
    }
    for llms in [10, 100, 1000] {
        report(&format!("{llms} LLMs"), &Fixture::new(llms), decisions)?;
    }
    Ok(())
}

fn report(name: &str, fixture: &Fixture, decisions: usize) -> io::Result<()> {
    let router = fixture.router();
    for (kind, text) in [("short", SHORT), ("2 KB", PROMPT)] {
        let times = measure(&router, &fixture.request(text), decisions);
        let at = |percent: usize| {
            let idx = (times.len() * percent / 100).min(times.len().saturating_sub(1));
            times.get(idx).map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
        };
        let (p50, p95, p99, max) = (at(50), at(95), at(99), at(100));
        writeln!(io::stdout(), "{:<28}{p50:>10.1}{p95:>10.1}{p99:>10.1}{max:>10.1}", format!("{name}, {kind}"))?;
    }
    Ok(())
}

/// Returns the times of `decisions` decisions, shortest first.
fn measure(router: &Router, request: &RouteRequest, decisions: usize) -> Vec<Duration> {
    let time = |_idx| {
        let started = Instant::now();
        assert!(router.route(request).is_ok(), "the bench's request is refused");
        started.elapsed()
    };
    let _warm: Vec<_> = (0..decisions / 10).map(time).collect();
    let mut times: Vec<_> = (0..decisions).map(time).collect();
    times.sort_unstable();
    times
}
