//! Whatever values a client writes: what an upstream gets passes its vendor's validator, or the client reads which field is refused.

mod request;
mod validator;

use proptest::prelude::*;
use serde_json::Value;

use crate::api::{
    Wire,
    translate::{Dialect, Format, Translation},
};

/// Checks that `request` is refused by a field of its own, or translated to what `to` takes.
fn check(wire: Wire, to: Format, request: &Value) -> Result<(), String> {
    let translation = match Translation::of(wire, to, request.to_string().as_bytes()) {
        Ok(translation) => translation,
        Err(invalid) => {
            let root = invalid.param.split(['[', '.']).next().unwrap_or_default();
            let is_known = request.get(root).is_some();
            return if is_known { Ok(()) } else { Err(format!("refused by a field it lacks: {}", invalid.param)) };
        }
    };
    let written: Value = serde_json::from_slice(&translation.body("m", Dialect::default())).unwrap();
    let faults = match to {
        Format::Anthropic => validator::messages(&written),
        Format::Openai => validator::chat(&written),
    };
    if faults.is_empty() { Ok(()) } else { Err(format!("{} in {written}", faults.join("; "))) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_becomes_of_a_chat_passes_anthropics_validator(request in request::chat()) {
        prop_assert_eq!(check(Wire::Chat, Format::Anthropic, &request), Ok(()), "{}", request);
    }

    #[test]
    fn what_becomes_of_messages_passes_openais_validator(request in request::messages()) {
        prop_assert_eq!(check(Wire::Messages, Format::Openai, &request), Ok(()), "{}", request);
    }

    #[test]
    fn what_becomes_of_a_response_request_passes_both_validators(request in request::responses()) {
        for to in [Format::Anthropic, Format::Openai] {
            prop_assert_eq!(check(Wire::Responses, to, &request), Ok(()), "{}", request);
        }
    }
}

#[test]
fn most_generated_requests_are_translated() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let accepted = (0..200).filter(|_| {
        let request = request::chat().new_tree(&mut runner).unwrap().current();
        Translation::of(Wire::Chat, Format::Anthropic, request.to_string().as_bytes()).is_ok()
    });
    assert!(accepted.count() > 60, "the property above would hold by refusals");
}
