//! Facts about downloads, from a hub on loopback.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

const BODY: &str = "user_id,query\n1,hello\n";

/// A hub with one large file and one small one; remembers what it was asked.
fn serve(hash: &str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (heard, hash) = (Arc::clone(&asked), hash.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, &heard, &hash);
        }
    });
    (endpoint, asked)
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<String>>, hash: &str) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let request = lines.next().unwrap().unwrap();
    let headers: Vec<String> = lines.map_while(|line| line.ok().filter(|line| !line.is_empty())).collect();
    let range = headers.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let begin: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    heard.lock().unwrap().push(format!("{} {begin}", request.split(' ').nth(1).unwrap()));
    let listing = format!(
        r#"[{{"type":"directory","path":"d"}},{{"type":"file","path":"d/a b.csv","size":{},"lfs":{{"oid":"{hash}"}}}},
        {{"type":"file","path":"small.json","size":2}}]"#,
        BODY.len()
    );
    let (status, more, body) = match request.split(' ').nth(1).unwrap() {
        "/api/datasets/o/n/tree/main?recursive=true" => ("200 OK", "", listing.as_str()),
        "/datasets/o/n/resolve/main/d/a%20b.csv" => ("302 Found", "location: /blob\r\n", ""),
        "/blob" if begin > 0 => ("206 Partial Content", "", &BODY[begin..]),
        "/blob" => ("200 OK", "", BODY),
        "/datasets/o/n/resolve/main/small.json" => ("200 OK", "", "{}"),
        _ => ("404 Not Found", "", ""),
    };
    write!(stream, "HTTP/1.1 {status}\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        .unwrap();
}

fn args(out: &Path, dataset: &str) -> Download {
    Download { out: out.to_owned(), dataset: dataset.to_owned(), revision: "main".to_owned(), quiet: true }
}

fn call(endpoint: &str, args: &Download) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fetch(args, &Hub::new(endpoint, None)?))
}

fn hash() -> String {
    Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn files_are_fetched_through_redirects_and_not_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, asked) = serve(&hash());
    call(&endpoint, &args(folder.path(), "o/n")).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("d/a b.csv")).unwrap(), BODY);
    assert_eq!(std::fs::read_to_string(folder.path().join("small.json")).unwrap(), "{}");
    let before = asked.lock().unwrap().len();
    call(&endpoint, &args(folder.path(), "o/n")).unwrap();
    assert_eq!(asked.lock().unwrap().len(), before + 1);
}

#[test]
fn a_cut_file_is_fetched_from_where_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("d/a b.csv.part"), &BODY[..9]).unwrap();
    let (endpoint, asked) = serve(&hash());
    call(&endpoint, &args(folder.path(), "o/n")).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("d/a b.csv")).unwrap(), BODY);
    assert!(asked.lock().unwrap().contains(&"/blob 9".to_owned()));
}

#[test]
fn a_file_with_another_hash_is_not_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, _) = serve(&"0".repeat(64));
    let error = format!("{:#}", call(&endpoint, &args(folder.path(), "o/n")).unwrap_err());
    assert!(error.contains("fetch d/a b.csv: expected sha256 0000"), "{error}");
    assert!(!folder.path().join("d/a b.csv").exists() && !folder.path().join("d/a b.csv.part").exists());
}

#[test]
fn a_data_set_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, _) = serve("");
    let error = call(&endpoint, &args(folder.path(), "o/other")).unwrap_err().to_string();
    assert!(error.ends_with("/api/datasets/o/other/tree/main?recursive=true: 404 Not Found"), "{error}");
}

#[test]
fn the_hub_cannot_write_outside_the_folder() {
    let out = Path::new("out");
    assert_eq!(target(out, "a/b.csv").unwrap(), out.join("a/b.csv"));
    assert!(["../x", "/etc/x", "a/../../x", "a//x", "c:\\x"].iter().all(|path| target(out, path).is_err()));
}
