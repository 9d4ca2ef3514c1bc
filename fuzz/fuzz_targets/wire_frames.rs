#![no_main]
//! Frames (spec 13.2): pieces of any size give what the whole gives, and no more memory than came.
use libfuzzer_sys::fuzz_target;
use waxwing_wire::frame::{Ceiling, FrameDecoder, FrameEncoder, FrameError};

fn frames(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let (mut decoder, mut frames) = (FrameDecoder::new(Ceiling::BLOB), Vec::new());
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = frames(&[bytes]);
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(bytes.first().copied().unwrap_or(1) % 7) + 1).collect();
    assert_eq!(frames(&pieces), whole);
    let mut encoder = FrameEncoder::new(Ceiling::BLOB);
    whole.0.iter().for_each(|frame| encoder.push(frame).expect("it was a frame"));
    assert!(bytes.starts_with(encoder.bytes()));
});
