//! How many tests passed, failed and were skipped, read from the summaries of cargo-nextest and of rustdoc.

use std::io::Write as _;

use anyhow::{Result, bail};

use super::skips::Skipped;

/// Numbers of tests by outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    passed: u64,
    failed: u64,
    is_broken: bool,
}

impl Counts {
    /// Adds nextest's line `Summary [  12.3s] 4 tests run: 3 passed (1 slow), 1 failed, 0 skipped`; others change nothing.
    pub(super) fn add_tests(&mut self, line: &str) {
        let Some((run, ends)) = line.trim_start().strip_prefix("Summary [").and_then(|rest| rest.split_once(" run: "))
        else {
            return;
        };
        // `] 4 tests`, or `] 3/4 tests` if the run was interrupted.
        let run = run.rsplit(']').next().unwrap_or(run).trim();
        let all = number(run.split(['/', ' ']).next().unwrap_or(run));
        let passed = ends.split(", ").find_map(|part| part.split_once(" passed")).map_or(0, |(count, _)| number(count));
        self.passed += passed;
        self.failed += all.saturating_sub(passed);
    }

    /// Adds rustdoc's line `test result: ok. 3 passed; 0 failed; 0 ignored; …`; other lines change nothing.
    pub(super) fn add_examples(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for part in counts.split("; ") {
            match part.split_once(' ') {
                Some((count, "passed")) => self.passed += number(count),
                Some((count, "failed")) => self.failed += number(count),
                _ => {}
            }
        }
    }

    /// Adds the counts of another runner.
    pub(super) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.is_broken |= other.is_broken;
    }

    /// Records whether a runner succeeded; it can fail without a failed test.
    pub(super) fn note_end(&mut self, is_success: bool) {
        self.is_broken |= !is_success;
    }

    /// Prints the skipped tests and then one line with the counts; fails if a test failed.
    pub(super) fn report(&self, skipped: &[Skipped]) -> Result<()> {
        for Skipped { test, reason } in skipped {
            eprintln!("test: skipped {test}: {reason}");
        }
        writeln!(std::io::stdout().lock(), "{}", self.line(skipped.len()))?;
        if self.failed > 0 || self.is_broken {
            bail!("not every test passed");
        }
        Ok(())
    }

    /// Returns the counts. A skipped test returns early, so its runner counts it as passed.
    fn line(&self, skipped: usize) -> String {
        let passed = self.passed.saturating_sub(u64::try_from(skipped).unwrap_or(u64::MAX));
        format!("{passed} passed, {} failed, {skipped} skipped", self.failed)
    }
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_add_up_and_other_lines_change_nothing() {
        let mut counts = Counts::default();
        counts.add_tests("        PASS [   0.006s] (1/4) xtask tests::a");
        counts.add_tests("     Summary [   0.010s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 7 skipped");
        counts.add_examples("running 3 tests");
        counts.add_examples("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
        counts.add_examples("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        assert_eq!(counts, Counts { passed: 15, failed: 4, is_broken: false });
        assert!(counts.report(&[]).is_err());
    }

    #[test]
    fn one_test_is_counted_and_so_are_those_of_an_interrupted_run() {
        let mut counts = Counts::default();
        counts.add_tests("     Summary [   0.010s] 1 test run: 1 passed, 0 skipped");
        counts.add_tests("     Summary [   0.010s] 3/9 tests run: 2 passed, 1 failed, 0 skipped");
        assert_eq!(counts, Counts { passed: 3, failed: 1, is_broken: false });
    }

    #[test]
    fn skipped_tests_do_not_count_as_passed() {
        let counts = Counts { passed: 10, ..Counts::default() };
        assert_eq!(counts.line(3), "7 passed, 0 failed, 3 skipped");
    }

    #[test]
    fn a_runner_that_fails_without_a_failed_test_fails_the_run() {
        let mut counts = Counts { passed: 1, ..Counts::default() };
        assert!(counts.report(&[]).is_ok());
        counts.note_end(false);
        assert!(counts.report(&[]).is_err());
    }
}
