//! Reads the inputs of tool calls as the text in which they are written, so that they keep their bytes.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The inputs of the blocks of one message, by position.
#[derive(Debug, Default)]
pub(super) struct Inputs<'a>(Vec<Option<&'a str>>);

impl<'a> Inputs<'a> {
    /// Reads the inputs of the blocks of the message `body`.
    pub(super) fn of_message(body: &'a str) -> Self {
        serde_json::from_str::<Message<'a>>(body).map(|message| Self::of(&message)).unwrap_or_default()
    }

    /// Returns the input of block `idx`; none if it has none.
    pub(super) fn get(&self, idx: usize) -> Option<&'a str> {
        self.0.get(idx).copied().flatten()
    }

    fn of(message: &Message<'a>) -> Self {
        let blocks: Vec<&RawValue> =
            message.content.and_then(|content| serde_json::from_str(content.get()).ok()).unwrap_or_default();
        let input = |block: &&'a RawValue| serde_json::from_str::<Block<'a>>(block.get()).ok()?.input;
        Self(blocks.iter().map(|block| input(block).map(RawValue::get)).collect())
    }
}

/// The inputs of all turns of a messages request.
#[derive(Debug, Default)]
pub(super) struct BlockInputs<'a>(Vec<Inputs<'a>>);

impl<'a> BlockInputs<'a> {
    /// Reads the inputs of the messages request `body`.
    pub(super) fn of(body: &'a str) -> Self {
        let turns = serde_json::from_str::<Request<'a>>(body).map(|request| request.messages).unwrap_or_default();
        let message = |turn: &'a RawValue| {
            serde_json::from_str(turn.get()).map(|message| Inputs::of(&message)).unwrap_or_default()
        };
        Self(turns.into_iter().map(message).collect())
    }

    /// Returns the inputs of turn `idx`.
    pub(super) fn turn(&self, idx: usize) -> &Inputs<'a> {
        const NONE: &Inputs<'static> = &Inputs(Vec::new());
        self.0.get(idx).unwrap_or(NONE)
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow, default)]
    messages: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_found_by_turn_and_block_as_they_are_written() {
        let body = r#"{"messages": [{"content": "hi"}, {"content": [{"type": "text"}, {"input": {"n": 1.0, "b": 12345678901234567890123}}]}]}"#;
        let inputs = BlockInputs::of(body);
        assert_eq!(inputs.turn(1).get(1), Some(r#"{"n": 1.0, "b": 12345678901234567890123}"#));
        assert_eq!((inputs.turn(0).get(0), inputs.turn(1).get(0), inputs.turn(7).get(0)), (None, None, None));
        assert_eq!(Inputs::of_message(r#"{"content": [{"input": {}}]}"#).get(0), Some("{}"));
    }
}
