//! Traces reach a collector as OpenTelemetry's own messages, and tell what happened without telling what was said.

use std::collections::HashMap;

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as Known,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use personaroute_harness::{
    upstream::{FakeUpstream, Frame, Gate, Reply},
    wait_until, wire,
};
use prost::Message;
use serde_json::{Value, json};

use super::test_gateway::TestGateway;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: &str = "b7ad6b7169203331";

fn collector() -> Result<FakeUpstream> {
    FakeUpstream::always(Reply::json(200, &json!({})))
}

fn traced(collector: &FakeUpstream, more: &str) -> String {
    format!("traces: {{endpoint: 'http://{}', headers: {{x-tenant: t}}, service: gate}}\n{more}", collector.address())
}

fn chat(prompt: &str, stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": prompt}]);
    json!({"model": "auto", "user": "ada", "stream": stream, "max_tokens": 5, "messages": messages})
}

/// The spans of every post, by name, once the gateway has gone.
fn spans(collector: &FakeUpstream) -> Result<HashMap<String, Span>> {
    let mut spans = HashMap::new();
    for post in collector.requests() {
        assert_eq!((post.path.as_str(), post.header("content-type")), ("/v1/traces", "application/x-protobuf"));
        assert_eq!(post.header("x-tenant"), "t");
        for of_resource in ExportTraceServiceRequest::decode(post.body)?.resource_spans {
            let attributes = of_resource.resource.expect("a resource").attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let name = service.and_then(|attribute| attribute.value?.value);
            assert_eq!(
                name,
                Some(Known::StringValue("gate".to_owned())),
                "`traces.service` is the spans' service.name"
            );
            let found = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(found.map(|span| (span.name.clone(), span)));
        }
    }
    Ok(spans)
}

