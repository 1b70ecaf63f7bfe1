//! Arrows between modules that the rule would refuse and that are still to be removed: a list that only gets shorter.

/// From which module to which, as paths from the repository's root.
pub(super) const EXCEPTIONS: &[(&str, &str)] = &[];
