//! Facts about downloads, from a hub on loopback.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::*;

const BODY: &str = "user_id,query\n1,hello\n";

/// A hub with one large file, which lies on another host, and one small one, which lies on another path. Both hosts remember
/// what they were asked.
struct Fake {
    endpoint: String,
    requests: Arc<Mutex<Vec<String>>>,
    storage: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Serves the large file under this hash.
    fn serve(hash: &str) -> Self {
        let (elsewhere, storage) = host("", hash);
        let (endpoint, requests) = host(&elsewhere, hash);
        Self { endpoint, requests, storage }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Starts a host, and returns its URL and what it is asked; it redirects to the host `storage`.
fn host(storage: &str, hash: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (log, storage, hash) = (Arc::clone(&requests), storage.to_owned(), hash.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &log, (&storage, &hash));
        }
    });
    (url, requests)
}

/// Answers one request with status, headers and body; what it was asked for is logged with the first byte wanted.
fn answer(mut stream: TcpStream, log: &Mutex<Vec<String>>, (storage, hash): (&str, &str)) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(request)) = lines.next() else { return };
    let headers: Vec<String> = lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let value = |name: &str| headers.iter().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
    let range = value("range: bytes=");
    let path = request.split(' ').nth(1).unwrap();
    let range = range.map(|range| {
        let (first, last) = range.split_once('-').unwrap();
        (first.parse::<usize>().unwrap(), last.parse::<usize>().ok())
    });
    let asked = value("authorization: ").map_or_else(String::new, |token| format!(" {token}"));
    log.lock().unwrap().push(format!("{path} {}{asked}", range.map_or(0, |(first, _)| first)));
    let listing = r#"{"siblings": [{"rfilename": "d/a b.csv"}, {"rfilename": "small.json"}], "sha": "c0ffee"}"#;
    let (status, more, body) = match path {
        "/api/datasets/o/n/revision/main" => ("200 OK", String::new(), listing),
        "/datasets/o/n/resolve/main/d/a%20b.csv" => {
            let headers = format!("location: {storage}/blob\r\nx-linked-etag: \"{hash}\"\r\n");
            ("302 Found", headers, "")
        }
        "/blob" => ("206 Partial Content", String::new(), BODY),
        "/datasets/o/n/resolve/main/small.json" => {
            ("307 Temporary Redirect", "location: /small?v=1\r\n".to_owned(), "")
        }
        "/small?v=1" => ("206 Partial Content", "etag: W/\"5ma11\"\r\n".to_owned(), "{}"),
        "/api/datasets/o/secret/revision/main" => ("401 Unauthorized", String::new(), ""),
        _ => ("404 Not Found", String::new(), ""),
    };
    let part = match range.filter(|_| status.starts_with("206")) {
        Some((first, last)) => body.get(first..last.map_or(body.len(), |last| last + 1)).unwrap_or_default(),
        None => body,
    };
    let length = body.len();
    let first = range.map_or(0, |(first, _)| first);
    let last = (first + part.len()).saturating_sub(1);
    let reply = format!(
        "HTTP/1.1 {status}\r\n{more}x-repo-commit: c0ffee\r\ncontent-range: bytes {first}-{last}/{length}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{part}",
        part.len()
    );
    // A client that only wants the headers may be gone already.
    let _sent = stream.write_all(reply.as_bytes());
}

fn args(out: &Path, dataset: &str) -> Download {
    let (dataset, revision) = (dataset.to_owned(), "main".to_owned());
    Download { out: out.to_owned(), dataset, revision, timeout: 60, quiet: true }
}

fn call(endpoint: &str, args: &Download) -> Result<()> {
    fetch(args, endpoint, None)
}

fn hash() -> String {
    Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_are_fetched_through_redirects_and_not_twice() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Fake::serve(&hash());
    call(&hub.endpoint, &args(folder.path(), "o/n")).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("d/a b.csv")).unwrap(), BODY);
    assert_eq!(std::fs::read_to_string(folder.path().join("small.json")).unwrap(), "{}");
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["d", "small.json"]);
    std::fs::write(folder.path().join("small.json"), "[]").unwrap();
    call(&hub.endpoint, &args(folder.path(), "o/n")).unwrap();
    // A file of the right size is there, so the second call leaves it alone.
    assert_eq!(std::fs::read_to_string(folder.path().join("small.json")).unwrap(), "[]");
}

#[test]
fn a_cut_file_is_fetched_from_where_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let partial = folder.path().join(".hub");
    std::fs::create_dir_all(&partial).unwrap();
    std::fs::write(partial.join(format!("{}.part", hash())), &BODY[..9]).unwrap();
    let hub = Fake::serve(&hash());
    call(&hub.endpoint, &args(folder.path(), "o/n")).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("d/a b.csv")).unwrap(), BODY);
    assert_eq!(*hub.storage.lock().unwrap(), ["/blob 0", "/blob 9"]);
}

#[test]
fn a_file_with_another_hash_is_not_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Fake::serve(&"0".repeat(64));
    let error = format!("{:#}", call(&hub.endpoint, &args(folder.path(), "o/n")).unwrap_err());
    assert!(error.contains("fetch d/a b.csv: expected sha256 0000"), "{error}");
    assert!(!folder.path().join("d/a b.csv").exists());
    // Nothing of it is kept that the next call would resume.
    assert_eq!(std::fs::read_dir(folder.path().join(".hub")).unwrap().count(), 0);
}

#[test]
fn what_the_hub_refuses_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Fake::serve("");
    let error = |dataset| format!("{:#}", call(&hub.endpoint, &args(folder.path(), dataset)).unwrap_err());
    assert!(error("o/other").starts_with("list the files of datasets/o/other: not found: "), "{}", error("o/other"));
    assert!(error("o/secret").contains("access denied; HF_TOKEN may name a token"), "{}", error("o/secret"));
}

#[test]
fn a_token_is_shown_to_the_hub_and_to_no_other_host() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Fake::serve(&hash());
    fetch(&args(folder.path(), "o/n"), &hub.endpoint, Some("t0ken".to_owned())).unwrap();
    let (asked, stored) = (hub.requests(), hub.storage.lock().unwrap().clone());
    assert!(asked.iter().all(|request| request.ends_with(" bearer t0ken")), "{asked:?}");
    assert!(asked.iter().any(|request| request.starts_with("/small?v=1 ")), "{asked:?}");
    assert_eq!(stored, ["/blob 0", "/blob 0"]);
}

#[test]
fn a_hub_that_redirects_without_end_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = std::thread::spawn(move || {
        let mut streams = listener.incoming().flatten();
        (0..11).for_each(|_| {
            let mut stream = streams.next().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let reply = "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(reply.as_bytes()).unwrap();
        });
    });
    let client = transfer::Client::new(&url, None).unwrap();
    let error = client.get(&format!("{url}/file"), 0, None).err().unwrap();
    assert_eq!(error.to_string(), "the hub redirects more than 10 times");
    count.join().unwrap();
}

#[test]
fn a_hub_that_does_not_answer_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let args = Download { timeout: 1, ..args(folder.path(), "o/n") };
    let error = call(&endpoint, &args).unwrap_err().to_string();
    assert_eq!(error, "no byte from the hub for 1 s: run the command again to go on");
}

#[test]
fn the_hub_cannot_write_outside_the_folder() {
    let out = Path::new("out");
    assert_eq!(target(out, "a/b.csv").unwrap(), out.join("a/b.csv"));
    assert!(["../x", "/etc/x", "a/../../x", "a//x", "c:\\x"].iter().all(|path| target(out, path).is_err()));
}
