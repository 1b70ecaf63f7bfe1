//! Sizes, counts and timeouts, as written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{duration::HumanDuration, located::Located, size::ByteSize};

/// Sizes and counts.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most bytes of a request body.
    pub body: Located<ByteSize>,
    /// Most bytes of a request head; at least 8KiB.
    pub head: Located<ByteSize>,
    /// Most headers of a request.
    pub headers: Located<usize>,
    /// Most bytes of a response that are buffered: one event of a stream, or a response to translate.
    pub response_buffer: Located<ByteSize>,
    /// Most open connections; further ones wait in the kernel's queue.
    pub connections: Located<usize>,
    /// Most idle connections that are kept to one upstream; of more, the one that was used first is closed.
    pub idle_connections: Located<usize>,
    /// Most requests in flight; one more is refused with 503.
    pub requests: Located<usize>,
    /// Most requests of one `/v1/route` batch.
    pub batch: Located<usize>,
    /// Most characters of a user id.
    pub user_chars: Located<usize>,
    /// Output tokens that are reserved for a request that sets no maximum, until the upstream reports its usage.
    pub assumed_output: u32,
    /// Most users whose spending is tracked, and most rows of `/usage`.
    pub max_tracked_users: Located<usize>,
    /// Most ids of responses and of their items whose endpoint is remembered, so that later requests can refer to them.
    pub response_ids: Located<usize>,
    /// Most bytes of translated responses that are kept in memory, so that later requests can refer to them.
    pub stored_responses: Located<ByteSize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A handful of images as data URLs; OpenAI's own limit for a request is of this order.
            body: ByteSize(20 << 20).into(),
            head: ByteSize(64 << 10).into(),
            headers: 100.into(),
            // An image in one event takes some MiB.
            response_buffer: ByteSize(32 << 20).into(),
            connections: 10_000.into(),
            // A few hundred requests at a time; each keeps some ten KB.
            idle_connections: 256.into(),
            requests: 4_096.into(),
            batch: 4_096.into(),
            user_chars: 256.into(),
            assumed_output: 1_000,
            // About 20 MB when all are used.
            max_tracked_users: 100_000.into(),
            // About 20 MB when all are used.
            response_ids: 200_000.into(),
            stored_responses: ByteSize(64 << 20).into(),
        }
    }
}

/// How long each phase may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// A client sending the head of a request, from its first byte; also the first byte of a connection.
    pub header_read: Located<HumanDuration>,
    /// A connection between two requests.
    pub keep_alive: Located<HumanDuration>,
    /// A client sending the whole body.
    pub body_read: Located<HumanDuration>,
    /// A client that has stopped reading its response.
    pub write: Located<HumanDuration>,
    /// A client making a TLS connection.
    pub handshake: Located<HumanDuration>,
    /// Connecting to an upstream, TLS included.
    pub connect: Located<HumanDuration>,
    /// From sending a request to an upstream until the first byte of its response body.
    pub first_byte: Located<HumanDuration>,
    /// Between two chunks of a response.
    pub idle: Located<HumanDuration>,
    /// The whole request.
    pub total: Located<HumanDuration>,
    /// Running requests at shutdown.
    pub drain: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let secs = |secs| HumanDuration::secs(secs).into();
        Self {
            header_read: secs(10),
            // Longer than proxies in front keep a connection, which is 60 s by default in most.
            keep_alive: secs(75),
            body_read: secs(60),
            write: secs(60),
            handshake: secs(10),
            connect: secs(5),
            // A response that is not streamed arrives at once, so that its first byte may take minutes.
            first_byte: secs(120),
            idle: secs(60),
            // As long as OpenAI's clients wait.
            total: secs(600),
            drain: HumanDuration::secs(30),
        }
    }
}
