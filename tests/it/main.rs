//! The one integration binary: the parts of the workspace together, over loopback, with the real native libraries.

mod fake;
