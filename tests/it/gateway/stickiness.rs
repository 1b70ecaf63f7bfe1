//! A conversation keeps its LLM while that pays.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wire::{self, Answer},
};
use serde_json::{Value, json};

use super::test_gateway::{ByPrice, TestGateway, two};

async fn ask(gateway: &TestGateway, headers: &[(&str, &str)], messages: Value) -> Result<Answer> {
    let body = json!({"model": "auto", "user": "ada", "messages": messages});
    wire::post(gateway.address, "/v1/chat/completions", headers, &body).await
}

fn turn(last: &Value) -> Value {
    json!([{"role": "user", "content": "opening"}, {"role": "assistant", "content": null, "tool_calls": []}, last])
}

const DEMANDING: (&str, &str) = ("x-personaroute-preference", "0.9");
const EXPLAIN: (&str, &str) = ("x-personaroute-explain", "1");

fn gateway(upstream: &FakeUpstream, margin: f32) -> Result<TestGateway> {
    let sticky = format!("{{name: auto, stickiness: {{margin: {margin}}}}}");
    TestGateway::start(&two(upstream, upstream, "").replace("{name: auto}", &sticky), ByPrice)
}

#[tokio::test]
async fn a_turn_after_a_tool_goes_on_with_the_same_llm() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = gateway(&upstream, 0.0)?;
    let opening = json!([{"role": "user", "content": "opening"}]);
    assert_eq!(ask(&gateway, &[DEMANDING], opening).await?.header("x-personaroute-model"), "premium");
    let tool = turn(&json!({"role": "tool", "tool_call_id": "1", "content": "42"}));
    let carried = ask(&gateway, &[EXPLAIN], tool).await?;
    assert_eq!(carried.header("x-personaroute-model"), "premium", "though nobody asked for quality this time");
    let told: Value = serde_json::from_str(carried.header("x-personaroute-explain"))?;
    assert_eq!(told["kept"], true);
    let fresh = turn(&json!({"role": "user", "content": "something new"}));
    assert_eq!(ask(&gateway, &[], fresh).await?.header("x-personaroute-model"), "cheap");
    Ok(())
}

#[tokio::test]
async fn a_new_question_keeps_the_llm_within_the_margin() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    for (margin, expected) in [(100.0, "premium"), (1.0, "cheap")] {
        let gateway = gateway(&upstream, margin)?;
        ask(&gateway, &[DEMANDING], json!([{"role": "user", "content": "opening"}])).await?;
        let answer = ask(&gateway, &[], turn(&json!({"role": "user", "content": "and then?"}))).await?;
        assert_eq!(answer.header("x-personaroute-model"), expected, "{margin}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_without_a_user_do_not_share_a_session_of_the_same_name() -> Result<()> {
    // SHA-256 of `team-key` and of `service-key`.
    let keys = "
auth:
  mode: keys
  keys:
    - {name: a, allow_overrides: true, sha256: e5c4224ebc9128d62514e9289e8e299c92872e2590deb3afac3ca0b84afb26a8}
    - {name: b, allow_overrides: true, sha256: bb9c603e81f9aca6dea2f87d00b3d179a97dfd879873bee004e9b62beacbff4e}
";
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let sticky = "{name: auto, stickiness: {margin: 100.0}}";
    let gateway = TestGateway::start(&two(&upstream, &upstream, keys).replace("{name: auto}", sticky), ByPrice)?;
    let opening = json!([{"role": "user", "content": "opening"}]);
    let session = ("x-personaroute-session", "s");
    let team = ("x-api-key", "team-key");
    assert_eq!(
        ask(&gateway, &[team, session, DEMANDING], opening.clone()).await?.header("x-personaroute-model"),
        "premium"
    );
    for (key, expected) in [("service-key", "cheap"), ("team-key", "premium")] {
        let answer = ask(&gateway, &[("x-api-key", key), session], opening.clone()).await?;
        assert_eq!(answer.header("x-personaroute-model"), expected, "{key}");
    }
    Ok(())
}

#[tokio::test]
async fn a_named_session_holds_across_openings_and_an_unnamed_one_does_not() -> Result<()> {
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = gateway(&upstream, 100.0)?;
    let session = ("x-personaroute-session", "s1");
    let say = |text: &str| json!([{"role": "user", "content": text}]);
    ask(&gateway, &[DEMANDING, session], say("one")).await?;
    assert_eq!(ask(&gateway, &[session], say("two")).await?.header("x-personaroute-model"), "premium");
    assert_eq!(ask(&gateway, &[], say("one")).await?.header("x-personaroute-model"), "cheap");
    Ok(())
}
