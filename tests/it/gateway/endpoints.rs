//! The same LLM at several places: each has its own region, prices and limits.

use anyhow::Result;
use personaroute_harness::{
    upstream::{FakeUpstream, Reply},
    wait_until,
    wire::{self, Answer},
};
use serde_json::json;

use super::test_gateway::{ByPrice, TestGateway, two};

/// Two places of one LLM, with what is said of each, and the constraints of `auto`.
fn places(a: &FakeUpstream, b: &FakeUpstream, facts: [&str; 2], constraints: &str) -> Result<TestGateway> {
    let both = two(a, b, "");
    let upstreams = both.split("models:").next().unwrap_or_default();
    let [of_a, of_b] = facts;
    let configuration = format!(
        "{upstreams}
models:
  - {{llm: cheap, upstream: a, {of_a}}}
  - {{llm: cheap, upstream: b, {of_b}}}
virtual_models:
  - {{name: auto, constraints: {constraints}}}
"
    );
    TestGateway::start(&configuration, ByPrice)
}

async fn ask(gateway: &TestGateway, model: &str, prompt: &str) -> Result<Answer> {
    let body = json!({"model": model, "messages": [{"role": "user", "content": prompt}]});
    wire::post(gateway.address, "/v1/chat/completions", &[], &body).await
}

fn upstreams() -> Result<[FakeUpstream; 2]> {
    Ok([FakeUpstream::always(Reply::chat("a"))?, FakeUpstream::always(Reply::chat("b"))?])
}

#[tokio::test]
async fn a_request_stays_within_the_regions_of_its_virtual_model() -> Result<()> {
    let [us, eu] = upstreams()?;
    let facts = ["input_price: 1, output_price: 2, region: us", "input_price: 1, output_price: 2, region: eu"];
    let gateway = places(&us, &eu, facts, "{regions: [eu]}")?;
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "auto", "hi").await?.status, 200);
    }
    assert_eq!((us.count(), eu.count()), (0, 3));
    Ok(())
}

#[tokio::test]
async fn no_other_region_stands_in_when_the_allowed_one_fails() -> Result<()> {
    let (us, eu) = (FakeUpstream::always(Reply::chat("us"))?, FakeUpstream::always(Reply::json(500, &json!({})))?);
    let facts = ["input_price: 1, output_price: 2, region: us", "input_price: 1, output_price: 2, region: eu"];
    let gateway = places(&us, &eu, facts, "{regions: [eu]}")?;
    assert_eq!(ask(&gateway, "auto", "hi").await?.status, 500);
    assert_eq!((us.count(), eu.count()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_place_that_is_too_dear_is_not_asked() -> Result<()> {
    let [premium, cheap] = upstreams()?;
    let facts = ["input_price: 100, output_price: 200", "input_price: 1, output_price: 2"];
    let gateway = places(&premium, &cheap, facts, "{max_input_price: 10}")?;
    assert_eq!(ask(&gateway, "auto", "hi").await?.status, 200);
    assert_eq!((premium.count(), cheap.count()), (0, 1));
    Ok(())
}

#[tokio::test]
async fn a_prompt_goes_where_it_fits_also_when_the_llm_is_named() -> Result<()> {
    let [small, large] = upstreams()?;
    let facts = [
        "input_price: 1, output_price: 2, context_window: 100",
        "input_price: 1, output_price: 2, context_window: 100000",
    ];
    let gateway = places(&small, &large, facts, "{}")?;
    let long = "word ".repeat(500);
    for model in ["auto", "cheap"] {
        assert_eq!(ask(&gateway, model, &long).await?.status, 200, "{model}");
    }
    assert_eq!((small.count(), large.count()), (0, 2));
    Ok(())
}

#[tokio::test]
async fn an_llm_that_is_named_is_asked_even_where_no_place_seems_to_fit() -> Result<()> {
    let [small, other] = upstreams()?;
    let facts = ["input_price: 1, output_price: 2, context_window: 100"; 2];
    let gateway = places(&small, &other, facts, "{regions: [eu]}")?;
    assert_eq!(ask(&gateway, "cheap", &"word ".repeat(500)).await?.status, 200);
    assert_eq!(small.count() + other.count(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_costs_what_the_place_it_comes_from_takes() -> Result<()> {
    let used = json!({"choices": [], "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}});
    let (broken, answers) =
        (FakeUpstream::always(Reply::json(500, &json!({})))?, FakeUpstream::always(Reply::json(200, &used))?);
    let facts = ["input_price: 1, output_price: 2", "input_price: 7, output_price: 9"];
    let gateway = places(&broken, &answers, facts, "{}")?;
    assert_eq!(ask(&gateway, "auto", "hi").await?.status, 200);
    wait_until!(!wire::get(gateway.admin, "/usage").await?.json()["usage"][0].is_null());
    let booked = wire::get(gateway.admin, "/usage").await?.json()["usage"][0]["cost_usd"].as_f64().unwrap_or_default();
    assert!((booked - 7.0).abs() < 1e-9, "{booked}");
    Ok(())
}
