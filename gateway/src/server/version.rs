//! Detects the HTTP version of a connection from its first bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The preface of every HTTP/2 connection, which is no valid HTTP/1 request (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads from `stream` until the version is known, and returns it with the bytes read; none if the client closed at once.
pub(super) async fn detect(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(Version, Bytes)>> {
    let mut first = BytesMut::with_capacity(PREFACE.len());
    loop {
        let mut room = (&mut *stream).take((PREFACE.len() - first.len()) as u64);
        let count = room.read_buf(&mut first).await?;
        if first.is_empty() {
            return Ok(None);
        }
        if count == 0 || !PREFACE.starts_with(&first) {
            return Ok(Some((Version::Http1, first.freeze())));
        }
        if first.len() == PREFACE.len() {
            return Ok(Some((Version::Http2, first.freeze())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(mut bytes: &[u8]) -> Option<(Version, Bytes)> {
        detect(&mut bytes).await.unwrap()
    }

    #[tokio::test]
    async fn the_first_bytes_determine_the_version_and_are_returned() {
        assert_eq!(of(b"").await, None);
        for request in ["GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n\r\n", "P", "PRI * HTTP/2.0\r\n\r\nXX"] {
            let (version, first) = of(request.as_bytes()).await.unwrap();
            assert_eq!(version, Version::Http1, "{request}");
            assert!(request.as_bytes().starts_with(&first), "{request}");
        }
        let (version, first) = of(&[PREFACE, b"more"].concat()).await.unwrap();
        assert_eq!((version, &*first), (Version::Http2, PREFACE));
    }

    #[tokio::test]
    async fn a_preface_may_arrive_byte_by_byte() {
        let (mut client, mut server) = tokio::io::duplex(1);
        let sending = async { tokio::io::AsyncWriteExt::write_all(&mut client, PREFACE).await };
        let (read, sent) = tokio::join!(detect(&mut server), sending);
        sent.unwrap();
        assert_eq!(read.unwrap().map(|(version, _)| version), Some(Version::Http2));
    }
}
