//! What the standard library would bring: a panic handler, an allocator, and randomness. None of it is fit for use.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::convert::Infallible;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use rand_core::{TryCryptoRng, TryRng};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// `core` is compiled for unwinding and names this; with `panic = "abort"` nobody calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

const ARENA: usize = 4 << 20;

/// Hands out one arena from the front and never takes back.
struct Bump {
    arena: UnsafeCell<[u8; ARENA]>,
    next: AtomicUsize,
}

// SAFETY: `next` hands out each byte once.
unsafe impl Sync for Bump {}

// SAFETY: every returned block lies inside the arena, is aligned and overlaps no other.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.arena.get().cast::<u8>();
        // Room to align, whatever the arena's own alignment is.
        let Some(len) = layout.size().checked_add(layout.align()) else { return core::ptr::null_mut() };
        let at = self.next.fetch_add(len, Ordering::Relaxed);
        if at.checked_add(len).is_none_or(|end| end > ARENA) {
            return core::ptr::null_mut();
        }
        let block = base.wrapping_add(at);
        block.wrapping_add(block.align_offset(layout.align()))
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { arena: UnsafeCell::new([0; ARENA]), next: AtomicUsize::new(0) };

/// No generator: it counts.
pub struct Counter(u64);

impl Counter {
    pub const fn new() -> Self {
        Self(0)
    }
}

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        Ok(self.0 ^ self.0 >> 29)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u64()?.to_le_bytes()[4];
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
