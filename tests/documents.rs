//! The documents for people, held against the code: what stands in two places stays equal.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that reads the tree")]

mod document;

use annal::{ErrorKind, limits};
use document::Document;

#[test]
fn the_table_of_errors_is_the_policy_of_the_code() {
    let rows = Document::read("docs/operations.md").table_of("kind");
    let code: Vec<Vec<String>> = ErrorKind::POLICY
        .iter()
        .map(|p| {
            let numbers = [u64::from(p.http_status), p.tcp_code.into(), p.exit_code.into()];
            let retry = if p.retry { "yes" } else { "no" };
            let mut row = vec![p.name.to_owned()];
            row.extend(numbers.map(|n| n.to_string()));
            row.push(retry.to_owned());
            row
        })
        .collect();
    let document: Vec<Vec<String>> = rows.iter().map(|row| row[..5].to_vec()).collect();
    assert_eq!(document, code);
    assert!(rows.iter().all(|row| !row[5].is_empty()), "a kind is not explained");
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let rows = Document::read("docs/operations.md").table_of("limit");
    let code: Vec<Vec<String>> = limits::ALL
        .iter()
        .map(|(name, value, why)| {
            vec![(*name).to_owned(), value.to_string(), why.trim().to_owned()]
        })
        .collect();
    for (document, code) in rows.iter().zip(&code) {
        assert_eq!(document, code);
    }
    assert_eq!(rows.len(), code.len());
}

#[test]
fn the_table_of_options_is_what_serve_takes() {
    let text = Document::read("crates/annal-server/src/config.rs").text;
    let from = text.split("pub(crate) struct Settings {").nth(1).expect("the struct is there");
    let fields = from.split("\n}").next().expect("it ends");
    let of_code: Vec<String> = fields
        .lines()
        .filter_map(|l| l.trim().strip_prefix("pub(crate) ")?.split(':').next())
        .map(|name| name.replace('_', "-"))
        .collect();
    let rows = Document::read("docs/operations.md").table_of("option");
    let documented: Vec<String> = rows.iter().map(|r| r[0].clone()).collect();
    assert_eq!(documented, of_code);
}

#[test]
fn the_table_of_routes_is_that_of_the_router() {
    let text = Document::read("crates/annal-server/src/http/routes.rs").text;
    let of_code: Vec<(String, String)> = text
        .lines()
        .filter_map(|l| l.trim().strip_prefix(".route(\"")?.split_once("\", "))
        .map(|(path, handlers)| {
            let methods =
                ["get", "post"].into_iter().filter(|m| handlers.contains(&format!("{m}(")));
            (path.to_owned(), methods.map(str::to_uppercase).collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert!(of_code.len() > 10, "the reader of routes is broken: {of_code:?}");
    let rows = Document::read("docs/http.md").table_of("route");
    let documented: Vec<_> = rows.iter().map(|r| (r[0].clone(), r[1].clone())).collect();
    assert_eq!(documented, of_code);
}

#[test]
fn documents_keep_their_lengths() {
    for (name, lines_max) in [("README.md", 200), ("ARCHITECTURE.md", 250)] {
        let lines = Document::read(name).text.lines().count();
        assert!(lines <= lines_max, "{name}: {lines} lines, at most {lines_max}");
    }
}

/// Text in back quotes that looks like a path of the project.
fn quoted_paths(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let roots = ["src/", "tests/", "docs/", "crates/", "fuzz/", "benches/", "tools/", "examples/"];
    let path = |q: &str| q.split(' ').next().unwrap_or_default().to_owned();
    quoted.filter(|q| roots.iter().any(|r| q.starts_with(r))).map(path).collect()
}

#[test]
fn the_code_map_names_what_exists_and_all_modules() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = Document::read("ARCHITECTURE.md").text;
    let paths = quoted_paths(&text);
    for path in &paths {
        assert!(root.join(path).exists(), "ARCHITECTURE.md names {path}, which does not exist");
    }
    let library = std::fs::read_to_string(root.join("src/lib.rs")).unwrap();
    let modules: Vec<_> = library
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ").or_else(|| l.strip_prefix("mod ")))
        .map(|l| l.trim_end_matches(';').to_owned())
        .collect();
    assert!(modules.len() > 10, "only {modules:?}");
    for module in modules {
        let named = [format!("src/{module}.rs"), format!("src/{module}/")];
        assert!(named.iter().any(|n| paths.contains(n)), "ARCHITECTURE.md lacks src/{module}");
    }
}

#[test]
fn documents_name_files_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/operations.md"] {
        for path in quoted_paths(&Document::read(name).text) {
            assert!(root.join(&path).exists(), "{name} names {path}, which does not exist");
        }
    }
}
