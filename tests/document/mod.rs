//! Reads a Markdown document's tables and annotated hex, so that tests can hold them against the
//! code.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::disallowed_methods, reason = "reads a document, not a store")]

use std::fmt::Write as _;
use std::path::Path;

/// A document of the project.
pub(crate) struct Document {
    name: String,
    pub(crate) text: String,
}

/// A row of a field table: `offset | size | field | type | ...`.
pub(crate) struct FieldRow {
    pub(crate) offset: usize,
    pub(crate) size: usize,
    pub(crate) name: String,
    pub(crate) kind: String,
}

impl Document {
    /// Reads a file by its path from the project's root.
    pub(crate) fn read(name: &str) -> Document {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        Document { name: name.to_owned(), text }
    }

    /// The rows of the first table after a line, without head and rule.
    fn rows_after(&self, is_start: impl Fn(&str) -> bool, what: &str) -> Vec<Vec<String>> {
        let mut lines = self.text.lines().skip_while(|l| !is_start(l)).peekable();
        assert!(lines.peek().is_some(), "{}: no {what}", self.name);
        let rows: Vec<_> = lines
            .skip_while(|l| !l.starts_with('|'))
            .take_while(|l| l.starts_with('|'))
            .skip(2)
            .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
            .collect();
        assert!(!rows.is_empty(), "{}: the table of {what} is empty", self.name);
        rows
    }

    /// The first table under a heading.
    pub(crate) fn table_under(&self, heading: &str) -> Vec<Vec<String>> {
        self.rows_after(|l| l.starts_with('#') && l.trim_matches(['#', ' ']) == heading, heading)
    }

    /// The table whose first column has this head; with several, all their rows.
    pub(crate) fn table_of(&self, head: &str) -> Vec<Vec<String>> {
        let first = format!("| {head} |");
        let lines: Vec<&str> = self.text.lines().collect();
        let is_head = |pair: &[&str]| pair[0].starts_with(&first) && pair[1].starts_with("|---");
        let heads = lines.windows(2).enumerate().filter(|(_, pair)| is_head(pair));
        let rows: Vec<_> = heads
            .flat_map(|(at, _)| lines[at + 2..].iter().take_while(|l| l.starts_with('|')))
            .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
            .collect();
        assert!(!rows.is_empty(), "{}: no table of {head}", self.name);
        rows
    }

    /// The field table under a heading; its rows have to follow each other without a gap.
    pub(crate) fn fields(&self, heading: &str) -> Vec<FieldRow> {
        let mut end = 0;
        let mut fields = Vec::new();
        for row in self.table_under(heading) {
            let number = |i: usize| -> usize {
                row[i].parse().unwrap_or_else(|e| panic!("{heading}: {row:?}: {e}"))
            };
            let (offset, size) = (number(0), number(1));
            assert_eq!(offset, end, "{heading}: {} does not follow", row[2]);
            let of_type = match row[3].as_str() {
                "u8" => 1,
                "u16" => 2,
                "u32" => 4,
                "u64" | "i64" => 8,
                "bytes" => size,
                other => panic!("{heading}: unknown type {other}"),
            };
            assert_eq!(size, of_type, "{heading}: size of {}", row[2]);
            end = offset + size;
            fields.push(FieldRow { offset, size, name: row[2].clone(), kind: row[3].clone() });
        }
        fields
    }

    /// The text of a fenced block ```` ```hex name ````.
    pub(crate) fn hex_block(&self, name: &str) -> String {
        let fence = format!("```hex {name}");
        let lines = self.text.lines().skip_while(|l| *l != fence).skip(1);
        let block: Vec<_> = lines.take_while(|l| *l != "```").collect();
        block.join("\n")
    }

    /// Holds a field table against encoded bytes in which each field has the given value. A
    /// reserved field is zero; every other one is named on both sides.
    pub(crate) fn check_fields(&self, heading: &str, bytes: &[u8], values: &[(&str, &[u8])]) {
        let fields = self.fields(heading);
        let end = fields.last().map_or(0, |f| f.offset + f.size);
        assert_eq!(end, bytes.len(), "{heading}: the table's size against the encoded one");
        let mut unnamed: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        for field in &fields {
            let found = &bytes[field.offset..field.offset + field.size];
            if field.name == "reserved" {
                assert!(found.iter().all(|&b| b == 0), "{heading}: reserved at {}", field.offset);
                continue;
            }
            let value = values.iter().find(|(name, _)| *name == field.name);
            let (_, value) = value.unwrap_or_else(|| panic!("{heading}: unknown {}", field.name));
            assert_eq!(found, *value, "{heading}: bytes of {}", field.name);
            unnamed.retain(|name| *name != field.name);
        }
        assert!(unnamed.is_empty(), "{heading}: the table lacks {unnamed:?}");
    }

    /// Holds a hex example against bytes laid out as the field tables under `headings` say, one
    /// after another; what they leave over is the closing crc.
    pub(crate) fn check_example(&self, name: &str, headings: &[&str], bytes: &[u8]) {
        let mut expected = String::new();
        let mut at = 0;
        for heading in headings {
            for field in self.fields(heading) {
                annotate(&mut expected, at, &bytes[at..at + field.size], &field.name, &field.kind);
                at += field.size;
            }
        }
        if at < bytes.len() {
            assert_eq!(bytes.len() - at, 4, "{name}: more than a crc is left over");
            annotate(&mut expected, at, &bytes[at..], "crc", "u32");
        }
        assert!(
            self.hex_block(name).trim_end() == expected.trim_end(),
            "{}: the example {name} should read\n```hex {name}\n{expected}```\n",
            self.name
        );
    }
}

/// Appends `offset  bytes  name = value`, long runs of zeroes and long fields shortened.
pub(crate) fn annotate(out: &mut String, at: usize, bytes: &[u8], name: &str, kind: &str) {
    let shown = if bytes.len() > 16 && bytes.iter().all(|&b| b == 0) {
        format!("00 x {}", bytes.len())
    } else {
        bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    };
    let mut wide = [0; 8];
    let value = match kind {
        "bytes" => String::new(),
        _ => {
            wide[..bytes.len()].copy_from_slice(bytes);
            match kind {
                "i64" => format!(" = {}", i64::from_le_bytes(wide)),
                _ if name.ends_with("crc") || name == "salt" || name.ends_with("_salt") => {
                    format!(" = {:#x}", u64::from_le_bytes(wide))
                }
                _ => format!(" = {}", u64::from_le_bytes(wide)),
            }
        }
    };
    let _ = writeln!(out, "{at:04x}  {shown:<47}  {name}{value}");
}
