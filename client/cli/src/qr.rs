//! Codes for cameras, as a terminal shows them.
use qrcodegen::{DataTooLong, QrCode, QrCodeEcc, QrSegment};

/// Two rows of the code a line, dark on light whatever the terminal's colours are. None if it does not fit into a code.
#[must_use]
pub(crate) fn lines(data: &[u8]) -> Option<String> {
    let code = encode(data).ok()?;
    let size = code.size();
    // Light stands for the margin too, which cameras need.
    let light = |x: i32, y: i32| !code.get_module(x, y);
    let (from, to) = (-MARGIN, size.checked_add(MARGIN)?);
    let mut out = String::new();
    for y in (from..to).step_by(2) {
        for x in from..to {
            let below = y.checked_add(1).is_none_or(|below| below >= to || light(x, below));
            out.push(match (light(x, y), below) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        out.push('\n');
    }
    out.pop();
    Some(out)
}

/// Links are upper case, which takes two thirds of the room.
fn encode(data: &[u8]) -> Result<QrCode, DataTooLong> {
    match std::str::from_utf8(data) {
        Ok(text) if QrSegment::is_alphanumeric(text) => {
            QrCode::encode_segments(&[QrSegment::make_alphanumeric(text)], QrCodeEcc::Low)
        }
        _ => QrCode::encode_binary(data, QrCodeEcc::Low),
    }
}

const MARGIN: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_margin() {
        let code = lines(b"WAXWING:CONTACT/1/ABC").unwrap();
        let rows: Vec<Vec<char>> = code.lines().map(|line| line.chars().collect()).collect();
        let width = rows[0].len();
        assert!(rows.iter().all(|row| row.len() == width));
        assert_eq!(rows.len(), width.div_ceil(2));
        assert!(rows[0].iter().all(|module| *module == '█'), "the margin is light");
        // The finder's corner: dark, under light.
        assert_eq!(rows[1][2], ' ');
        assert_eq!(lines(&[0; 4_000]), None);
    }
}
