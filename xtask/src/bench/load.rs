//! A bounded load: some connections that stay open, each asking again as soon as it has its answer.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::http;

/// What is asked, how often and by how many.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) body: String,
    pub(super) connections: usize,
    pub(super) requests: usize,
}

/// How long each answer took, sorted, and the whole load.
pub(super) struct Measured {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Load {
    /// Runs the load once.
    pub(super) fn once(&self) -> Result<Measured> {
        let started = Instant::now();
        let each = self.requests.div_ceil(self.connections);
        let workers: Vec<_> = (0..self.connections)
            .map(|_| {
                let load = self.clone();
                thread::spawn(move || load.connection(each))
            })
            .collect();
        let mut latencies = Vec::with_capacity(self.requests);
        for worker in workers {
            latencies.extend(worker.join().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))??);
        }
        latencies.sort_unstable();
        Ok(Measured { latencies, elapsed: started.elapsed() })
    }

    fn connection(&self, requests: usize) -> Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(self.address).with_context(|| format!("connecting to {}", self.address))?;
        stream.set_nodelay(true).context("the connection")?;
        let mut reader = BufReader::new(stream.try_clone().context("the connection")?);
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
            self.address,
            self.body.len(),
            self.body
        );
        let mut body = Vec::new();
        let mut latencies = Vec::with_capacity(requests);
        for _ in 0..requests {
            let asked = Instant::now();
            stream.write_all(request.as_bytes()).context("sending")?;
            let start = http::read(&mut reader, &mut body)?.context("the connection was closed")?;
            latencies.push(asked.elapsed());
            ensure!(start.contains(" 200"), "the answer was {start}: {}", String::from_utf8_lossy(&body));
        }
        Ok(latencies)
    }
}

impl Measured {
    /// The latency that this share of the answers did not exceed.
    pub(super) fn percentile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index: whole and not negative")]
        let idx = (last as f64 * share).round() as usize;
        self.latencies.get(idx).copied().unwrap_or_default()
    }

    /// How many answers came.
    pub(super) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Answers per second.
    pub(super) fn throughput(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_latencies() {
        let latencies = (1..=101).map(Duration::from_micros).collect();
        let measured = Measured { latencies, elapsed: Duration::from_secs(1) };
        assert_eq!(measured.percentile(0.5), Duration::from_micros(51));
        assert_eq!(measured.percentile(0.99), Duration::from_micros(100));
        assert!((measured.throughput() - 101.0).abs() < 1e-9);
    }
}
