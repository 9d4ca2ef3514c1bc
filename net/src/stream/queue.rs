//! Frames that wait to be written. Implements spec/18-transport.md §18.7.1.
//!
//! Invariants: they come out in the order in which they went in; small ones are gathered, and long ones that nobody else needs are
//! passed on as they are, so that one write carries many and no long one is copied.
use bytes::Bytes;
use waxwing_wire::frame::{Ceiling, FrameEncoder, FrameError};

#[derive(Debug)]
pub(super) struct Queue {
    /// What follows them all.
    encoder: FrameEncoder,
    pieces: Vec<Bytes>,
    /// Bytes of `pieces`.
    passed: usize,
}

impl Queue {
    pub(super) const fn new(ceiling: Ceiling) -> Self {
        Self { encoder: FrameEncoder::new(ceiling), pieces: Vec::new(), passed: 0 }
    }

    /// # Errors
    /// As [`FrameEncoder::push`]; nothing was queued.
    pub(super) fn push(&mut self, payload: &[u8]) -> Result<(), FrameError> {
        self.encoder.push(payload)
    }

    /// # Errors
    /// As [`FrameEncoder::push`]; nothing was queued.
    pub(super) fn push_owned(&mut self, payload: Bytes) -> Result<(), FrameError> {
        if payload.len() < LONG {
            return self.push(&payload);
        }
        self.encoder.push_length(payload.len())?;
        self.pass_gathered();
        self.pass(payload);
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.passed.saturating_add(self.encoder.bytes().len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Everything; nothing waits then, and no memory is kept.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        self.pass_gathered();
        self.passed = 0;
        std::mem::take(&mut self.pieces)
    }

    fn pass_gathered(&mut self) {
        let gathered = self.encoder.take();
        if !gathered.is_empty() {
            self.pass(gathered.into());
        }
    }

    fn pass(&mut self, piece: Bytes) {
        self.passed = self.passed.saturating_add(piece.len());
        self.pieces.push(piece);
    }
}

/// From how many bytes on a copy costs more than a piece more.
const LONG: usize = 4_096;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is the report")]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_in_their_order_whether_gathered_or_passed_on() {
        let (mut queue, mut expected) = (Queue::new(Ceiling::KEYSERVER), FrameEncoder::new(Ceiling::KEYSERVER));
        let frames = [3, 5_000, 4_095, 4_096, 1, 2, 12_293, 12_292, 7]
            .map(|length: u16| vec![length.to_le_bytes()[0]; length.into()]);
        for (at, frame) in (0_usize..).zip(&frames) {
            expected.push(frame).unwrap();
            match at % 3 {
                0 => queue.push(frame).unwrap(),
                _ => queue.push_owned(Bytes::from(frame.clone())).unwrap(),
            }
            assert_eq!(queue.bytes(), expected.bytes().len());
        }
        let pieces = queue.take();
        assert_eq!(pieces.len(), 5, "two were passed on, the others gathered before, between and after");
        assert_eq!(pieces.concat(), expected.bytes());
        assert!(queue.is_empty() && queue.take().is_empty());
    }

    #[test]
    fn what_is_above_the_ceiling_is_not_queued() {
        let mut queue = Queue::new(Ceiling::KEYSERVER);
        assert!(queue.push_owned(vec![0; 262_145].into()).is_err());
        assert!(queue.push_owned(Bytes::new()).is_err());
        assert!(queue.is_empty() && queue.take().is_empty());
    }
}
