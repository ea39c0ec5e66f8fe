//! The expression of a query: what its text means, before any column is known.
//!
//! The shape is TraceQL's inside its braces, so that spansets and pipelines can grow around it.
//! Grammar: `docs/query.md`.

use crate::event::{Kind, Signal, Status};

/// A condition on one event. Comparisons with something absent are false (`= nil` excepted), so
/// that every expression is true or false.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Always or never.
    Constant(bool),
    /// The opposite.
    Not(Box<Expr>),
    /// All of them hold.
    All(Vec<Expr>),
    /// At least one of them holds.
    Any(Vec<Expr>),
    /// One comparison.
    Compare(Comparison),
    /// The attribute is the boolean true.
    Truth(Reference),
}

/// Two sides and what is asked of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The left side.
    pub left: Operand,
    /// What is asked.
    pub operator: Operator,
    /// The right side.
    pub right: Operand,
}

/// What a comparison asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=~`, the whole text matches
    Matches,
    /// `!~`
    NotMatches,
}

/// A side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Something of the event.
    Reference(Reference),
    /// Something given.
    Literal(Literal),
}

/// Something that an event has, or has not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A field of the event model.
    Intrinsic(Intrinsic),
    /// An attribute. Without a scope: of the first of [`AttributeScope::ALL`] that has it.
    Attribute {
        /// Where to look.
        scope: Option<AttributeScope>,
        /// The attribute's key.
        key: String,
    },
}

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttributeScope {
    /// On the event itself, whatever its signal.
    Span,
    /// On the resource that emitted it.
    Resource,
    /// On a span event inside it.
    Event,
    /// On a link from it.
    Link,
    /// On the instrumentation that recorded it.
    Instrumentation,
}

impl AttributeScope {
    /// All of them, in the order in which an attribute without a scope is looked for.
    pub const ALL: [AttributeScope; 5] = [
        AttributeScope::Span,
        AttributeScope::Resource,
        AttributeScope::Event,
        AttributeScope::Link,
        AttributeScope::Instrumentation,
    ];

    /// The word before the dot.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AttributeScope::Span => "span",
            AttributeScope::Resource => "resource",
            AttributeScope::Event => "event",
            AttributeScope::Link => "link",
            AttributeScope::Instrumentation => "instrumentation",
        }
    }
}

macro_rules! intrinsics {
    ($($(#[$doc:meta])* $variant:ident $name:literal $(or $alias:literal)*;)*) => {
        /// A field of the event model that a query can name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Intrinsic { $($(#[$doc])* $variant,)* }

        impl Intrinsic {
            /// All of them.
            pub const ALL: &[Intrinsic] = &[$(Intrinsic::$variant,)*];

            /// The name that `Display` writes.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Intrinsic::$variant => $name,)* }
            }

            /// The intrinsic of a name or another name for it.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Intrinsic> {
                match name { $($name $(| $alias)* => Some(Intrinsic::$variant),)* _ => None }
            }
        }
    };
}

intrinsics! {
    /// The source.
    Source "source";
    /// The type: a span's name, an event's name, `log`.
    Type "type" or "name" or "span:name";
    /// Span, log or event.
    Signal "signal";
    /// When, in nanoseconds since the epoch.
    Time "time";
    /// When the store received it.
    Received "received";
    /// When it was observed.
    Observed "observed";
    /// The unique id.
    Sequence "sequence";
    /// End minus start.
    Duration "duration" or "span:duration";
    /// Whether it failed.
    Status "status" or "span:status";
    /// Why it failed.
    StatusMessage "statusMessage" or "span:statusMessage" or "status_message";
    /// The span's role.
    Kind "kind" or "span:kind";
    /// The severity: its number beside numbers and levels, its text beside text.
    Severity "severity";
    /// OpenTelemetry's 1 to 24.
    SeverityNumber "severityNumber" or "severity_number";
    /// The severity as the producer wrote it.
    SeverityText "severityText" or "severity_text";
    /// The body, if it is text.
    Message "message";
    /// The trace it belongs to.
    TraceId "trace:id" or "trace_id";
    /// The span that it is or belongs to.
    SpanId "span:id" or "span_id";
    /// The span that caused it.
    ParentSpanId "span:parentID" or "parent_span_id";
    /// W3C trace state.
    TraceState "traceState" or "trace_state";
    /// Name of the instrumentation.
    InstrumentationName "instrumentation:name";
    /// Version of the instrumentation.
    InstrumentationVersion "instrumentation:version";
    /// Name of a span event inside it.
    EventName "event:name";
    /// Time of a span event inside it, after the start.
    EventTimeSinceStart "event:timeSinceStart";
    /// A trace that it links to.
    LinkTraceId "link:traceID";
    /// A span that it links to.
    LinkSpanId "link:spanID";
}

