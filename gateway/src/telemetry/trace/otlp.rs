//! Spans as OTLP messages: the body of a post to a collector.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{self as proto, ResourceSpans, ScopeSpans, Status, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::{Attribute, Kind, Span};

/// The flag of W3C's trace context: the trace is recorded.
const SAMPLED: u32 = 1;

/// Returns the body of a post with `spans` of the process that `resource` describes.
pub fn encode(resource: &BTreeMap<String, String>, spans: &[Span]) -> Vec<u8> {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let attributes = resource.iter().map(|(key, text)| pair(key, Value::StringValue(text.clone()))).collect();
    let spans = ScopeSpans { scope: Some(scope), spans: spans.iter().map(span).collect(), ..ScopeSpans::default() };
    let resource = Resource { attributes, ..Resource::default() };
    let spans = ResourceSpans { resource: Some(resource), scope_spans: vec![spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![spans] }.encode_to_vec()
}

fn span(span: &Span) -> proto::Span {
    let kind = match span.kind {
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
    };
    // As the conventions ask, the status of a span that did not fail is unset.
    let failed = || Status { code: StatusCode::Error.into(), ..Status::default() };
    proto::Span {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        trace_state: span.state.to_string(),
        parent_span_id: if span.parent == 0 { Vec::new() } else { span.parent.to_be_bytes().to_vec() },
        flags: SAMPLED,
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: span.start,
        end_time_unix_nano: span.end,
        attributes: span.attributes.iter().map(|(name, known)| pair(name, value(known))).collect(),
        status: span.failed.then(failed),
        ..proto::Span::default()
    }
}

fn value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text(text) => Value::StringValue(text.clone()),
        Attribute::Whole(number) => Value::IntValue(*number),
    }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
