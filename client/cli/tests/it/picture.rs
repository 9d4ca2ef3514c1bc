//! The README's picture is what `waxwing demo` prints.
use std::{fmt::Write as _, fs, path::Path};

/// A terminal with these lines, as SVG.
fn draw(lines: &[String]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default();
    // 14 pixels high, a character is 8.43 wide in the usual fonts of this kind.
    let (width, height) = (width * 843 / 100 + 2 * EDGE, lines.len() * LINE + 2 * EDGE);
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="A terminal in which waxwing demo ran">
<rect width="100%" height="100%" rx="8" fill="#1b1d23"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#d8dade" xml:space="preserve">
"##
    );
    for (number, line) in lines.iter().enumerate() {
        let y = EDGE + (number + 1) * LINE - 5;
        let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        writeln!(svg, r#"<text x="{EDGE}" y="{y}">{escaped}</text>"#).unwrap();
    }
    svg + "</g>\n</svg>\n"
}

/// The lines of a picture.
fn read(svg: &str) -> Vec<String> {
    let lines = svg.lines().filter_map(|line| line.strip_prefix("<text ")?.strip_suffix("</text>"));
    let texts = lines.map(|line| line.split_once('>').unwrap().1);
    texts.map(|text| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).collect()
}

/// Without what differs from one run to the next: numbers, and why the relay was not reached at that moment.
fn alike(line: &str) -> String {
    let mut same = String::new();
    for character in line.chars() {
        match character {
            '0'..='9' if same.ends_with('#') => {}
            '0'..='9' => same.push('#'),
            character => same.push(character),
        }
    }
    match same.split_once(" queued, ") {
        Some((before, after)) => format!("{before} queued{}", after.split_once(')').unwrap_or_default().1.trim()),
        None => same,
    }
}

/// Compares with what the demo printed, or draws it anew if `WAXWING_WRITE` is set.
pub(crate) fn is_of(printed: &str) {
    let lines: Vec<String> =
        [format!("{PROMPT} waxwing demo")].into_iter().chain(printed.lines().map(Into::into)).collect();
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/demo.svg"));
    if std::env::var_os("WAXWING_WRITE").is_some() {
        fs::write(path, draw(&lines)).unwrap();
    }
    let drawn = read(&fs::read_to_string(path).unwrap_or_default());
    let all = |lines: &[String]| lines.iter().map(|line| alike(line)).collect::<Vec<_>>();
    let (drawn, lines) = (all(&drawn), all(&lines));
    assert_eq!(drawn, lines, "docs/demo.svg is not of this demo; WAXWING_WRITE=1 draws it anew");
}

const PROMPT: char = '$';
const EDGE: usize = 20;
const LINE: usize = 20;
