//! Tokens into an expression, by recursive descent. As in TraceQL `&&` and `||` bind equally and to
//! the left, comparisons bind tighter, `!` tighter still. What types can never meet is refused
//! here, with its position, so that an expression that exists can be run. Grammar: `docs/query.md`.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::limits;
use crate::query::ast::{Comparison, Expr, Intrinsic, Literal, Operand, Reference, Word};
use crate::query::comparison::compile_comparison;
use crate::query::lexer::{Token, TokenKind, refuse, tokens};
use crate::query::predicate::too_many_regexes;

impl FromStr for Expr {
    type Err = Error;

    /// Reads the text form. Errors are `Invalid` or `Limit`, with the byte offset in the text.
    fn from_str(text: &str) -> Result<Expr> {
        if text.len() > limits::QUERY_TEXT_BYTES_MAX {
            let (length, max) = (text.len(), limits::QUERY_TEXT_BYTES_MAX);
            let what = format!("the text has {length} bytes, at most {max} are allowed");
            return Err(Error::limit(what).in_field("where").at(max as u64));
        }
        let tokens = tokens(text)?;
        // Before any of them is compiled.
        let mut regexes = tokens.iter().filter(|token| match token.kind {
            TokenKind::Compare(operator) => operator.is_regex(),
            _ => false,
        });
        match regexes.nth(limits::QUERY_REGEXES_MAX) {
            Some(token) => Err(too_many_regexes().in_field("where").at(token.offset as u64)),
            None => Parser { tokens, next: 0 }.whole(),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

/// What was read: a side of a comparison, or a condition and how deep it is.
struct Node {
    offset: usize,
    height: usize,
    kind: NodeKind,
}

enum NodeKind {
    Operand(Operand),
    Expr(Expr),
}

impl Node {
    fn operand(offset: usize, operand: Operand) -> Node {
        Node { offset, height: 0, kind: NodeKind::Operand(operand) }
    }

    fn expr(offset: usize, height: usize, expr: Expr) -> Result<Node> {
        check_nesting(offset, height)?;
        Ok(Node { offset, height, kind: NodeKind::Expr(expr) })
    }

    fn into_expr(self) -> Result<Expr> {
        match self.kind {
            NodeKind::Expr(expr) => Ok(expr),
            NodeKind::Operand(Operand::Literal(Literal::Bool(value))) => Ok(Expr::Constant(value)),
            NodeKind::Operand(Operand::Reference(r @ Reference::Attribute { .. })) => {
                Ok(Expr::Truth(r))
            }
            NodeKind::Operand(other) => {
                Err(refuse(self.offset, format!("{other} alone is no condition: compare it")))
            }
        }
    }

    fn into_operand(self, offset: usize) -> Result<Operand> {
        match self.kind {
            NodeKind::Operand(operand) => Ok(operand),
            NodeKind::Expr(_) => {
                let what = "a condition cannot be compared: to negate a comparison put it in \
                            parentheses";
                Err(refuse(offset, what))
            }
        }
    }
}

fn check_nesting(offset: usize, depth: usize) -> Result<()> {
    if depth <= limits::QUERY_NESTING_MAX {
        return Ok(());
    }
    let max = limits::QUERY_NESTING_MAX;
    let what = format!("nested deeper than {max} levels (a change between && and || is one)");
    Err(Error::limit(what).in_field("where").at(offset as u64))
}

impl Parser {
    fn peek(&self) -> &TokenKind {
        self.tokens.get(self.next).map_or(&TokenKind::End, |t| &t.kind)
    }

    fn offset(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |t| t.offset)
    }

    fn take(&mut self) -> TokenKind {
        let token = self.tokens.get(self.next).map_or(TokenKind::End, |t| t.kind.clone());
        self.next += 1;
        token
    }

    fn eat(&mut self, kind: &TokenKind) -> bool {
        let found = self.peek() == kind;
        self.next += usize::from(found);
        found
    }

    /// An expression, maybe in braces; nothing at all holds for every event.
    fn whole(mut self) -> Result<Expr> {
        let braces = self.eat(&TokenKind::BraceOpen);
        let end = if braces { TokenKind::BraceClose } else { TokenKind::End };
        let expr =
            if *self.peek() == end { Expr::Constant(true) } else { self.chain(0)?.into_expr()? };
        if braces && !self.eat(&TokenKind::BraceClose) {
            return Err(refuse(self.offset(), "&&, || or } must follow here"));
        }
        if *self.peek() != TokenKind::End {
            let what = if braces {
                "nothing can follow the closing brace: one condition on one event"
            } else {
                "&& or || must follow here, or the end"
            };
            return Err(refuse(self.offset(), what));
        }
        Ok(expr)
    }

    /// Comparisons joined by `&&` and `||`, from left to right.
    fn chain(&mut self, depth: usize) -> Result<Node> {
        let first = self.comparison(depth)?;
        if !matches!(self.peek(), TokenKind::And | TokenKind::Or) {
            return Ok(first);
        }
        let (start, mut height) = (first.offset, first.height);
        let mut joined = first.into_expr()?;
        // Whether the last joint was `&&`: more of the same join it, a change nests.
        let mut last = None;
        while matches!(self.peek(), TokenKind::And | TokenKind::Or) {
            let (offset, and) = (self.offset(), self.take() == TokenKind::And);
            let next = self.comparison(depth)?;
            let next_height = next.height;
            let next = next.into_expr()?;
            joined = match joined {
                Expr::All(mut parts) | Expr::Any(mut parts) if last == Some(and) => {
                    height = height.max(next_height + 1);
                    parts.push(next);
                    if and { Expr::All(parts) } else { Expr::Any(parts) }
                }
                other => {
                    height = height.max(next_height) + 1;
                    let parts = vec![other, next];
                    if and { Expr::All(parts) } else { Expr::Any(parts) }
                }
            };
            check_nesting(offset, height)?;
            last = Some(and);
        }
        Node::expr(start, height, joined)
    }

    fn comparison(&mut self, depth: usize) -> Result<Node> {
        let left = self.unary(depth)?;
        let offset = self.offset();
        let TokenKind::Compare(operator) = *self.peek() else {
            return Ok(left);
        };
        self.next += 1;
        let start = left.offset;
        let left = left.into_operand(offset)?;
        let right = self.unary(depth)?;
        let right_offset = right.offset;
        let comparison = Comparison { left, operator, right: right.into_operand(right_offset)? };
        if matches!(self.peek(), TokenKind::Compare(_)) {
            return Err(refuse(self.offset(), "comparisons do not chain: join two with &&"));
        }
        if let Err(error) = compile_comparison(&comparison) {
            let regex = operator.is_regex();
            return Err(error
                .in_field("where")
                .at(if regex { right_offset } else { offset } as u64));
        }
        Node::expr(start, 0, Expr::Compare(comparison))
    }

    fn unary(&mut self, depth: usize) -> Result<Node> {
        let offset = self.offset();
        check_nesting(offset, depth)?;
        match self.take() {
            TokenKind::Not => {
                let inner = self.unary(depth + 1)?;
                let height = inner.height + 1;
                Node::expr(offset, height, Expr::Not(Box::new(inner.into_expr()?)))
            }
            TokenKind::Open => {
                let inner = self.chain(depth + 1)?;
                if !self.eat(&TokenKind::Close) {
                    return Err(refuse(self.offset(), "&&, || or ) must follow here"));
                }
                Ok(Node { offset, ..inner })
            }
            TokenKind::Minus => self.negative(offset),
            TokenKind::Attribute(reference) => {
                Ok(Node::operand(offset, Operand::Reference(reference)))
            }
            TokenKind::Word(word) => Ok(Node::operand(offset, named(offset, &word)?)),
            TokenKind::Int(value) => match i64::try_from(value) {
                Ok(value) => Ok(literal(offset, Literal::Int(value))),
                Err(_) => Err(refuse(offset, "this number does not fit 64 bits with a sign")),
            },
            TokenKind::Float(value) => Ok(literal(offset, Literal::Float(value))),
            TokenKind::Duration(ns) => Ok(literal(offset, Literal::Duration(ns as i64))),
            TokenKind::String(text) => Ok(literal(offset, Literal::String(text))),
            TokenKind::End => Err(refuse(offset, "something to compare is missing at the end")),
            _ => Err(refuse(offset, "an attribute, a field, a value, ! or ( must stand here")),
        }
    }

    fn negative(&mut self, offset: usize) -> Result<Node> {
        let value = match self.take() {
            TokenKind::Int(value) => Literal::Int(0i64.wrapping_sub_unsigned(value)),
            TokenKind::Float(value) => Literal::Float(-value),
            TokenKind::Duration(ns) => Literal::Duration(0i64.wrapping_sub_unsigned(ns)),
            _ => return Err(refuse(offset, "a number must follow the minus sign")),
        };
        Ok(literal(offset, value))
    }
}

fn literal(offset: usize, literal: Literal) -> Node {
    Node::operand(offset, Operand::Literal(literal))
}

/// What a word means: a constant, a field of the event, or a value of one.
fn named(offset: usize, word: &str) -> Result<Operand> {
    let constant = match word {
        "true" => Some(Literal::Bool(true)),
        "false" => Some(Literal::Bool(false)),
        "nil" => Some(Literal::Nil),
        "minInt" => Some(Literal::Int(i64::MIN)),
        "maxInt" => Some(Literal::Int(i64::MAX)),
        _ => Word::from_name(word).map(Literal::Word),
    };
    if let Some(literal) = constant {
        return Ok(Operand::Literal(literal));
    }
    if let Some(intrinsic) = Intrinsic::from_name(word) {
        return Ok(Operand::Reference(Reference::Intrinsic(intrinsic)));
    }
    const OF_TRACES: [&str; 12] = [
        "parent",
        "rootName",
        "rootServiceName",
        "traceDuration",
        "nestedSetLeft",
        "nestedSetRight",
        "nestedSetParent",
        "trace:duration",
        "trace:rootName",
        "trace:rootService",
        "span:childCount",
        "parent:id",
    ];
    let what = if OF_TRACES.contains(&word) {
        format!("{word} needs whole traces, which conditions do not see")
    } else {
        format!("{word:?} is no field; text stands in quotes, attributes begin with a dot: .{word}")
    };
    Err(refuse(offset, what))
}
