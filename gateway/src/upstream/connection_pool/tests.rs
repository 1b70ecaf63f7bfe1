//! The connection pool against an upstream on loopback.

use std::future::poll_fn;

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

use super::*;

/// How long a step of a test may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

async fn upstream() -> (TcpListener, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v1/x?a=b", listener.local_addr().unwrap()).parse().unwrap();
    (listener, uri)
}

fn pool() -> ConnectionPool {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    ConnectionPool::new(connector, Duration::from_secs(50))
}

fn request(uri: &Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(Bytes::from_static(b"ask")));
    *request.uri_mut() = uri.clone();
    request
}

/// Reads one request, whose body is `ask`; what came, or nothing at the connection's end.
async fn asked(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while !text.ends_with(b"\r\n\r\nask") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(text).unwrap()
}

async fn whole(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (listener, uri) = upstream().await;
    let (pool, host) = (pool(), uri.authority().unwrap().to_string());
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heads = Vec::new();
        for _ in 0..3 {
            heads.push(asked(&mut stream).await);
            stream.write_all(ANSWER).await.unwrap();
        }
        (heads, stream)
    };
    let asking = async {
        for _ in 0..2 {
            assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
        }
        // An answer that nobody reads keeps its connection where all of it has come.
        drop(pool.send(request(&uri)).await.unwrap());
    };
    let ((heads, _open), ()) = tokio::join!(answering, asking);
    assert!(heads.iter().all(|head| head.contains(&format!("host: {host}\r\n"))), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("/v1/x?a=b HTTP/1.1\r\n")), "{heads:?}");
    assert_eq!(pool.idle.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_waited_is_replaced() {
    let (listener, uri) = upstream().await;
    let (pool, kept) = (pool(), Notify::new());
    let answering = async {
        let (mut first, _) = listener.accept().await.unwrap();
        asked(&mut first).await;
        first.write_all(ANSWER).await.unwrap();
        kept.notified().await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        asked(&mut second).await;
        second.write_all(ANSWER).await.unwrap();
    };
    let asking = async {
        assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
        kept.notify_one();
        let is_closed = poll_fn(|ctx| {
            // Polling for an idle connection registers no waker.
            ctx.waker().wake_by_ref();
            pool.idle.lock().unwrap()[0].poll_idle()
        });
        timeout(LIMIT, is_closed).await.expect("the end of the connection arrives");
        assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
    };
    tokio::join!(answering, asking);
}

#[tokio::test]
async fn who_drops_an_answer_closes_its_connection() {
    let (listener, uri) = upstream().await;
    let pool = pool();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await.unwrap();
        assert_eq!(asked(&mut stream).await, "", "the connection ends without another request");
    };
    let asking = async {
        let mut body = pool.send(request(&uri)).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hi");
        drop(body);
    };
    tokio::join!(answering, asking);
    assert!(pool.idle.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error() {
    let (listener, uri) = upstream().await;
    let pool = pool();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").await.unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        drop(stream);
    };
    let asking = async {
        assert!(pool.send(request(&uri)).await.unwrap().into_body().collect().await.is_err());
        assert!(matches!(pool.send(request(&uri)).await, Err(Failure::Closed(_))));
    };
    tokio::join!(answering, asking);
    assert!(pool.idle.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connections_end_when_nobody_uses_them_and_stay_with_their_reactor() {
    let (listener, uri) = upstream().await;
    let pool = ConnectionPool { keep: Duration::ZERO, ..pool() };
    let answering = async {
        let mut open = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked(&mut stream).await;
            stream.write_all(ANSWER).await.unwrap();
            open.push(stream);
        }
        open
    };
    let asking = async {
        for _ in 0..2 {
            assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
        }
    };
    let (_open, ()) = tokio::join!(answering, asking);
    let to = uri.authority().unwrap();
    let pool = ConnectionPool { keep: Duration::from_secs(50), ..pool };
    let elsewhere = pool.clone();
    let (there, own) = std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            serve_on(7);
            elsewhere.checkout(to).is_some()
        });
        (taking.join().unwrap(), pool.checkout(to).is_some())
    });
    assert!(!there && own);
}

#[tokio::test]
async fn what_nobody_uses_is_swept_away() {
    let (listener, uri) = upstream().await;
    let pool = ConnectionPool { keep: Duration::ZERO, ..pool() };
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        assert_eq!(asked(&mut stream).await, "", "the connection ends without another request");
    };
    let asking = async {
        assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
        assert_eq!(pool.idle.lock().unwrap().len(), 1);
        pool.close_idle();
    };
    tokio::join!(answering, asking);
    assert!(pool.idle.lock().unwrap().is_empty());
}
