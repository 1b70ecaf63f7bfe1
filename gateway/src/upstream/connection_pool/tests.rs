//! Tests of the pool against a server on loopback that writes fixed responses.

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::upstream::http_client;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

async fn upstream() -> (TcpListener, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/v1/x?a=b", listener.local_addr().unwrap()).parse().unwrap();
    (listener, uri)
}

fn pool() -> ConnectionPool {
    pool_with(8, IDLE_TIMEOUT)
}

fn pool_with(max_idle: usize, idle_timeout: Duration) -> ConnectionPool {
    let connector = Connector::new(&http_client::tls().unwrap(), Duration::from_secs(30));
    ConnectionPool(Arc::new(Pool { connector, max_idle, idle_timeout, connections: Mutex::default() }))
}

impl ConnectionPool {
    fn idle(&self) -> usize {
        self.lock().idle.len()
    }
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
    assert_eq!(pool.idle(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_is_replaced() {
    let (listener, uri) = upstream().await;
    // Closes from another thread, while this one waits and so cannot notice.
    let (close, closed) = (std::sync::mpsc::channel::<()>(), std::sync::mpsc::channel::<()>());
    let listener = listener.into_std().unwrap();
    listener.set_nonblocking(false).unwrap();
    let answering = std::thread::spawn(move || {
        let answer = || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"\r\n\r\nask") {
                let mut byte = [0];
                assert_eq!(std::io::Read::read(&mut stream, &mut byte).unwrap(), 1);
                text.push(byte[0]);
            }
            std::io::Write::write_all(&mut stream, ANSWER).unwrap();
            stream
        };
        let first = answer();
        close.1.recv().unwrap();
        drop(first);
        closed.0.send(()).unwrap();
        answer();
    });
    let pool = pool();
    assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
    let used = Instant::now();
    while used.elapsed() < 2 * http1::RECENT {
        std::hint::spin_loop();
    }
    close.0.send(()).unwrap();
    closed.1.recv().unwrap();
    assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
    answering.join().unwrap();
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
    assert_eq!(pool.idle(), 0);
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
    assert_eq!(pool.idle(), 0);
}

#[tokio::test]
async fn an_expired_connection_is_not_used() {
    let (listener, uri) = upstream().await;
    let pool = pool_with(8, Duration::ZERO);
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
    tokio::join!(answering, asking);
}

#[tokio::test]
async fn a_connection_stays_on_its_runtime() {
    let (listener, uri) = upstream().await;
    let pool = pool();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        stream
    };
    let asking = async { assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi") };
    let (_open, ()) = tokio::join!(answering, asking);
    let elsewhere = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(pool.checkout(elsewhere.handle().id()).is_none());
    assert!(pool.checkout(Handle::current().id()).is_some());
    elsewhere.shutdown_background();
}

#[tokio::test]
async fn more_idle_connections_than_allowed_are_closed() {
    let (listener, uri) = upstream().await;
    let pool = pool_with(1, IDLE_TIMEOUT);
    let answering = async {
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(listener.accept().await.unwrap().0);
        }
        for stream in &mut open {
            asked(stream).await;
            stream.write_all(ANSWER).await.unwrap();
        }
        open
    };
    let ask = || async { assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi") };
    let (mut open, ..) = tokio::join!(answering, ask(), ask(), ask());
    assert_eq!(pool.idle(), 1);
    let mut closed = 0;
    for stream in &mut open {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut byte)).await;
        closed += usize::from(matches!(read, Ok(Ok(0))));
    }
    assert_eq!(closed, 2);
}

#[tokio::test]
async fn what_nobody_uses_is_swept_away() {
    let (listener, uri) = upstream().await;
    let pool = pool_with(8, Duration::ZERO);
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        asked(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        assert_eq!(asked(&mut stream).await, "", "the connection ends without another request");
    };
    let asking = async {
        assert_eq!(whole(pool.send(request(&uri)).await.unwrap()).await, "hi");
        assert_eq!(pool.idle(), 1);
        pool.close_idle();
    };
    tokio::join!(answering, asking);
    assert_eq!(pool.idle(), 0);
}
