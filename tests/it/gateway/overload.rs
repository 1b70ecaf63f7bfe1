//! More than the gateway takes on is refused at once, and what it took on is served.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::test_gateway::TestGateway;

#[tokio::test]
async fn requests_over_the_limit_are_shed_with_retry_after_until_a_place_is_free() -> Result<()> {
    let gate = Gate::closed();
    let mut held = Reply::chat("late");
    held.frames.insert(0, Frame::Wait(gate.clone()));
    let upstream = FakeUpstream::start(move |_, earlier| if earlier == 0 { held.clone() } else { Reply::chat("ok") })?;
    let gateway = TestGateway::between(&upstream, &upstream, "limits: {requests: 1}")?;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let ask = || wire::post(gateway.address, "/v1/chat/completions", &[], &body);
    let others = async {
        wait_until!(upstream.count() == 1);
        for _ in 0..3 {
            let shed = ask().await?;
            assert_eq!((shed.status, shed.header("retry-after")), (503, "1"));
            assert_eq!(shed.json()["error"]["code"], "busy");
        }
        assert_eq!(wire::get(gateway.address, "/healthz").await?.status, 200);
        gate.open();
        Ok::<_, anyhow::Error>(())
    };
    let (first, others) = tokio::join!(ask(), others);
    others?;
    assert_eq!((first?.status, upstream.count()), (200, 1));
    assert_eq!(ask().await?.status, 200);
    Ok(())
}

/// Sends `each` requests in a row from each of `clients` at once; returns the responses and how long each took.
async fn load(address: SocketAddr, clients: usize, each: usize) -> Result<Vec<(Answer, Duration)>> {
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(send_in_a_row(address, each));
    }
    let mut answers = Vec::new();
    while let Some(own) = running.join_next().await {
        answers.extend(own??);
    }
    Ok(answers)
}

async fn send_in_a_row(address: SocketAddr, each: usize) -> Result<Vec<(Answer, Duration)>> {
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let mut answers = Vec::new();
    for _ in 0..each {
        let started = Instant::now();
        let answer = wire::post(address, "/v1/chat/completions", &[], &body).await?;
        answers.push((answer, started.elapsed()));
    }
    Ok(answers)
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// The upstream works 100 ms on each request. Four times as many clients as there are slots keep sending.
#[tokio::test]
async fn under_overload_requests_are_shed_and_the_p99_of_accepted_ones_stays_below_ten_times_the_unloaded_p99()
-> Result<()> {
    const SLOTS: usize = 8;
    const MAX_SLOWDOWN: u32 = 10;
    let mut reply = Reply::chat("ok");
    reply.frames.insert(0, Frame::Pause(Duration::from_millis(100)));
    let upstream = FakeUpstream::always(reply)?;
    let gateway = TestGateway::between(&upstream, &upstream, &format!("limits: {{requests: {SLOTS}}}"))?;
    let unloaded = load(gateway.address, SLOTS / 2, 5).await?;
    assert!(unloaded.iter().all(|(answer, _)| answer.status == 200), "nothing is shed below the limit");
    let unloaded: Vec<Duration> = unloaded.into_iter().map(|(_, time)| time).collect();
    let before = unloaded.len();
    let (mut accepted, mut shed) = (Vec::new(), 0);
    for (answer, time) in load(gateway.address, SLOTS * 4, 10).await? {
        match answer.status {
            200 => accepted.push(time),
            status => {
                assert_eq!((status, answer.header("retry-after")), (503, "1"), "{}", answer.text());
                shed += 1;
            }
        }
    }
    assert!(shed > 0, "four times as many requests as slots");
    assert_eq!(upstream.count(), before + accepted.len(), "a shed request does not reach the upstream");
    let (unloaded, accepted) = (p99(unloaded), p99(accepted));
    assert!(accepted <= unloaded * MAX_SLOWDOWN, "p99 of accepted requests {accepted:?}, unloaded {unloaded:?}");
    Ok(())
}