fn text(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|known| known.key == key).and_then(|known| known.value.clone()?.value);
    match value {
        Some(Known::StringValue(text)) => text,
        Some(Known::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn code(span: &Span) -> StatusCode {
    span.status.as_ref().map_or(StatusCode::Unset, |status| status.code())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_request_is_one_trace_with_its_decision_and_each_attempt() -> Result<()> {
    let collector = collector()?;
    let (cheap, premium) =
        (FakeUpstream::always(Reply::json(500, &json!({})))?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&cheap, &premium, &traced(&collector, ""))?;
    let parent = format!("00-{TRACE}-{CLIENT}-01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=1"), ("authorization", "Bearer sk-client")];
    let answer =
        wire::post(gateway.address, "/v1/chat/completions", &headers, &chat("a secret question", false)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    drop(gateway);
    let spans = spans(&collector)?;
    let [root, decide, failed, answered] =
        ["POST /v1/chat/completions", "decide", "chat cheap-1", "chat premium-1"].map(|name| &spans[name]);
    assert_eq!(spans.len(), 4, "{:?}", spans.keys());
    for span in spans.values() {
        assert_eq!((hex(&span.trace_id).as_str(), span.trace_state.as_str()), (TRACE, "vendor=1"));
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= root.end_time_unix_nano);
    }
    assert_eq!((hex(&root.parent_span_id).as_str(), root.kind()), (CLIENT, SpanKind::Server));
    assert_eq!((text(root, "url.path").as_str(), text(root, "url.scheme").as_str()), ("/v1/chat/completions", "http"));
    assert!([decide, failed, answered].iter().all(|span| span.parent_span_id == root.span_id));
    assert_eq!(
        (decide.kind(), failed.kind(), answered.kind()),
        (SpanKind::Internal, SpanKind::Client, SpanKind::Client)
    );
    for (upstream, span) in [(&cheap, failed), (&premium, answered)] {
        let sent = upstream.requests().remove(0);
        assert_eq!(sent.header("traceparent"), format!("00-{TRACE}-{}-01", hex(&span.span_id)));
        assert_eq!(sent.header("tracestate"), "vendor=1");
    }
    assert_eq!((text(failed, "error.type"), failed.status.as_ref().map(|status| status.code)), ("500".into(), Some(2)));
    assert_eq!((answered.status.as_ref(), root.status.as_ref()), (None, None));
    let port = premium.address().port().to_string();
    for (key, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "premium-1"),
        ("server.address", "127.0.0.1"),
        ("server.port", port.as_str()),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(text(answered, key), expected, "{key}");
    }
    assert_eq!(text(root, "gen_ai.request.model"), "auto");
    assert_eq!(text(root, "gen_ai.request.max_tokens"), "5");
    assert_eq!(text(root, "personaroute.llm"), "premium");
    assert_eq!(text(decide, "personaroute.llm"), "cheap");
    for post in collector.requests() {
        // The decision's random id may spell any name of letters up to f.
        let said = String::from_utf8_lossy(&post.body).replace(answer.header("x-personaroute-decision"), "");
        assert!(
            !["secret question", "sk-client", "sk-upstream", "ada"].iter().any(|word| said.contains(word)),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn of_two_that_are_asked_each_has_its_span_and_the_one_that_answers_the_success() -> Result<()> {
    let gate = Gate::closed();
    let held = |gate: &Gate| {
        let mut held = Reply::chat("late");
        held.frames.insert(0, Frame::Wait(gate.clone()));
        FakeUpstream::always(held)
    };
    for is_first_to_win in [true, false] {
        let collector = collector()?;
        let first = held(&gate)?;
        let second = if is_first_to_win { held(&Gate::closed())? } else { FakeUpstream::always(Reply::chat("ok"))? };
        let gateway = TestGateway::between(&first, &second, &traced(&collector, "hedge: {after: 100ms}"))?;
        let hi = chat("hi", false);
        let asked = wire::post(gateway.address, "/v1/chat/completions", &[], &hi);
        let opening = async {
            wait_until!(second.count() == 1);
            if is_first_to_win {
                gate.open();
            }
        };
        let (answer, ()) = tokio::join!(asked, opening);
        assert_eq!(answer?.header("x-personaroute-hedge"), if is_first_to_win { "lost" } else { "won" });
        drop(gateway);
        let spans = spans(&collector)?;
        assert_eq!(spans.len(), 4, "{:?}", spans.keys());
        let [of_first, of_second] = ["chat cheap-1", "chat premium-1"].map(|name| &spans[name]);
        for (upstream, span) in [(&first, of_first), (&second, of_second)] {
            let called = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
            assert_eq!(upstream.requests()[0].header("traceparent"), called);
        }
        let (winner, loser) = if is_first_to_win { (of_first, of_second) } else { (of_second, of_first) };
        assert_eq!((text(winner, "http.response.status_code").as_str(), code(winner)), ("200", StatusCode::Unset));
        match is_first_to_win {
            true => assert_eq!(
                (text(loser, "personaroute.outcome").as_str(), code(loser)),
                ("hedge_cancelled", StatusCode::Unset)
            ),
            false => {
                assert_eq!((text(loser, "error.type").as_str(), code(loser)), ("hedge_timeout", StatusCode::Error));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_decision_that_the_client_did_without_is_no_error() -> Result<()> {
    let (collector, upstream) = (collector()?, FakeUpstream::always(Reply::chat("ok"))?);
    let gateway = TestGateway::between(&upstream, &upstream, &traced(&collector, ""))?;
    let headers = [("x-personaroute-bypass", "1")];
    wire::post(gateway.address, "/v1/chat/completions", &headers, &chat("hi", false)).await?;
    drop(gateway);
    let spans = spans(&collector)?;
    assert_eq!((code(&spans["decide"]), text(&spans["decide"], "error.type").as_str()), (StatusCode::Unset, "None"));
    Ok(())
}

#[tokio::test]
async fn a_streams_tokens_and_model_are_told_when_it_has_ended() -> Result<()> {
    let collector = collector()?;
    let last = json!({"model": "m-2026", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let upstream = FakeUpstream::always(Reply::events(vec![Frame::event(&last), Frame::end()]))?;
    let gateway = TestGateway::between(&upstream, &upstream, &traced(&collector, ""))?;
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &chat("hi", true)).await?;
    assert!(answer.text().ends_with("[DONE]\n\n"), "{}", answer.text());
    drop(gateway);
    let spans = spans(&collector)?;
    let call = &spans["chat cheap-1"];
    for (key, expected) in
        [("gen_ai.response.model", "m-2026"), ("gen_ai.usage.input_tokens", "3"), ("gen_ai.usage.output_tokens", "2")]
    {
        assert_eq!(text(call, key), expected, "{key}");
    }
    assert!(spans["POST /v1/chat/completions"].parent_span_id.is_empty(), "no client said what it is part of");
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_keep_its_trace_is_not_traced_and_its_header_travels_as_it_is() -> Result<()> {
    let collector = collector()?;
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &traced(&collector, ""))?;
    let parent = format!("00-{TRACE}-{CLIENT}-00");
    let headers = [("traceparent", parent.as_str())];
    wire::post(gateway.address, "/v1/chat/completions", &headers, &chat("hi", false)).await?;
    drop(gateway);
    assert_eq!(upstream.requests()[0].header("traceparent"), parent);
    assert_eq!(collector.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_collector_that_refuses_costs_no_request() -> Result<()> {
    let collector = FakeUpstream::always(Reply::json(400, &json!({})))?;
    let upstream = FakeUpstream::always(Reply::chat("ok"))?;
    let gateway = TestGateway::between(&upstream, &upstream, &traced(&collector, ""))?;
    let answer = wire::post(gateway.address, "/v1/chat/completions", &[], &chat("hi", false)).await?;
    assert_eq!(answer.status, 200);
    gateway.metric("personaroute_spans_total{outcome=\"lost\"} 3").await?;
    Ok(())
}
