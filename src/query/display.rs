//! An expression as text, which parses to the same expression.

use std::fmt;

use crate::query::ast::{AttributeScope, Comparison, Expr, Literal, Operand, Reference};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Constant(value) => write!(f, "{value}"),
            Expr::Not(inner) => match **inner {
                Expr::Compare(_) => write!(f, "!({inner})"),
                _ => write!(f, "!{}", Inner(inner)),
            },
            Expr::All(parts) => joined(f, parts, " && ", "true"),
            Expr::Any(parts) => joined(f, parts, " || ", "false"),
            Expr::Compare(comparison) => comparison.fmt(f),
            Expr::Truth(reference) => reference.fmt(f),
        }
    }
}

/// An expression that stands inside another one.
struct Inner<'a>(&'a Expr);

impl fmt::Display for Inner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::All(_) | Expr::Any(_) => write!(f, "({})", self.0),
            other => other.fmt(f),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Expr], by: &str, empty: &str) -> fmt::Result {
    if parts.is_empty() {
        return f.write_str(empty);
    }
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(by)?;
        }
        write!(f, "{}", Inner(part))?;
    }
    Ok(())
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.left, self.operator.symbol(), self.right)
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Reference(reference) => reference.fmt(f),
            Operand::Literal(literal) => literal.fmt(f),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Intrinsic(intrinsic) => f.write_str(intrinsic.name()),
            Reference::Attribute { scope, key } => {
                write!(f, "{}.", scope.map_or("", AttributeScope::name))?;
                let bare = !key.is_empty() && key.chars().all(|c| is_name(c) && c != '"');
                if bare { f.write_str(key) } else { quoted(f, key) }
            }
        }
    }
}

/// Whether a character may stand in a name that is not quoted.
pub(super) fn is_name(c: char) -> bool {
    !c.is_whitespace() && !"{}()=~!<>&|^,".contains(c)
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::String(text) => quoted(f, text),
            Literal::Int(value) => write!(f, "{value}"),
            // Debug keeps the point or exponent that tells it from a whole number.
            Literal::Float(value) => write!(f, "{value:?}"),
            Literal::Duration(ns) => write!(f, "{ns}ns"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Nil => f.write_str("nil"),
            Literal::Word(word) => f.write_str(word.name()),
        }
    }
}
