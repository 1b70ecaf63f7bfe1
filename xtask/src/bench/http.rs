//! As much of HTTP/1.1 as a load needs: messages with a length or in chunks, on connections that stay open.

use std::io::{BufRead, Read as _};

use anyhow::{Context as _, Result, ensure};

/// Reads one message: returns its start line and leaves its body in `body`; none at the connection's end.
pub(super) fn read(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<Option<String>> {
    let mut start = String::new();
    if reader.read_line(&mut start).context("reading")? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    let mut is_chunked = false;
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).context("reading a header")?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().context("content-length")?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = true;
        }
    }
    body.clear();
    if is_chunked {
        chunks(reader, body)?;
    } else {
        take(reader, length, body)?;
    }
    start.truncate(start.trim_end().len());
    Ok(Some(start))
}

fn chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).context("reading a chunk's size")?;
        let size = usize::from_str_radix(line.trim(), 16).with_context(|| format!("a chunk's size: {line:?}"))?;
        take(reader, size, body)?;
        // Each chunk is followed by an empty line, the last one of size zero too.
        line.clear();
        reader.read_line(&mut line).context("reading a chunk's end")?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn take(reader: &mut impl BufRead, bytes: usize, body: &mut Vec<u8>) -> Result<()> {
    let read = reader.take(bytes as u64).read_to_end(body).context("reading a body")?;
    ensure!(read == bytes, "the body ended after {read} of {bytes} bytes");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_body_are_read_to_their_end() {
        let mut text: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc\
            HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
        let mut body = Vec::new();
        assert_eq!(read(&mut text, &mut body).unwrap().unwrap(), "HTTP/1.1 200 OK");
        assert_eq!(body, b"abc");
        assert!(read(&mut text, &mut body).unwrap().is_some());
        assert_eq!(body, b"ab0123456789abcdef");
        assert!(read(&mut text, &mut body).unwrap().is_none());
    }
}