/// Something given in the text or by the program.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// Text.
    String(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// True or false.
    Bool(bool),
    /// Nothing there.
    Nil,
    /// One of the fixed words.
    Word(Word),
}

/// The words that name statuses, kinds, signals and levels. `error` is a status and a level,
/// `unset` and `unspecified` differ as in OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Word(pub(super) &'static str);

/// All words.
const WORDS: [&str; 17] = [
    "unset",
    "ok",
    "error",
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
    "span",
    "log",
    "event",
    "trace",
    "debug",
    "info",
    "warn",
    "fatal",
];

impl Word {
    /// The word with this text.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Word> {
        WORDS.iter().find(|w| **w == name).map(|w| Word(w))
    }

    /// Its text.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }

    /// As a status.
    #[must_use]
    pub fn status(self) -> Option<Status> {
        Status::from_name(self.0)
    }

    /// As a kind.
    #[must_use]
    pub fn kind(self) -> Option<Kind> {
        Kind::from_name(self.0)
    }

    /// As a signal.
    #[must_use]
    pub fn signal(self) -> Option<Signal> {
        Signal::from_name(self.0)
    }

    /// As a level: the first of its four severity numbers.
    #[must_use]
    pub fn level(self) -> Option<i64> {
        let levels = ["trace", "debug", "info", "warn", "error", "fatal"];
        levels.iter().position(|l| *l == self.0).map(|i| i as i64 * 4 + 1)
    }
}

impl Operator {
    /// As it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
            Operator::Matches => "=~",
            Operator::NotMatches => "!~",
        }
    }

    /// The operator that asks the same when the sides change places.
    #[must_use]
    pub fn flipped(self) -> Operator {
        match self {
            Operator::Less => Operator::Greater,
            Operator::LessOrEqual => Operator::GreaterOrEqual,
            Operator::Greater => Operator::Less,
            Operator::GreaterOrEqual => Operator::LessOrEqual,
            same => same,
        }
    }

    /// Whether the right side is a regular expression.
    #[must_use]
    pub fn is_regex(self) -> bool {
        matches!(self, Operator::Matches | Operator::NotMatches)
    }

    /// Whether all of several values must pass, instead of any.
    #[must_use]
    pub fn is_negative(self) -> bool {
        matches!(self, Operator::NotEqual | Operator::NotMatches)
    }
}

impl Reference {
    /// An attribute wherever it stands.
    pub fn attribute(key: impl Into<String>) -> Reference {
        Reference::Attribute { scope: None, key: key.into() }
    }
}

impl Expr {
    /// A comparison of something of the event with something given.
    pub fn compare(reference: Reference, operator: Operator, literal: impl Into<Literal>) -> Expr {
        Expr::Compare(Comparison {
            left: Operand::Reference(reference),
            operator,
            right: Operand::Literal(literal.into()),
        })
    }
}

macro_rules! literal_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {
        $(impl From<$from> for Literal {
            fn from($value: $from) -> Literal { $to }
        })*
    };
}
literal_from! {
    &str => |v| Literal::String(v.to_owned());
    String => |v| Literal::String(v);
    i64 => |v| Literal::Int(v);
    i32 => |v| Literal::Int(v.into());
    u32 => |v| Literal::Int(v.into());
    f64 => |v| Literal::Float(v);
    bool => |v| Literal::Bool(v);
    std::time::Duration => |v| Literal::Duration(i64::try_from(v.as_nanos()).unwrap_or(i64::MAX));
    Status => |v| Literal::Word(Word(v.name()));
    Kind => |v| Literal::Word(Word(v.name()));
    Signal => |v| Literal::Word(Word(v.name()));
}
