//! The text form of queries is what `docs/query.md` says: its examples, its tables, its positions.
#![allow(clippy::unwrap_used, reason = "a test")]

mod document;

use annal::query::{AttributeScope, Expr, Intrinsic, Operand, Reference};
use annal::{ErrorKind, limits};
use document::Document;
use proptest::prelude::*;

/// The lines of all blocks that open with this line.
fn blocks(opening: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/query.md");
    #[allow(clippy::disallowed_methods, reason = "reads a document, not a store")]
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == opening;
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

fn parse(text: &str) -> Expr {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn offset_of_error(text: &str) -> u64 {
    text.parse::<Expr>().expect_err(text).offset().expect("errors in texts have an offset")
}

#[test]
fn each_accepted_example_is_accepted_and_written_back_as_itself() {
    let examples = blocks("```query");
    assert!(examples.len() >= 18, "{} examples", examples.len());
    for text in examples {
        let expr = parse(&text);
        assert_eq!(parse(&expr.to_string()), expr, "{text}");
    }
}

#[test]
fn each_refused_example_is_refused_where_the_caret_stands() {
    let lines = blocks("```query-refused");
    assert!(lines.len() >= 40 && lines.len().is_multiple_of(2), "{} lines", lines.len());
    for pair in lines.chunks(2) {
        let [text, caret] = pair else { unreachable!("chunks of two") };
        let error = text.parse::<Expr>().expect_err(text);
        let (blanks, message) = caret.split_once('^').expect("a caret under each refused text");
        assert_eq!(error.offset(), Some(blanks.len() as u64), "{text}: {error}");
        assert!(error.message().starts_with(message.trim()), "{text}: {error}");
        assert_eq!(error.field(), Some("where"), "{text}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    }
}

#[test]
fn the_table_of_fields_is_that_of_the_code() {
    let rows = Document::read("docs/query.md").table_of("field");
    let document: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let code: Vec<&str> = Intrinsic::ALL.iter().map(|i| i.name()).collect();
    assert_eq!(document, code);
    for (row, intrinsic) in rows.iter().zip(Intrinsic::ALL) {
        for alias in row[1].split(", ").filter(|a| !a.is_empty()) {
            assert_eq!(Intrinsic::from_name(alias), Some(*intrinsic), "{alias}");
        }
    }
}

#[test]
fn the_table_of_scopes_is_that_of_the_code() {
    let rows = Document::read("docs/query.md").table_of("scope");
    let document: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(document, AttributeScope::ALL.map(AttributeScope::name));
}

#[test]
fn and_and_or_bind_equally_and_to_the_left() {
    assert_eq!(parse(".a && .b || .c").to_string(), "(.a && .b) || .c");
    assert_eq!(parse(".a || .b && .c").to_string(), "(.a || .b) && .c");
    assert_eq!(parse(".a && .b && .c").to_string(), ".a && .b && .c");
    assert_eq!(parse(".a && (.b && .c)").to_string(), ".a && (.b && .c)");
    assert_eq!(parse("{}"), Expr::Constant(true));
    assert_eq!(parse(" // nothing").to_string(), "true");
}

#[test]
fn names_run_as_far_as_traceql_lets_them() {
    let key = |text: &str| match parse(text) {
        Expr::Compare(comparison) => match comparison.left {
            Operand::Reference(Reference::Attribute { key, .. }) => key,
            other => panic!("{text}: {other}"),
        },
        other => panic!("{text}: {other}"),
    };
    assert_eq!(key(".a.b-c/d*e:f=1"), "a.b-c/d*e:f");
    assert_eq!(key("span.\"a b\".c = 1"), "a b.c");
    assert_eq!(key("resource.x\"y\\\"z\\\\\"=1"), "xy\"z\\");
    assert_eq!(key(".5 = 1"), "5");
    assert_eq!(key(".größe>1"), "größe");
    assert_eq!(key(".a//b = 1"), "a//b");
}

#[test]
fn bombs_are_refused_without_exhausting_the_stack() {
    let depth = limits::QUERY_TEXT_BYTES_MAX / 2;
    let limit = |text: &str| {
        let error = text.parse::<Expr>().expect_err("a bomb");
        assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
        assert!(error.offset().is_some());
    };
    limit(&"(".repeat(depth));
    limit(&"!".repeat(depth));
    limit(&".a && .b || ".repeat(depth / 6));
    limit(&" ".repeat(limits::QUERY_TEXT_BYTES_MAX + 1));
    limit(&format!("{}.a{}", "(".repeat(100), ")".repeat(100)));
    let regexes = |count: usize| format!(".a =~ \"b+\"{}", " && .a !~ \"b+\"".repeat(count - 1));
    parse(&regexes(limits::QUERY_REGEXES_MAX));
    limit(&regexes(limits::QUERY_REGEXES_MAX + 1));
    assert_eq!(offset_of_error(&regexes(limits::QUERY_REGEXES_MAX + 9)), 10 + 31 * 14 + 7);
    let wide = format!(".a{}", " && .a".repeat(10_000));
    assert_eq!(parse(&parse(&wide).to_string()), parse(&wide));
    let nested = format!("{}.a{}", "(".repeat(60), ")".repeat(60));
    assert_eq!(parse(&nested).to_string(), ".a");
}

#[test]
fn numbers_reach_to_the_ends_of_their_range() {
    for text in [".a = -9223372036854775808", ".a = 9223372036854775807", ".a = 1e300"] {
        assert_eq!(parse(text).to_string(), text);
    }
    assert_eq!(parse(".a = minInt"), parse(".a = -9223372036854775808"));
    assert_eq!(offset_of_error(".a = 9223372036854775808"), 5);
    assert_eq!(offset_of_error(".a = 99999999999999999999"), 5);
    assert_eq!(offset_of_error(".a = 1e400"), 5);
    assert_eq!(offset_of_error(".a > 300000d"), 5);
    assert_eq!(parse(".a = 1h30m0.5s").to_string(), ".a = 5400500000000ns");
}

#[test]
fn offsets_count_bytes() {
    assert_eq!(offset_of_error(".größe = \"ä\" && ?"), ".größe = \"ä\" && ".len() as u64);
    assert_eq!(offset_of_error("  \n .a ="), 8);
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9_.-]{0,12}",
        "[ -~]{1,8}",
        any::<String>().prop_filter("a key", |s| !s.is_empty() && s.len() < 40),
    ]
}

fn references() -> impl Strategy<Value = Reference> {
    let scopes = prop::option::of(prop::sample::select(AttributeScope::ALL.to_vec()));
    (scopes, names()).prop_map(|(scope, key)| Reference::Attribute { scope, key })
}

/// Texts that stand for themselves, built from the outside in.
fn expressions() -> impl Strategy<Value = Expr> {
    use annal::query::{Literal, Operator};
    let literal = prop_oneof![
        any::<i64>().prop_map(Literal::Int),
        any::<i64>().prop_map(Literal::Duration),
        any::<f64>().prop_filter("a number", |f| f.is_finite()).prop_map(Literal::Float),
        any::<String>().prop_map(Literal::String),
    ];
    let operator = prop::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ]);
    let leaf = prop_oneof![
        references().prop_map(Expr::Truth),
        any::<bool>().prop_map(Expr::Constant),
        (references(), operator, literal).prop_map(|(r, o, l)| Expr::compare(r, o, l)),
        references().prop_map(|r| Expr::compare(r, Operator::NotEqual, Literal::Nil)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Any),
            inner.prop_map(|e| Expr::Not(Box::new(e))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_parses_to_the_same(expr in expressions()) {
        let text = expr.to_string();
        let parsed: Result<Expr, _> = text.parse();
        prop_assert!(parsed.is_ok(), "{text}: {:?}", parsed);
        prop_assert_eq!(parsed.unwrap(), expr);
    }

    #[test]
    fn no_text_panics_and_what_is_accepted_is_stable(text in "[ -~\\n]{0,60}") {
        if let Ok(expr) = text.parse::<Expr>() {
            prop_assert_eq!(expr.to_string().parse::<Expr>().unwrap(), expr);
        }
    }

    #[test]
    fn shuffled_pieces_of_the_grammar_do_not_panic(
        pieces in prop::collection::vec(prop::sample::select(vec![
            ".a", "span.b", "resource.\"c d\"", "duration", "status", "trace:id", "severity", "=",
            "!=", "<", ">=", "=~", "!~", "&&", "||", "!", "(", ")", "{", "}", "-", "1", "1.5",
            "10ms", "\"x\"", "`y`", "nil", "true", "error", "ok", "server", "warn", "//", "/*", "*/",
            "\"", ".", "1e", "é", "\\",
        ]), 0..14),
        joint in prop::sample::select(vec!["", " "]),
    ) {
        let text = pieces.join(joint);
        match text.parse::<Expr>() {
            Ok(expr) => prop_assert_eq!(expr.to_string().parse::<Expr>().unwrap(), expr),
            Err(error) => prop_assert!(error.offset().is_some_and(|o| o <= text.len() as u64)),
        }
    }
}
