//! Keeps the text of every call in a static and on the heap, and refuses each request with whether it finds an earlier
//! one in the static or anywhere in its memory. The text `trap` traps afterwards.
#![cfg(target_family = "wasm")]

use std::sync::{Mutex, PoisonError};

use personaroute_test_guests::{Decision, Model, Plugin, Request, RoutingError, export};

/// The first eight bytes of a kept text. The code holds it as a number, so that it is in memory only in kept texts.
const MARKER: u64 = 0x0403_0254_5045_4b01;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

struct Remembers;

impl Plugin for Remembers {
    fn route(_: &Model, request: &Request) -> Result<Decision, RoutingError> {
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let found = format!("static: {}, memory: {}", !kept.is_empty(), is_marked());
        let text: Vec<u8> = MARKER.to_le_bytes().into_iter().chain(request.text.bytes()).collect();
        // A copy that is never freed is in memory that is never reused.
        text.clone().leak();
        kept.push(text);
        if request.text == "trap" {
            std::process::abort();
        }
        Err(RoutingError::Other(found))
    }
}

/// Returns whether the linear memory has the marker at any address.
#[expect(unsafe_code, reason = "reads all of the linear memory")]
fn is_marked() -> bool {
    let bytes = core::arch::wasm32::memory_size::<0>() << 16;
    (1..bytes - size_of::<u64>()).any(|address| {
        // SAFETY: eight bytes from `address` are inside the linear memory, all of which is readable.
        let value = unsafe { std::ptr::with_exposed_provenance::<u64>(address).read_unaligned() };
        value == MARKER
    })
}

export!(Remembers);
