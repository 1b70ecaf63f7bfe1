//! The allocator: an arena in the initial memory of the component, then pages that it adds.
//!
//! Adding a page costs the host two system calls in every fresh instance, one of which interrupts the other cores. The
//! arena holds what most calls need, so that they add none.

use std::alloc::Layout;
use std::arch::wasm32::memory_grow;
use std::mem::MaybeUninit;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Bytes of the arena. With the stack and the constants it fills four pages of memory.
const ARENA: usize = 160 << 10;

/// Bytes of a page of linear memory.
const PAGE: usize = 64 << 10;

/// Bytes that a claimed region needs besides its allocations.
const OVERHEAD: usize = 64;

static mut ARENA_BYTES: [MaybeUninit<u8>; ARENA] = [MaybeUninit::uninit(); ARENA];

#[global_allocator]
static ALLOCATOR: TalcSyncCell<ArenaThenPages, WasmBinning> =
    TalcSyncCell::new_wasm(ArenaThenPages { is_arena_claimed: false });

/// Where the allocator gets memory.
#[derive(Debug)]
struct ArenaThenPages {
    is_arena_claimed: bool,
}

// SAFETY: `acquire` neither allocates nor uses types that do.
#[expect(unsafe_code, reason = "hands memory to the allocator")]
unsafe impl Source for ArenaThenPages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let (start, bytes) = if talc.source.is_arena_claimed {
            let pages = (layout.size().saturating_add(layout.align()).saturating_add(OVERHEAD)).div_ceil(PAGE);
            let before = memory_grow::<0>(pages);
            if before == usize::MAX {
                return Err(());
            }
            (std::ptr::with_exposed_provenance_mut(before * PAGE), pages * PAGE)
        } else {
            talc.source.is_arena_claimed = true;
            ((&raw mut ARENA_BYTES).cast(), ARENA)
        };
        // SAFETY: the region is either the arena or was just added, so nothing else uses it.
        unsafe { talc.claim(start, bytes) }.map(|_end| ()).ok_or(())
    }
}
