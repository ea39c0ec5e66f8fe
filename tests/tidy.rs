//! The house rules that a compiler does not hold: layers, homes, sizes, words.
//!
//! 1. Read each source file of the workspace once; tell test code and comments apart by shape
//!    (the tree is formatted by rustfmt, so a block ends where its indentation returns).
//! 2. Collect everything that breaks a rule, with file and line.
//! 3. Fail once, with the whole list.
#![allow(clippy::disallowed_methods, reason = "reads the source tree, not a store")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules of `src` from the ground up, and what each may import beside itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", WORDS),
    ("time", WORDS),
    ("event", WORDS),
    ("limits", WORDS),
    ("options", WORDS),
    ("codec", WORDS),
    ("format", &["error", "time", "event", "limits", "options", "codec"]),
    // Made of hashes, texts and numbers: what columns are summed up in.
    ("index", &["error", "time", "event", "limits", "options", "codec"]),
    ("column", &["error", "time", "event", "limits", "options", "codec", "format", "index"]),
    ("storage", WORDS),
    ("segment", BELOW_STORE),
    ("store", BELOW_STORE),
    ("query", BELOW_INGEST),
    ("ingest", BELOW_NET),
    ("net", FOR_NET),
];
const WORDS: &[&str] = &["error", "time", "event", "limits", "options"];
const BELOW_STORE: &[&str] = &[
    "error", "time", "event", "limits", "options", "codec", "format", "column", "storage", "index",
    "segment",
];
/// A query sees snapshots and what they are made of, never the disk.
const BELOW_INGEST: &[&str] = &[
    "error", "time", "event", "limits", "options", "codec", "format", "column", "index", "segment",
    "store",
];
const BELOW_NET: &[&str] = &[
    "error", "time", "event", "limits", "options", "codec", "format", "column", "index", "store",
    "query",
];
/// The protocol goes through ingest and query; it never sees a store, a segment or the disk.
const FOR_NET: &[&str] = &[
    "error", "time", "event", "limits", "options", "codec", "format", "column", "query", "ingest",
];

/// What may be used against the rule, with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("net", "Snapshot", "the view that ingest hands out and that questions are asked of")];

const LINES_MAX: usize = 600;
const LINES_REPORTED: usize = 400;
const COLUMNS_MAX: usize = 102;
const FUNCTION_LINES_MAX: usize = 100;
const FUNCTION_LINES_REPORTED: usize = 60;

struct Source {
    path: String,
    text: String,
}

struct Line<'a> {
    number: usize,
    text: &'a str,
    in_test: bool,
}

impl Source {
    /// Lines that are no comments, each marked as test code or not.
    fn code(&self) -> Vec<Line<'_>> {
        let all_test = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let mut test_ends: Option<&str> = None;
        let mut lines = Vec::new();
        for (index, text) in self.text.lines().enumerate() {
            let indent = &text[..text.len() - text.trim_start().len()];
            if test_ends.is_none() && text.trim() == "#[cfg(test)]" {
                test_ends = Some(indent);
            }
            let in_test = all_test || test_ends.is_some();
            if let Some(until) = test_ends
                && indent == until
                && (text.ends_with(';') || text.ends_with('}'))
            {
                test_ends = None;
            }
            let code = text.split(" // ").next().unwrap_or_default();
            if !text.trim_start().starts_with("//") {
                lines.push(Line { number: index + 1, text: code, in_test });
            }
        }
        lines
    }

    /// The module of `src` that the file belongs to; `None` for `lib.rs` and other crates.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let name = inside.split('/').next()?.trim_end_matches(".rs");
        (name != "lib").then_some(name)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "benches", "examples", "crates", "fuzz"].map(|f| root().join(f)).into();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push(Source { path: name, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 30, "the walk found only {} files", found.len());
    found
}

fn fail_with(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n  {}\n", broken.join("\n  "));
}

/// Where the names that `lib.rs` exports at the root come from.
fn root_exports() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut exports = Vec::new();
    for statement in text.split(';').filter_map(|s| s.split_once("pub use ")) {
        let (module, names) = statement.1.split_once("::").expect("pub use module::names");
        for name in names.trim_matches(['{', '}']).split(',') {
            exports.push((name.trim().to_owned(), module.to_owned()));
        }
    }
    assert!(exports.iter().any(|(name, module)| name == "Error" && module == "error"));
    exports
}

/// The paths behind each `crate::` of a text, groups taken apart at their first level.
fn crate_paths(text: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].matches('\n').count();
        let rest = &text[at + "crate::".len()..];
        let path_of = |s: &str| {
            let end = s.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
            s[..end.unwrap_or(s.len())].to_owned()
        };
        let Some(group) = rest.strip_prefix('{') else {
            paths.push((line, path_of(rest)));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    let item = group[start..i].trim();
                    if !item.is_empty() {
                        paths.push((line, path_of(item)));
                    }
                    start = i + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    paths
}

#[test]
fn imports_go_downward_only() {
    let exports = root_exports();
    let mut broken = Vec::new();
    let mut paths_seen = 0;
    for source in sources() {
        let Some(module) = source.module().map(str::to_owned) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            broken.push(format!("{}: module {module} stands in no layer", source.path));
            continue;
        };
        let code: Vec<_> = source.code().into_iter().filter(|l| !l.in_test).collect();
        let text: String = code.iter().flat_map(|l| [l.text, "\n"]).collect();
        for (line, path) in crate_paths(&text) {
            paths_seen += 1;
            let first = path.split("::").next().unwrap_or_default();
            let target = exports.iter().find(|(name, _)| name == first).map_or(first, |(_, m)| m);
            let excepted = EXCEPTIONS.iter().any(|(from, to, _)| *from == module && path == *to);
            if target != module && !allowed.contains(&target) && !excepted {
                let number = code.get(line).map_or(0, |l| l.number);
                broken.push(format!("{}:{number}: {module} imports {path}", source.path));
            }
        }
    }
    assert!(paths_seen > 50, "only {paths_seen} paths found: the reader is broken");
    fail_with("imports against the layers", &broken);
}

