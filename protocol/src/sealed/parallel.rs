//! The same work for many recipients, on several threads where `std` has them. The result does not depend on how many.

use alloc::vec::Vec;

/// Fewer items than this per thread are not worth starting one: a header costs some 50 microseconds.
#[cfg(feature = "std")]
const ITEMS_PER_THREAD: usize = 8;

/// `items` mapped in order.
#[cfg(feature = "std")]
pub(super) fn map<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let useful = items.len() / ITEMS_PER_THREAD;
    if useful < 2 {
        return items.iter().map(f).collect();
    }
    let available = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
    map_on(available.min(useful), items, f)
}

/// `items` mapped in order.
#[cfg(not(feature = "std"))]
pub(super) fn map<T, R>(items: &[T], f: impl Fn(&T) -> R) -> Vec<R> {
    items.iter().map(f).collect()
}

#[cfg(feature = "std")]
fn map_on<'i, T: Sync, R: Send>(threads: usize, items: &'i [T], f: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let size = items.len().div_ceil(threads.max(1)).max(1);
    let (first, others) = items.split_at(size.min(items.len()));
    let f = &f;
    std::thread::scope(|scope| {
        let spawn = |part: &'i [T]| {
            // A thread that cannot be started is no error: its part is done here.
            let handle =
                std::thread::Builder::new().spawn_scoped(scope, move || part.iter().map(f).collect::<Vec<R>>());
            (part, handle.ok())
        };
        let handles: Vec<_> = others.chunks(size).map(spawn).collect();
        let mut results = Vec::with_capacity(items.len());
        results.extend(first.iter().map(f));
        for (part, handle) in handles {
            match handle.map(std::thread::ScopedJoinHandle::join) {
                Some(Ok(part)) => results.extend(part),
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                None => results.extend(part.iter().map(f)),
            }
        }
        results
    })
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_threads_gives_the_same_results_in_the_same_order() {
        for len in [0, 1, 2, 7, 16, 100, 101] {
            let items: Vec<usize> = (0..len).collect();
            let expected: Vec<usize> = items.iter().map(|item| item * 3).collect();
            for threads in [0, 1, 2, 3, 5, 64, 200] {
                assert_eq!(map_on(threads, &items, |item| item * 3), expected, "{len} on {threads}");
            }
            assert_eq!(map(&items, |item| item * 3), expected);
        }
    }
}
