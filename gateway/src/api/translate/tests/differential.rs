//! The same conversation in every client format, over upstreams of both kinds, has the same meaning: six ways, whole and streamed.

mod answer;
mod conversation;

use proptest::prelude::*;
use serde_json::Value;

use self::{
    answer::Heard,
    conversation::{Conversation, Said},
};
use crate::api::{
    Wire,
    translate::{Dialect, Format, Translation},
};

/// The ways through the gateway: a client's format, and the upstream's.
const WAYS: [(Wire, Format); 6] = [
    (Wire::Chat, Format::Openai),
    (Wire::Messages, Format::Openai),
    (Wire::Responses, Format::Openai),
    (Wire::Chat, Format::Anthropic),
    (Wire::Messages, Format::Anthropic),
    (Wire::Responses, Format::Anthropic),
];

/// Returns the request as an upstream reads it; one of the upstream's own format is passed on.
fn sent(wire: Wire, to: Format, request: &Value) -> Value {
    if is_native(wire, to) {
        return request.clone();
    }
    let translation = Translation::of(wire, to, request.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&translation.body("m", Dialect::default())).unwrap()
}

fn is_native(wire: Wire, to: Format) -> bool {
    matches!((wire, to), (Wire::Chat, Format::Openai) | (Wire::Messages, Format::Anthropic))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn upstreams_read_the_same_conversation(conversation in conversation::some()) {
        let meant: Vec<Said> = conversation.meaning();
        for (wire, to) in WAYS {
            let read = conversation::read(to, &sent(wire, to, &conversation.request(wire)));
            prop_assert_eq!(&read, &meant, "{} to {:?}", wire.as_str(), to);
        }
    }

    #[test]
    fn clients_read_the_same_answer_whole_and_streamed(answer in answer::some(), size in 1_usize..200) {
        let meant: Heard = answer.meaning();
        for (wire, to) in WAYS {
            let whole = answer.whole(to);
            let stream = answer.stream(to);
            let (whole, stream) = if is_native(wire, to) {
                (whole, stream)
            } else {
                let request = Conversation::opening().request(wire).to_string();
                let translation = Translation::of(wire, to, request.as_bytes()).unwrap();
                let whole = translation.response(whole.as_bytes(), "m").unwrap();
                let mut translator = translation.stream(1 << 20, "m");
                let pieces = stream.as_bytes().chunks(size);
                let text: String = pieces.map(|piece| translator.push(bytes::Bytes::copy_from_slice(piece))).collect();
                (String::from_utf8(whole.to_vec()).unwrap(), text + &translator.finish())
            };
            prop_assert_eq!(&answer::heard(wire, &whole), &meant, "{} from {:?}, whole", wire.as_str(), to);
            prop_assert_eq!(&answer::heard_stream(wire, &stream), &meant, "{} from {:?}, streamed", wire.as_str(), to);
        }
    }
}