#[test]
fn the_reader_of_paths_takes_groups_apart() {
    let text =
        "use crate::{error::{Error, Result},\n time::Timestamp};\nlet a = crate::codec::x();";
    let found: Vec<_> = crate_paths(text).into_iter().map(|(_, p)| p).collect();
    assert_eq!(found, ["error::", "time::Timestamp", "codec::x"]);
}

/// Whether the word stands in the text by itself.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

#[test]
fn files_unsafe_time_and_threads_stay_in_their_homes() {
    // (what, homes, whether tests may).
    let homes: &[(&str, &[&str], bool)] = &[
        ("std::fs", &["src/storage/"], true),
        (concat!("un", "safe"), &["src/storage/map.rs", "src/column/kernels.rs"], false),
        ("SystemTime::now", &["src/time.rs"], true),
        ("Instant::now", &["src/time.rs"], true),
        ("thread::spawn", &["src/store/", "src/net/blocking"], true),
        ("thread::Builder", &["src/store/", "src/net/blocking"], true),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        let library =
            source.path.starts_with("src/") || source.path.starts_with("crates/annal-sim/src");
        for line in source.code() {
            for (what, at_home, tests_may) in homes {
                let applies = if *tests_may { library && !line.in_test } else { true };
                let home = at_home.iter().any(|h| source.path.starts_with(h));
                if applies && !home && has_word(line.text, what) {
                    broken.push(format!("{}:{}: {what}", source.path, line.number));
                }
            }
        }
    }
    fail_with("away from home", &broken);
}

#[test]
fn files_say_what_they_are_and_stay_small() {
    let mut broken = Vec::new();
    let mut report = String::new();
    for source in sources() {
        let path = &source.path;
        // Unit tests in a file of their own belong to the module that says what they test.
        if !source.text.starts_with("//! ") && !path.ends_with("/tests.rs") {
            broken.push(format!("{path}: does not open with `//! ` saying what it is"));
        }
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            broken.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        } else if lines > LINES_REPORTED {
            let _ = writeln!(report, "{path}: {lines} lines");
        }
        for (index, line) in source.text.lines().enumerate() {
            // A row of a table cannot be folded.
            let is_row = line.trim_start_matches(['/', '!', ' ']).starts_with('|');
            if line.chars().count() > COLUMNS_MAX && !is_row {
                broken.push(format!("{path}:{}: wider than {COLUMNS_MAX} columns", index + 1));
            }
        }
    }
    print!("{report}");
    fail_with("files out of shape", &broken);
}

#[test]
fn functions_stay_readable() {
    let mut broken = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if line.trim_start().starts_with("//") || !has_word(line, "fn") || line.contains('"') {
                continue;
            }
            let end = lines.iter().skip(start).position(|l| {
                l.len() - l.trim_start().len() == indent && (l.ends_with('}') || l.ends_with(';'))
            });
            let length = end.unwrap_or(0);
            if length > FUNCTION_LINES_MAX {
                broken.push(format!("{}:{}: {length} lines", source.path, start + 1));
            } else if length > FUNCTION_LINES_REPORTED {
                println!("{}:{}: a function of {length} lines", source.path, start + 1);
            }
        }
    }
    fail_with("functions over the limit", &broken);
}

#[test]
fn nothing_is_left_undone_and_nothing_stands_twice() {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("unimple", "mented!"),
    ];
    let twins = concat!("_v", "2");
    let mut broken = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            let word = words.iter().find(|w| has_word(line, w));
            let twin = line.contains(twins).then_some(&twins);
            if let Some(what) = word.or(twin) {
                broken.push(format!("{}:{}: {what}", source.path, index + 1));
            }
        }
    }
    fail_with("left undone", &broken);
}

/// Names under a table of a manifest whose head is exactly this.
fn dependencies(manifest: &str, table: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root().join(manifest)).unwrap();
    let lines = text.lines().skip_while(|l| l.trim() != table).skip(1);
    lines
        .take_while(|l| !l.starts_with('['))
        .filter_map(|l| l.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_towards_annal() {
    for table in ["[dependencies]", "[dev-dependencies]"] {
        let names = dependencies("Cargo.toml", table);
        assert!(!names.is_empty(), "{table} of annal was not found");
        assert!(!names.iter().any(|n| n.starts_with("annal")), "annal points back: {names:?}");
    }
    let sim = dependencies("crates/annal-sim/Cargo.toml", "[dependencies]");
    assert!(sim.contains(&"annal".to_owned()) && !sim.contains(&"annal-server".to_owned()));
    let server = dependencies("crates/annal-server/Cargo.toml", "[dependencies]");
    assert!(server.contains(&"annal".to_owned()) && !server.contains(&"annal-sim".to_owned()));
}

#[test]
fn the_engine_without_net_has_no_async_runtime() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "annal", "--no-default-features", "-e", "normal"])
        .args(["--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.contains("crc32fast "), "not annal's tree:\n{tree}");
    for unwanted in ["tokio ", "mio ", "async-std ", "smol ", "arrow-array "] {
        assert!(
            !tree.lines().any(|l| l.starts_with(unwanted)),
            "{unwanted}is in the tree:\n{tree}"
        );
    }
}
