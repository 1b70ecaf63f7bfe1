//! Reads on after a refusal, so that a client that is still sending its body can read the response.
//!
//! If the connection closed on unread data, the client would see a broken pipe or a reset, and send everything again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

/// A client that sends nothing for this long waits for the response.
const PAUSE: Duration = Duration::from_millis(100);

/// A request body that is returned when it is dropped before its end.
#[derive(Debug)]
pub struct ReturnedBody {
    body: Option<Incoming>,
    /// Where it is returned; none drops it.
    unread: Option<UnreadBody>,
}

/// Where the bodies of a connection are returned; over HTTP/1 there is one request at a time.
#[derive(Debug, Clone, Default)]
pub(super) struct UnreadBody(Arc<Mutex<Returned>>);

#[derive(Debug, Default)]
enum Returned {
    /// A body that comes back is dropped.
    #[default]
    Unwanted,
    /// A request is served, and its body has not come back.
    Awaited,
    /// The body came back.
    Here(Incoming),
}

impl ReturnedBody {
    /// Returns `body`, which is not returned to anyone.
    pub(super) fn unwatched(body: Incoming) -> Self {
        Self { body: Some(body), unread: None }
    }
}

impl UnreadBody {
    /// Returns `body`, which comes back here when it is dropped before its end.
    pub(super) fn watch(&self, body: Incoming) -> ReturnedBody {
        self.replace(Returned::Awaited);
        ReturnedBody { body: Some(body), unread: Some(self.clone()) }
    }

    /// Drops the body when it comes back, or now.
    pub(super) fn release(&self) {
        self.replace(Returned::Unwanted);
    }

    /// Reads and discards what is left while it arrives, at most `most` bytes within `time`.
    pub(super) async fn discard(&self, most: usize, time: Duration) {
        let Returned::Here(mut body) = self.replace(Returned::Unwanted) else {
            return;
        };
        let reading = async {
            let mut read = 0_usize;
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, body.frame()).await {
                read = read.saturating_add(frame.data_ref().map_or(0, Bytes::len));
                if read > most {
                    return;
                }
            }
        };
        // Past the limits the response is sent all the same, and the connection closes.
        let _expired = tokio::time::timeout(time, reading).await;
    }

    fn replace(&self, returned: Returned) -> Returned {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), returned)
    }

    fn put_back(&self, body: Incoming) {
        let mut returned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*returned, Returned::Awaited) {
            *returned = Returned::Here(body);
        }
    }
}

impl Drop for ReturnedBody {
    fn drop(&mut self) {
        if let Some(unread) = &self.unread
            && let Some(body) = self.body.take().filter(|body| !body.is_end_stream())
        {
            unread.put_back(body);
        }
    }
}

impl HttpBody for ReturnedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(ctx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
