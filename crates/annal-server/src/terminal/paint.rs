//! Colours, if the stream is a terminal that wants them (<https://no-color.org>), and cleaning:
//! text that came from outside never reaches a terminal with its control characters.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::IsTerminal;

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint {
    coloured: bool,
}

impl Paint {
    /// No colours.
    pub(crate) const PLAIN: Paint = Paint { coloured: false };

    /// As stdout likes it.
    pub(crate) fn stdout() -> Paint {
        Paint { coloured: std::io::stdout().is_terminal() && wanted() }
    }

    /// As stderr likes it.
    pub(crate) fn stderr() -> Paint {
        Paint { coloured: std::io::stderr().is_terminal() && wanted() }
    }

    #[cfg(test)]
    pub(crate) const COLOURED: Paint = Paint { coloured: true };

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.code("1", text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.code("2", text)
    }

    pub(crate) fn error(self, text: impl Display) -> String {
        self.code("1;31", text)
    }

    pub(crate) fn warning(self, text: impl Display) -> String {
        self.code("33", text)
    }

    pub(crate) fn good(self, text: impl Display) -> String {
        self.code("32", text)
    }

    /// The colour that belongs to this source, the same in every table and tree.
    pub(crate) fn source(self, name: &str, text: impl Display) -> String {
        let hash = name.bytes().fold(5_381u32, |h, b| h.wrapping_mul(33) ^ u32::from(b));
        let colour = SOURCE_COLOURS.get(hash as usize % SOURCE_COLOURS.len()).unwrap_or(&"36");
        self.code(colour, text)
    }

    /// The colour of a bar.
    pub(crate) fn shade(self, shade: super::Shade, text: impl Display) -> String {
        let colour = match shade {
            super::Shade::Field => "36",
            super::Shade::Attribute => "34",
            super::Shade::Index => "35",
            super::Shade::Overhead => "2",
        };
        self.code(colour, text)
    }

    /// By OpenTelemetry's severity numbers: 17 and above are errors, 13 and above warnings.
    pub(crate) fn severity(self, number: u8, text: impl Display) -> String {
        match number {
            17.. => self.error(text),
            13..=16 => self.warning(text),
            9..=12 => self.good(text),
            _ => self.dim(text),
        }
    }

    fn code(self, code: &str, text: impl Display) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

fn wanted() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Well apart from each other and from the red of errors, readable on black and on white.
const SOURCE_COLOURS: [&str; 12] = [
    "36", "34", "35", "38;5;30", "38;5;64", "38;5;67", "38;5;97", "38;5;133", "38;5;136",
    "38;5;172", "38;5;69", "38;5;37",
];

/// The text without control characters: line ends and tabs become visible escapes, the rest
/// `\u{..}`.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !c.is_control() && !is_direction(c);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| match c {
        c if harmless(c) => c.to_string(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c => format!("\\u{{{:x}}}", u32::from(c)),
    });
    Cow::Owned(escaped.collect())
}

/// Characters that turn the direction of the text around them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_text_cannot_drive_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc\u{202e}d\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}");
        assert!(matches!(clean("käse ☕"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_source_has_one_colour_and_plain_has_none() {
        let paint = Paint::COLOURED;
        assert_eq!(paint.source("cart", "x"), paint.source("cart", "x"));
        assert_eq!(Paint::PLAIN.error("x"), "x");
    }
}
