//! What reaches the upstream and what comes back: everything, unchanged, but for the model.

use anyhow::Result;
use bytes::Bytes;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire,
};
use serde_json::json;

use super::test_gateway::TestGateway;

/// Parameters that gateways are known to drop or rewrite, and some that nobody knows.
const BODY: &str = r#"{ "model" : "auto",
 "messages":[{"role":"user","content":"hi \u00e9","name":"n"}], "logit_bias":{"50256":-100}, "seed":7,
 "metadata":{"model":"inner"}, "user":"ada", "temperature":1.0e0, "top_p":0.90, "parallel_tool_calls":false,
 "response_format":{"type":"json_object"}, "x_made_up":[1,{"a":null}], "n":1 }"#;

fn raw(
    gateway: &TestGateway,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Result<http::Request<Bytes>> {
    let mut request = wire::json_request(gateway.address, path, headers, &json!(null))?;
    *request.body_mut() = Bytes::from_static(body.as_bytes());
    Ok(request)
}

#[tokio::test]
async fn every_byte_but_the_model_reaches_the_upstream() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let request = raw(&gateway, "/v1/chat/completions", &[], BODY)?;
    let answer = wire::open(gateway.address, request).await?.finish().await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["x_unknown"]["kept"], true);
    let requests = cheap.requests();
    assert_eq!((requests.len(), premium.count()), (1, 0));
    assert_eq!(requests[0].path, "/v1/chat/completions");
    let expected = BODY.replace("\"model\" : \"auto\"", "\"model\" : \"cheap-1\"");
    assert_eq!(String::from_utf8(requests[0].body.to_vec())?, expected);
    let metrics = wire::get(gateway.admin, "/metrics").await?.text();
    let counted = "personaroute_requests_total{route=\"chat\",model=\"auto\",outcome=\"ok\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn headers_that_matter_travel_and_ours_do_not() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let headers = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("openai-organization", "org-1"),
        ("idempotency-key", "key-1"),
        ("authorization", "Bearer client"),
        ("x-personaroute-user", "ada"),
        ("te", "trailers"),
    ];
    let request = raw(&gateway, "/v1/chat/completions", &headers, BODY)?;
    assert_eq!(wire::open(gateway.address, request).await?.finish().await?.status, 200);
    let request = &cheap.requests()[0];
    assert_eq!(request.header("traceparent"), headers[0].1);
    assert_eq!(request.header("openai-organization"), "org-1");
    assert_eq!(request.header("idempotency-key"), "key-1");
    assert_eq!(request.header("authorization"), "Bearer sk-upstream");
    assert!(!request.headers.contains_key("x-personaroute-user"));
    assert!(!request.headers.contains_key("te"));
    Ok(())
}

#[tokio::test]
async fn a_concrete_model_passes_straight_through_with_the_clients_own_key() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let body = json!({"model": "premium", "messages": [{"role": "user", "content": "hi"}]});
    let headers = [("authorization", "Bearer client")];
    let answer = wire::post(gateway.address, "/v1/chat/completions", &headers, &body).await?;
    assert_eq!(answer.header("x-personaroute-model"), "premium");
    assert_eq!(answer.header("x-personaroute-user-state"), "");
    let request = &premium.requests()[0];
    assert_eq!(request.json()["model"], "premium-1");
    assert_eq!(request.header("authorization"), "Bearer client");
    Ok(())
}

#[tokio::test]
async fn the_other_openai_paths_pass_through_likewise() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    for (path, body) in [
        ("/v1/completions", json!({"model": "auto", "prompt": "hi"})),
        ("/v1/responses", json!({"model": "auto", "input": "hi"})),
        ("/v1/embeddings", json!({"model": "cheap", "input": "hi"})),
    ] {
        let answer = wire::post(gateway.address, path, &[], &body).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let requests = cheap.requests();
        let last = requests.last().expect("a request");
        assert_eq!((last.path.as_str(), &last.json()["model"]), (path, &json!("cheap-1")));
    }
    Ok(())
}

#[tokio::test]
async fn the_models_are_listed_with_the_routed_ones_first() -> Result<()> {
    let (cheap, premium) = (FakeUpstream::always(Reply::chat("ok"))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, "")?;
    let list = wire::get(gateway.address, "/v1/models").await?.json();
    let ids: Vec<_> = list["data"].as_array().into_iter().flatten().map(|model| model["id"].clone()).collect();
    assert_eq!(ids, ["auto", "cheap", "premium"]);
    assert_eq!(wire::get(gateway.address, "/v1/models/premium").await?.json()["owned_by"], "b");
    assert_eq!(wire::get(gateway.address, "/v1/models/gone").await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn an_upstreams_refusal_comes_back_with_its_status_headers_and_body() -> Result<()> {
    let error = json!({"error": {"message": "slow down", "type": "rate_limit_error", "code": "x"}});
    let limited = FakeUpstream::always(Reply::json(429, &error).with_header("retry-after", "17"))?;
    let premium = FakeUpstream::always(Reply::json(400, &error))?;
    let gateway = TestGateway::between(&limited, &premium, "")?;
    let body = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &body("cheap")).await?;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "17"));
    assert_eq!(answer.json(), error);
    assert_eq!(wire::post(gateway.address, "/v1/chat/completions", &[], &body("premium")).await?.status, 400);
    Ok(())
}
