//! Sets the size of the plugin's stack.

/// Bytes of the stack; the plugin has no recursion, and its largest frame takes a few kilobytes.
///
/// The stack is the first part of the linear memory. The linker's default of 1 MiB lies unused between the pages that a
/// call writes to, so that the host cannot reset them in one piece.
const STACK: usize = 64 << 10;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_FAMILY").as_deref() == Ok("wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size={STACK}");
    }
}
