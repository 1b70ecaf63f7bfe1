//! Records as bytes: a version, then postcard's encoding.

use serde::{Serialize, de::DeserializeOwned};

/// The version of the records' encoding: the fields of [`super::record`] in their order.
const VERSION: u8 = 1;

/// Returns the bytes of `record`.
pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    // Encoding to memory cannot fail: no record has a sequence of unknown length.
    let body = postcard::to_allocvec(record).unwrap_or_default();
    let mut bytes = Vec::with_capacity(body.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(&body);
    bytes
}

/// Returns the record in `bytes`; none if another version wrote it or it is damaged.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (version, body) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    postcard::from_bytes(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::feedback::Said,
        learning::record::{Origin, Signal, TaskGuess},
        routing::QueryFeatures,
    };

    #[test]
    fn a_record_is_read_back_and_others_are_not() {
        let signal = Signal {
            decision: "dec_1".to_owned(),
            said: Said::Best { best: "a".to_owned(), shown: vec!["a".to_owned(), "b".to_owned()] },
            at: 1,
            received: 2,
            origin: Origin {
                task: Some(TaskGuess { name: "math".to_owned(), probability: 0.5 }),
                features: Some(QueryFeatures::Lexical(vec![1, 70_000])),
                propensity: Some(0.25),
                ..Origin::default()
            },
        };
        let mut bytes = encode(&signal);
        assert_eq!(decode::<Signal>(&bytes), Some(signal));
        bytes[0] = 9;
        assert_eq!(decode::<Signal>(&bytes), None);
        assert_eq!(decode::<Signal>(&[]), None);
        assert_eq!(decode::<Signal>(&[1, 200]), None);
    }
}
