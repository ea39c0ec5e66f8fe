//! What an oracle can find.

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// Acknowledged, or visible before, and gone.
    Lost,
    /// Something is stored although what was sent before it is not.
    Hole,
    /// Stored, but never sent, or refused.
    Phantom,
    /// Stored twice.
    Duplicate,
    /// Not the bytes that were sent.
    WrongBytes,
    /// Two events with one sequence.
    SequenceReused,
    /// What was visible is not any more.
    WatermarkDecreased,
    /// A ticket was answered wrongly.
    WrongAnswer,
    /// A store that nothing but a crash has happened to did not open.
    Refused,
    /// A second recovery gave something else than the first.
    NotIdempotent,
    /// A call failed for no reason.
    UnexpectedError,
    /// The storage was used in a way that its rules forbid.
    Misuse,
    /// A panic.
    Panic,
}

/// A broken promise, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which promise.
    pub violation: Violation,
    /// The circumstances.
    pub what: String,
}
