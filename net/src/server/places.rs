//! How many connections each source has. Implements spec/18-transport.md §18.5.2.
//!
//! Invariants: a place that was taken is given back when it is dropped; a source without connections is not remembered.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Source;

/// The count of each source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    by_source: HashMap<Source, usize>,
    total: usize,
}

impl Places {
    /// Takes a place for `source`; none if it or everybody together has as many as may be.
    pub(crate) fn take(&self, source: Source, most: usize, most_in_all: usize) -> Option<Place> {
        let mut taken = self.lock();
        let of_source = taken.by_source.get(&source).copied().unwrap_or_default();
        if of_source >= most || taken.total >= most_in_all {
            return None;
        }
        taken.by_source.insert(source, of_source.saturating_add(1));
        taken.total = taken.total.saturating_add(1);
        Some(Place { places: self.clone(), source })
    }

    pub(crate) fn total(&self) -> usize {
        self.lock().total
    }

    fn give_back(&self, source: Source) {
        let mut taken = self.lock();
        taken.total = taken.total.saturating_sub(1);
        match taken.by_source.get_mut(&source) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            _ => drop(taken.by_source.remove(&source)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    source: Source,
}

impl Place {
    pub(crate) const fn source(&self) -> Source {
        self.source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Sources;

    #[test]
    fn e4_a_source_has_bounded_places_and_gets_them_back() {
        let (sources, places) = (Sources::default(), Places::default());
        let (one, other) = (sources.of([192, 0, 2, 1].into()), sources.of([192, 0, 2, 2].into()));
        let first = places.take(one, 2, 3).unwrap();
        let _second = places.take(one, 2, 3).unwrap();
        assert!(places.take(one, 2, 3).is_none());
        let third = places.take(other, 2, 3).unwrap();
        assert!(places.take(other, 2, 3).is_none(), "three in all");
        drop(third);
        drop(first);
        assert!(places.take(one, 2, 3).is_some());
        assert_eq!(places.total(), 1);
        assert_eq!(places.lock().by_source.len(), 1, "who has none is forgotten");
    }
}
