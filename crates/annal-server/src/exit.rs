//! How a command ends: the exit codes of the command line, and the failures that lead to them.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | nothing found, or a check failed |
//! | 2 | usage: an argument or an input that is not as it should be |
//! | 3 | unreachable, locked by another process, or the address to listen on is taken |
//! | 4 | damaged data |
//! | 5 | storage failed |
//! | 130 | interrupted |

use std::fmt;
use std::io;

use annal::Error;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Nothing found, or a check failed.
pub(crate) const NOTHING: u8 = 1;
/// Wrong arguments or input.
pub(crate) const USAGE: u8 = 2;
/// A server that does not answer, a store that is locked, an address that is taken.
pub(crate) const UNREACHABLE: u8 = 3;
/// Damaged data.
pub(crate) const DAMAGED: u8 = 4;
/// The storage failed.
pub(crate) const STORAGE: u8 = 5;
/// Ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    /// For stderr; empty: everything has been said.
    pub(crate) message: String,
}

/// What commands return: the exit code, or why they ended early.
pub(crate) type Outcome<T = u8> = Result<T, Failure>;

impl Failure {
    /// A failure with this code and message.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// Wrong arguments or input.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(USAGE, message)
    }

    /// Puts what was attempted before the message.
    pub(crate) fn during(mut self, attempted: impl fmt::Display) -> Failure {
        self.message = format!("{attempted}: {}", self.message);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(error.kind().policy().exit_code, error.to_string())
    }
}

/// Writing the answer failed. A closed pipe is the reader's right: it ends the command quietly.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::new(DONE, "");
        }
        Failure::new(STORAGE, format!("writing the answer: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_says_nothing() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code, failure.message.as_str()), (DONE, ""));
    }

    #[test]
    fn errors_of_the_engine_end_with_the_code_of_their_policy() {
        assert_eq!(Failure::from(Error::corrupt("x")).code, DAMAGED);
        assert_eq!(Failure::from(Error::new(annal::ErrorKind::Locked, "x")).code, UNREACHABLE);
        assert_eq!(Failure::from(Error::new(annal::ErrorKind::Poisoned, "x")).code, STORAGE);
        assert_eq!(Failure::from(Error::invalid("x")).code, USAGE);
        assert_eq!(Failure::from(Error::new(annal::ErrorKind::Cancelled, "x")).code, INTERRUPTED);
        assert_eq!(Failure::from(Error::new(annal::ErrorKind::Deadline, "x")).code, NOTHING);
    }
}
