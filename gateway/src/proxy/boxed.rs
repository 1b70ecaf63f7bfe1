//! Boxes large futures without moving them.

use std::pin::Pin;

/// Returns the future of `make` in a box. It is built in place, as moving a future of several kilobytes is expensive.
pub(super) fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}
