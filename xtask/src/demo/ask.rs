//! A minimal HTTP client for the demo: one request per connection.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::parent_id;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Time between two readiness checks.
const PAUSE: Duration = Duration::from_millis(50);

/// Far longer than any observed start.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until the gateway is ready; fails if it exits first.
pub(super) fn wait_until_ready(listen: SocketAddr) -> Result<()> {
    let gateway = parent_id();
    let started = Instant::now();
    while !is_ready(listen) {
        if parent_id() != gateway {
            bail!("the gateway exited before it was ready");
        }
        if started.elapsed() > TIMEOUT {
            bail!("the gateway was not ready within {} seconds", TIMEOUT.as_secs());
        }
        std::thread::park_timeout(PAUSE);
    }
    Ok(())
}

fn is_ready(listen: SocketAddr) -> bool {
    exchange(listen, &format!("GET /readyz HTTP/1.1\r\nhost: {listen}\r\nconnection: close\r\n\r\n"))
        .is_ok_and(|reply| reply.starts_with("HTTP/1.1 200"))
}

/// Sends a chat completion request and returns the LLM that was chosen.
pub(super) fn chosen(listen: SocketAddr, body: &Value) -> Result<String> {
    let body = body.to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {listen}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let reply = exchange(listen, &request)?;
    header(&reply, "x-personaroute-model").with_context(|| format!("the gateway's response: {reply}"))
}

fn exchange(listen: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(listen).with_context(|| format!("connecting to {listen}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).context("the connection")?;
    stream.write_all(request.as_bytes()).context("sending")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).context("receiving")?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn header(reply: &str, name: &str) -> Option<String> {
    let head = reply.split("\r\n\r\n").next()?;
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_in_any_case() {
        let reply = "HTTP/1.1 200 OK\r\nX-PersonaRoute-Model: GPT-4o\r\n\r\nx-other: body";
        assert_eq!(header(reply, "x-personaroute-model").as_deref(), Some("GPT-4o"));
        assert_eq!(header(reply, "x-other"), None);
    }
}
