//! Rust types of the WIT package.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "router",
    imports: { default: trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
});
