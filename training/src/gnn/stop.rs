//! The stopping rule: keeps the epoch with the lowest validation loss, and stops when none was better for a while.

/// What validation has found so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stop {
    /// Epochs without a better one before training ends.
    pub patience: usize,
    /// Epoch that is kept; 0 is the start.
    pub epoch: usize,
    /// Its validation loss.
    pub loss: f64,
}

impl Stop {
    /// Begins with the start's validation loss.
    pub fn new(patience: usize, loss: f64) -> Self {
        Self { patience, epoch: 0, loss }
    }

    /// Takes in an epoch's validation loss, and returns whether the epoch is kept.
    pub fn better(&mut self, epoch: usize, loss: f64) -> bool {
        let better = loss < self.loss;
        if better {
            (self.epoch, self.loss) = (epoch, loss);
        }
        better
    }

    /// Returns whether training ends after an epoch.
    pub fn ends(&self, epoch: usize) -> bool {
        epoch >= self.epoch + self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_kept_and_patience_runs_from_it() {
        let mut stop = Stop::new(2, 1.0);
        assert!(!stop.better(1, 1.0) && stop.better(2, 0.5) && !stop.better(3, 0.7));
        assert!(!stop.ends(3) && stop.ends(4));
        assert_eq!((stop.epoch, stop.loss), (2, 0.5));
    }

    #[test]
    fn a_loss_that_is_no_number_is_never_kept() {
        assert!(!Stop::new(1, 1.0).better(1, f64::NAN));
    }
}
