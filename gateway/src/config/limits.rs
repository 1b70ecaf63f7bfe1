//! Sizes, counts and timeouts.

use std::time::Duration;

use super::{
    error::Rejection,
    range::{bytes, count, duration, value},
    raw,
};

/// Sizes and counts; the keys of the file have the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request body.
    pub body: usize,
    /// Most bytes of a request head.
    pub head: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Most bytes of a response that are buffered.
    pub response_buffer: usize,
    /// Most open connections.
    pub connections: usize,
    /// Most idle connections to one upstream.
    pub idle_connections: usize,
    /// Most requests in flight.
    pub requests: usize,
    /// Most requests of one `/v1/route` batch.
    pub batch: usize,
    /// Most characters of a user id.
    pub user_chars: usize,
    /// Output tokens that are reserved for a request that sets no maximum.
    pub assumed_output: u32,
    /// Most users whose spending is tracked, and most rows of `/usage`.
    pub max_tracked_users: usize,
    /// Most ids of responses and of their items whose endpoint is remembered.
    pub response_ids: usize,
    /// Most bytes of translated responses that are kept.
    pub stored_responses: usize,
}

/// How long each phase may take; the keys of the file have the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// A client sending the head of a request, from its first byte; also the first byte of a connection.
    pub header_read: Duration,
    /// A connection between two requests.
    pub keep_alive: Duration,
    /// A client sending the whole body.
    pub body_read: Duration,
    /// A client that has stopped reading its response.
    pub write: Duration,
    /// A client making a TLS connection.
    pub handshake: Duration,
    /// Connecting to an upstream, TLS included.
    pub connect: Duration,
    /// Until the first byte of an upstream's response body.
    pub first_byte: Duration,
    /// Between two chunks of a response.
    pub idle: Duration,
    /// The whole request.
    pub total: Duration,
    /// Running requests at shutdown; zero cuts them at once.
    pub drain: Duration,
}

/// The smallest buffer through which hyper reads the head of a request.
const SMALLEST_HEAD: usize = 8192;

impl Limits {
    pub(super) fn check(raw: &raw::Limits) -> Result<Self, Rejection> {
        let head = bytes("limits.head", &raw.head)?;
        if head < SMALLEST_HEAD {
            return Err(raw.head.reject(value("limits.head", "must be at least 8KiB", raw.head.value)));
        }
        Ok(Self {
            body: bytes("limits.body", &raw.body)?,
            head,
            headers: count("limits.headers", &raw.headers)?,
            response_buffer: bytes("limits.response_buffer", &raw.response_buffer)?,
            connections: count("limits.connections", &raw.connections)?,
            idle_connections: count("limits.idle_connections", &raw.idle_connections)?,
            requests: count("limits.requests", &raw.requests)?,
            batch: count("limits.batch", &raw.batch)?,
            user_chars: count("limits.user_chars", &raw.user_chars)?,
            assumed_output: raw.assumed_output,
            max_tracked_users: count("limits.max_tracked_users", &raw.max_tracked_users)?,
            response_ids: count("limits.response_ids", &raw.response_ids)?,
            stored_responses: bytes("limits.stored_responses", &raw.stored_responses)?,
        })
    }
}

impl Timeouts {
    pub(super) fn check(raw: &raw::Timeouts) -> Result<Self, Rejection> {
        Ok(Self {
            header_read: duration("timeouts.header_read", &raw.header_read)?,
            keep_alive: duration("timeouts.keep_alive", &raw.keep_alive)?,
            body_read: duration("timeouts.body_read", &raw.body_read)?,
            write: duration("timeouts.write", &raw.write)?,
            handshake: duration("timeouts.handshake", &raw.handshake)?,
            connect: duration("timeouts.connect", &raw.connect)?,
            first_byte: duration("timeouts.first_byte", &raw.first_byte)?,
            idle: duration("timeouts.idle", &raw.idle)?,
            total: duration("timeouts.total", &raw.total)?,
            drain: raw.drain.0,
        })
    }
}
