//! The bound on request bodies, so that tests and batch runs need no socket.

use bytes::Bytes;

use crate::upstream::body::BodyError;

/// A request body.
pub trait RequestBody: hyper::body::Body<Data = Bytes, Error: Into<BodyError>> + Send {}

impl<B: hyper::body::Body<Data = Bytes, Error: Into<BodyError>> + Send> RequestBody for B {}
