//! Waits for conditions: each has a limit, and fails with what was waited for.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

/// How long a condition may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The time between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until an expression is true, at most [`LIMIT`], and panics with what was waited for if it stays false.
///
/// The expression is evaluated again and again, where the macro is called: it may use `.await` and `?`. What was waited
/// for is the expression's text, or the format string after it.
///
/// ```
/// # use std::sync::atomic::{AtomicUsize, Ordering};
/// # fn main() { tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let looks = AtomicUsize::new(0);
/// personaroute_harness::wait_until!(looks.fetch_add(1, Ordering::Relaxed) == 2, "the third look");
/// assert_eq!(looks.into_inner(), 3);
/// # }) }
/// ```
#[macro_export]
macro_rules! wait_until {
    ($condition:expr $(,)?) => {
        $crate::wait_until!($condition, "{}", stringify!($condition))
    };
    ($condition:expr, $($what:tt)+) => {{
        let wait = $crate::wait::Wait::new(format_args!($($what)+));
        while !$condition {
            wait.pause().await;
        }
    }};
}

/// One wait: looks at a condition are made between its pauses.
#[derive(Debug)]
pub struct Wait {
    what: String,
    end: Instant,
}

impl Wait {
    /// Starts to wait for `what`.
    pub fn new(what: impl fmt::Display) -> Self {
        Self { what: what.to_string(), end: Instant::now() + LIMIT }
    }

    /// Waits a little.
    ///
    /// # Panics
    ///
    /// Panics when the wait has lasted for [`LIMIT`].
    pub async fn pause(&self) {
        assert!(Instant::now() < self.end, "waited {LIMIT:?} for: {}", self.what);
        tokio::time::sleep(PAUSE).await;
    }

    /// Blocks the thread a little.
    ///
    /// # Errors
    ///
    /// Fails when the wait has lasted for [`LIMIT`].
    pub fn block(&self) -> Result<()> {
        ensure!(Instant::now() < self.end, "waited {LIMIT:?} for: {}", self.what);
        std::thread::park_timeout(PAUSE);
        Ok(())
    }
}
