//! An error in an expression, with the expression and a caret under the place.

use annal::Error;
use console::measure_text_width;

use crate::exit::{self, Failure};
use crate::terminal::clean;

/// What is wrong with the text of `--where`.
pub(super) fn failure(text: &str, error: &Error) -> Failure {
    let at = error.offset().and_then(|at| usize::try_from(at).ok()).unwrap_or(0).min(text.len());
    let before = text.get(..at).unwrap_or(text);
    let column = measure_text_width(&clean(before));
    let message =
        format!("--where: {}\n  {}\n  {}^", error.message(), clean(text), " ".repeat(column));
    Failure::new(exit::USAGE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_whatever_stands_before_it() {
        let text = "name = \"käse\n☕\" && ?";
        let failure = failure(text, &Error::invalid("no value").at(text.find('?').unwrap() as u64));
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines[0], "--where: no value");
        let column = measure_text_width(&lines[1][..lines[1].find('?').unwrap()]);
        assert_eq!(measure_text_width(lines[2].trim_end_matches('^')), column);
        assert_eq!(failure.code, exit::USAGE);
    }
}
