//! The fake upstream's server: accepts connections, records requests and sends the frames of the response.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{self, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{SemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Frame, Gate, Recorded, Script, Seen};

/// A response body that is received from a channel; an error breaks the connection. The sending side notices when the
/// client disconnects, even while it waits at a gate.
struct Body(mpsc::Receiver<io::Result<Bytes>>);

impl body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<body::Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|next| next.map(|bytes| bytes.map(body::Frame::data)))
    }
}

/// Serves until the sender of `stopped` is dropped.
pub(super) fn run(listener: TcpListener, seen: &Arc<Seen>, script: &Script, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        tokio::select! {
            () = accept(listener, seen, script) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: TcpListener, seen: &Arc<Seen>, script: &Script) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (seen, script) = (Arc::clone(seen), Arc::clone(script));
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&seen), Arc::clone(&script)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Some tests break the connection on purpose.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>, script: Script) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let path = head.uri.path_and_query().map_or(String::new(), ToString::to_string);
    let recorded = Recorded { method: head.method, path, headers: head.headers, body };
    let before = {
        let mut requests = seen.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(recorded.clone());
        requests.len() - 1
    };
    let reply = script(&recorded, before);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let (sender, body) = mpsc::channel(1);
    #[expect(clippy::disallowed_methods, reason = "the thread's own runtime ends with the upstream, and this with it")]
    tokio::spawn(play(reply.frames, sender, seen));
    Ok(response.body(Body(body)).unwrap_or_else(|_| Response::new(Body(mpsc::channel(1).1))))
}

/// Sends the frames, and counts whether the client read them to the end.
async fn play(frames: Vec<Frame>, sender: mpsc::Sender<io::Result<Bytes>>, seen: Arc<Seen>) {
    for frame in frames {
        let is_taken = match frame {
            Frame::Data(bytes) => sender.send(Ok(bytes)).await.is_ok(),
            Frame::Wait(Gate(permits)) => tokio::select! {
                permit = permits.acquire() => permit.map(SemaphorePermit::forget).is_ok(),
                () = sender.closed() => false,
            },
            Frame::Pause(time) => tokio::select! {
                () = tokio::time::sleep(time) => true,
                () = sender.closed() => false,
            },
            Frame::Cut => {
                // A client that has disconnected does not notice the cut.
                let _ = sender.send(Err(io::Error::other("cut by the test"))).await;
                return;
            }
        };
        if !is_taken {
            seen.unfinished.fetch_add(1, Ordering::AcqRel);
            return;
        }
    }
    seen.finished.fetch_add(1, Ordering::AcqRel);
}
