//! The official Python clients, unchanged, against the gateway with a fake upstream behind it.

mod openai;
mod anthropic;
mod tools;
mod loops;

use personaroute_harness::upstream::FakeUpstream;

/// A gateway with two LLMs of the default bundle behind one upstream of the given kind.
fn configuration(kind: &str, upstream: &FakeUpstream) -> String {
    let base = upstream.base_url();
    format!(
        "version: 1
listen: 127.0.0.1:0
admin: null
bundle: default
upstreams:
  - {{ name: fake, kind: {kind}, base_url: '{base}', api_key: '${{FAKE_API_KEY}}' }}
models:
  - {{ llm: GPT-4o, upstream: fake, name: the-large-one }}
  - {{ llm: GPT-4o-mini, upstream: fake, name: the-small-one }}
virtual_models:
  - name: auto
"
    )
}
