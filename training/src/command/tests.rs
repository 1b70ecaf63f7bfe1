//! Facts about the commands as a whole.
