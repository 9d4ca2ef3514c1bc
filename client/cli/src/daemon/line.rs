//! Lines of bounded length.
use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// A line without its end.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Line {
    /// It.
    Whole(Vec<u8>),
    /// It is longer than it may be; what comes is its rest.
    TooLong,
    /// Nothing more comes. What came without an end of line is no line.
    End,
}

/// Reads a line of at most `most` bytes.
pub(super) async fn read(input: &mut (impl AsyncBufRead + Unpin), most: usize) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let piece = input.fill_buf().await?;
        if piece.is_empty() {
            return Ok(Line::End);
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let (rest, used) = match end {
            Some(end) => (piece.get(..end).unwrap_or_default(), end.saturating_add(1)),
            None => (piece, piece.len()),
        };
        if line.len().saturating_add(rest.len()) > most {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(rest);
        input.consume(used);
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_where_they_end_and_not_later_than_they_may() {
        let mut input = tokio::io::BufReader::with_capacity(3, &b"one\n\n12345\n123456\nrest"[..]);
        assert_eq!(read(&mut input, 5).await.unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(read(&mut input, 5).await.unwrap(), Line::Whole(Vec::new()));
        assert_eq!(read(&mut input, 5).await.unwrap(), Line::Whole(b"12345".to_vec()));
        assert_eq!(read(&mut input, 5).await.unwrap(), Line::TooLong);
        let mut unfinished = &b"unfinished"[..];
        assert_eq!(read(&mut unfinished, 50).await.unwrap(), Line::End);
    }
}
