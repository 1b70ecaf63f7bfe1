//! A router that fails costs no request: the configured order serves, and says why.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire,
};
use personaroute_host::{DecisionFault, RouteError};
use serde_json::json;

use super::test_gateway::{Failing, TestGateway, two};

async fn served(error: RouteError, more: &str) -> Result<(String, String, String)> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let configuration = two(&cheap, &premium, "").replace("{name: auto}", more);
    let gateway = TestGateway::start(&configuration, Failing(error))?;
    let body = json!({"model": "auto", "messages": [{"role": "user", "content": "hi"}]});
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    let told = |name| answer.header(name).to_owned();
    Ok((told("x-personaroute-model"), told("x-personaroute-fallback"), metrics))
}

#[tokio::test]
async fn every_failure_of_the_router_is_served_and_named_in_header_and_metric() -> Result<()> {
    let errors = [
        RouteError::Timeout,
        RouteError::Trapped { reason: "unreachable".to_owned() },
        RouteError::OutOfMemory,
        RouteError::InvalidDecision(DecisionFault::MissingCandidate("cheap".to_owned())),
        RouteError::Inference("broken".to_owned()),
        RouteError::Overloaded,
        RouteError::Plugin("no".to_owned()),
        RouteError::InvalidRequest("no".to_owned()),
    ];
    for error in errors {
        let label = error.label();
        let (model, fallback, metrics) = served(error, "{name: auto}").await?;
        assert_eq!((model.as_str(), fallback), ("cheap", format!("router={label}")));
        let counted = format!("personaroute_decisions_degraded_total{{reason=\"{label}\"}} 1");
        assert!(metrics.contains(&counted), "{counted} in {metrics}");
    }
    Ok(())
}

#[tokio::test]
async fn the_fallback_order_is_configured() -> Result<()> {
    let (model, _, _) = served(RouteError::Timeout, "{name: auto, fallback: [premium]}").await?;
    assert_eq!(model, "premium");
    Ok(())
}
