//! The messages of OTLP, as far as traces need them: `opentelemetry/proto/trace/v1/trace.proto` and what it imports.

use std::collections::BTreeMap;

use prost::Message;

use super::{Attribute, Kind, Span};

/// `ExportTraceServiceRequest`.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<WireSpan>,
}

/// `InstrumentationScope`.
#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

/// `Span`.
#[derive(Clone, PartialEq, Message)]
struct WireSpan {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    /// The W3C flags: 1 is sampled.
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    /// 2 is an error; without one the status is left unset, as the conventions ask.
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "OneOf", tags = "1, 3")]
    value: Option<OneOf>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OneOf {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
}

/// Returns the body of a post that carries `spans` of the process that `resource` describes.
pub fn encode(resource: &BTreeMap<String, String>, spans: &[Span]) -> Vec<u8> {
    let text = |(key, value): (&String, &String)| pair(key, OneOf::Text(value.clone()));
    let scope = Scope { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let scope_spans = ScopeSpans { scope: Some(scope), spans: spans.iter().map(WireSpan::from).collect() };
    let resource = Resource { attributes: resource.iter().map(text).collect() };
    let spans = ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans] };
    Request { resource_spans: vec![spans] }.encode_to_vec()
}

impl From<&Span> for WireSpan {
    fn from(span: &Span) -> Self {
        let value = |value: &Attribute| match value {
            Attribute::Text(text) => OneOf::Text(text.clone()),
            Attribute::Whole(number) => OneOf::Whole(*number),
        };
        Self {
            trace_id: span.trace.to_be_bytes().to_vec(),
            span_id: span.id.to_be_bytes().to_vec(),
            trace_state: span.state.to_string(),
            parent_span_id: if span.parent == 0 { Vec::new() } else { span.parent.to_be_bytes().to_vec() },
            name: span.name.clone(),
            kind: match span.kind {
                Kind::Internal => 1,
                Kind::Server => 2,
                Kind::Client => 3,
            },
            start_time_unix_nano: span.start,
            end_time_unix_nano: span.end,
            attributes: span.attributes.iter().map(|(name, known)| pair(name, value(known))).collect(),
            status: span.failed.then_some(Status { code: 2 }),
            flags: 1,
        }
    }
}

fn pair(key: &str, value: OneOf) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
