//! Progress on stderr: bars where somebody watches, nothing where `--quiet` or a pipe says so.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::model::fit::Progress;

/// A bar that changes its meaning when training enters another stage.
pub struct Bar {
    bar: ProgressBar,
    stage: &'static str,
}

impl Bar {
    /// Begins; with `quiet` nothing is ever drawn.
    pub fn new(quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len} {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self { bar, stage: "" }
    }

    /// Begins counting to `total`.
    pub fn count(quiet: bool, what: &'static str, total: u64) -> Self {
        let bar = Self::new(quiet);
        bar.bar.set_length(total);
        bar.bar.set_prefix(what);
        bar
    }

    /// One step more.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// So many steps more.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
    }

    /// Shows an epoch.
    pub fn epoch(&mut self, progress: &Progress) {
        if self.stage != progress.stage {
            self.stage = progress.stage;
            self.bar.set_prefix(progress.stage);
            self.bar.reset();
        }
        self.bar.set_length(progress.epochs as u64);
        self.bar.set_position(progress.epoch as u64);
        self.bar.set_message(format!("loss {:.5} validation {:.5}", progress.loss, progress.validation));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
