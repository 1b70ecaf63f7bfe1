//! Lets the program find libtorch in the tree that it is installed in: `../lib/personaroute` relative to its own folder.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib/personaroute");
}
