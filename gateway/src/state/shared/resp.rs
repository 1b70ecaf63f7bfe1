//! Redis's protocol, version 2: what is said, and what is answered.

/// Longest answer that is read; what is asked for is far shorter.
const MOST_BYTES: usize = 1 << 20;

/// Lists in lists of an answer; what is asked for has one.
const MOST_DEPTH: usize = 4;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// A status or a text.
    Text(String),
    /// A number.
    Number(i64),
    /// Nothing.
    Nil,
    /// Several answers.
    List(Vec<Self>),
    /// The store refuses, and says why.
    Error(String),
}

/// The answer is not of this protocol, or longer than anything that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not of Redis's protocol")]
pub struct ProtocolError;

/// Returns the bytes that say `words`.
pub(super) fn encode(words: &[impl AsRef<str>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Returns the answer that `bytes` begin with and its length, or none while it is not there as a whole.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Reply, usize)>, ProtocolError> {
    let mut remaining = bytes;
    match reply(&mut remaining, MOST_DEPTH)? {
        Some(reply) => Ok(Some((reply, bytes.len() - remaining.len()))),
        None if bytes.len() > MOST_BYTES => Err(ProtocolError),
        None => Ok(None),
    }
}

fn reply(remaining: &mut &[u8], depth: usize) -> Result<Option<Reply>, ProtocolError> {
    let Some(budget) = budget(remaining) else { return Ok(None) };
    let (kind, text) = budget.split_at_checked(1).ok_or(ProtocolError)?;
    let text = std::str::from_utf8(text).map_err(|_| ProtocolError)?;
    let number = || text.parse::<i64>().map_err(|_| ProtocolError);
    match kind {
        b"+" => Ok(Some(Reply::Text(text.to_owned()))),
        b"-" => Ok(Some(Reply::Error(text.to_owned()))),
        b":" => Ok(Some(Reply::Number(number()?))),
        b"$" | b"*" if number()? == -1 => Ok(Some(Reply::Nil)),
        b"$" => bulk(remaining, length(number()?)?),
        b"*" => list(remaining, length(number()?)?, depth.checked_sub(1).ok_or(ProtocolError)?),
        _ => Err(ProtocolError),
    }
}

fn list(remaining: &mut &[u8], count: usize, depth: usize) -> Result<Option<Reply>, ProtocolError> {
    let mut items = Vec::new();
    for _ in 0..count {
        match reply(remaining, depth)? {
            Some(item) => items.push(item),
            None => return Ok(None),
        }
    }
    Ok(Some(Reply::List(items)))
}

fn bulk(remaining: &mut &[u8], length: usize) -> Result<Option<Reply>, ProtocolError> {
    let Some((text, after)) = remaining.split_at_checked(length) else { return Ok(None) };
    let Some((end, after)) = after.split_at_checked(2) else { return Ok(None) };
    if end != b"\r\n" {
        return Err(ProtocolError);
    }
    *remaining = after;
    Ok(Some(Reply::Text(String::from_utf8(text.to_vec()).map_err(|_| ProtocolError)?)))
}

fn length(number: i64) -> Result<usize, ProtocolError> {
    usize::try_from(number).ok().filter(|length| *length <= MOST_BYTES).ok_or(ProtocolError)
}

/// Takes the budget that `remaining` begins with, if it is there as a whole.
fn budget<'a>(remaining: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = remaining.windows(2).position(|pair| pair == b"\r\n")?;
    let (budget, after) = remaining.split_at_checked(end)?;
    *remaining = after.get(2..)?;
    Some(budget)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_said_by_their_length_in_bytes() {
        assert_eq!(encode(&["GET", "\u{e9}\r\n"]), b"*2\r\n$3\r\nGET\r\n$4\r\n\xc3\xa9\r\n\r\n");
    }

    #[test]
    fn every_kind_of_answer_is_heard() {
        let bytes = b"*5\r\n+OK\r\n:-7\r\n$2\r\nab\r\n$-1\r\n-ERR no\r\nmore";
        let items = [
            Reply::Text("OK".into()),
            Reply::Number(-7),
            Reply::Text("ab".into()),
            Reply::Nil,
            Reply::Error("ERR no".into()),
        ];
        assert_eq!(decode(bytes), Ok(Some((Reply::List(items.to_vec()), bytes.len() - 4))));
        for whole in 0..bytes.len() - 4 {
            assert_eq!(decode(&bytes[..whole]), Ok(None), "{whole} bytes are not all");
        }
    }

    #[test]
    fn what_is_foreign_or_boundless_is_refused() {
        let nested = "*1\r\n".repeat(10);
        for bytes in
            ["HTTP/1.1 400 Bad Request\r\n", ":x\r\n", "$3\r\nabcde", "$-2\r\n", "$99999999999\r\n", "\r\n", &nested]
        {
            assert_eq!(decode(bytes.as_bytes()), Err(ProtocolError), "{bytes}");
        }
        assert_eq!(decode(&vec![b'+'; MOST_BYTES + 1]), Err(ProtocolError));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(prop::sample::select(b"*$:+-01239\r\na".to_vec()), 0..64)) {
            let _heard = decode(&bytes);
        }
    }
}
