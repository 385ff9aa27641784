//! A source file as the rules see it: code alone, without comments, literals and tests.

/// One file of `src`.
#[derive(Debug, Clone)]
pub struct Source {
    /// `src/store/mod.rs`.
    pub path: String,
    /// The shipped code: comments, contents of literals and `#[cfg(test)]` items are blanked out.
    code: String,
    /// Identifiers and punctuation: line, start and end.
    tokens: Vec<(usize, usize, usize)>,
    /// Lines that are no tests.
    pub lines: usize,
    /// Modules that exist only in tests, as declared here: `src/store/tests`.
    pub test_modules: Vec<String>,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        let mut code = blank_literals(text).into_bytes();
        let mut test_modules = vec![];
        let mut test_lines = 0;
        while let Some(start) = find(&code, b"#[cfg(test)]") {
            let end = item_end(&code, start + b"#[cfg(test)]".len());
            let item = String::from_utf8_lossy(&code[start..end]).into_owned();
            if let Some(name) = declared_module(&item) {
                test_modules.push(format!("{}/{name}", module_folder(path)));
            }
            test_lines += item.matches('\n').count() + 1;
            code[start..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        }
        let code = String::from_utf8_lossy(&code).into_owned();
        let lines = text.lines().count().saturating_sub(test_lines);
        Self { path: path.to_owned(), tokens: tokenise(&code), code, lines, test_modules }
    }

    /// The top-level module that this file belongs to; `main` for the binary.
    pub fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// Segments of the module's path below the crate root.
    fn depth(&self) -> usize {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let parts = inside.split('/').count();
        match inside {
            "lib.rs" | "main.rs" => 0,
            _ if inside.ends_with("/mod.rs") => parts - 1,
            _ => parts,
        }
    }

    /// Identifiers and punctuation, with their lines.
    pub fn tokens(&self) -> Vec<(usize, &str)> {
        self.tokens.iter().map(|(line, start, end)| (*line, &self.code[*start..*end])).collect()
    }

    /// Top-level modules of this crate that the code names, with lines: `crate::x`, `crate::{x, y}`
    /// and `super::super::x` as far as it leaves this file's top-level module.
    pub fn imports(&self) -> Vec<(usize, String)> {
        let tokens = self.tokens();
        let mut found = vec![];
        for (at, (_, token)) in tokens.iter().enumerate() {
            let before = at.checked_sub(1).map(|n| tokens[n].1);
            let path_goes_on = |n: usize| tokens.get(n).is_some_and(|t| t.1 == "::");
            let start = match *token {
                "crate" if path_goes_on(at + 1) => Some(at + 2),
                "super" if before != Some("::") => {
                    let mut n = at;
                    let mut up = 1;
                    while path_goes_on(n + 1) && tokens.get(n + 2).is_some_and(|t| t.1 == "super") {
                        n += 2;
                        up += 1;
                    }
                    (up >= self.depth() && path_goes_on(n + 1)).then_some(n + 2)
                }
                _ => None,
            };
            if let Some(start) = start {
                found.extend(first_segments(&tokens, start));
            }
        }
        found
    }
}

fn tokenise(code: &str) -> Vec<(usize, usize, usize)> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut found, mut line, mut at) = (vec![], 1, 0);
    while let Some(first) = code[at..].chars().next() {
        let rest = &code[at..];
        let length = match first {
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            c => c.len_utf8(),
        };
        line += usize::from(first == '\n');
        if !first.is_whitespace() {
            found.push((line, at, at + length));
        }
        at += length;
    }
    found
}

/// `x` of `x::y`, `x` and `y` of `{x::{a, b}, y}`.
fn first_segments(tokens: &[(usize, &str)], start: usize) -> Vec<(usize, String)> {
    let Some((line, first)) = tokens.get(start) else { return vec![] };
    if *first != "{" {
        return vec![(*line, (*first).to_owned())];
    }
    let (mut depth, mut expects_name, mut found) = (0_usize, false, vec![]);
    for (line, token) in &tokens[start..] {
        match *token {
            "{" => {
                depth += 1;
                expects_name = depth == 1;
            }
            "}" => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            "," => expects_name = depth == 1,
            name if expects_name => {
                found.push((*line, name.to_owned()));
                expects_name = false;
            }
            _ => {}
        }
    }
    found
}

/// Where the sub-modules of a file live.
fn module_folder(path: &str) -> String {
    match path
        .strip_suffix("/mod.rs")
        .or_else(|| path.strip_suffix("/lib.rs"))
        .or_else(|| path.strip_suffix("/main.rs"))
    {
        Some(folder) => folder.to_owned(),
        None => path.trim_end_matches(".rs").to_owned(),
    }
}

/// `tests` of `#[cfg(test)] mod tests;`.
fn declared_module(item: &str) -> Option<&str> {
    let item = item.trim_end().strip_suffix(';')?;
    let (_, after) = item.split_once("mod ")?;
    Some(after.trim()).filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

fn find(code: &[u8], what: &[u8]) -> Option<usize> {
    code.windows(what.len()).position(|w| w == what)
}

/// Behind the item that starts at `from`: its `;`, or the `}` that closes its first `{`.
fn item_end(code: &[u8], from: usize) -> usize {
    let (mut braces, mut others) = (0_usize, 0_usize);
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'{' => braces += 1,
            b'}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 && others == 0 {
                    // `use x::{a, b};` ends with its semicolon.
                    let goes_on = code[at + 1..].iter().position(|b| !b.is_ascii_whitespace());
                    return match goes_on.map(|n| (n, code[at + 1 + n])) {
                        Some((n, b';')) => at + n + 2,
                        _ => at + 1,
                    };
                }
            }
            b'(' | b'[' => others += 1,
            b')' | b']' => others = others.saturating_sub(1),
            b';' | b',' if braces == 0 && others == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Blanks comments and the contents of literals; lines keep their numbers.
pub fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let in_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + block_comment(rest)
        } else if !in_word && let Some(length) = raw_string(rest) {
            at + length
        } else if rest[0] == b'"' {
            at + string(rest)
        } else if rest[0] == b'\''
            && let Some(length) = character(text, at)
        {
            at + length
        } else {
            at += 1;
            continue;
        };
        out[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> Option<usize> {
    let prefix = rest.iter().take_while(|b| matches!(b, b'b' | b'c')).count().min(1);
    let after = rest.get(prefix..)?.strip_prefix(b"r")?;
    let hashes = after.iter().take_while(|b| **b == b'#').count();
    let body = after.get(hashes..)?.strip_prefix(b"\"")?;
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(prefix + 1 + hashes + 1 + find(body, &close)? + close.len())
}

/// A character literal, not a lifetime.
fn character(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at + 1..)?;
    match rest.chars().next()? {
        '\\' => rest[2..].find('\'').map(|n| n + 4),
        c => rest[c.len_utf8()..].starts_with('\'').then_some(c.len_utf8() + 2),
    }
}

#[test]
fn only_shipped_code_is_seen() {
    let source = Source::read(
        "src/store/sqlite/mod.rs",
        r##"
// crate::one in a comment
/* crate::two /* nested */ crate::three */
use crate::{domain::{Risk, Verdict}, journal};
const A: &str = "crate::four \" crate::five";
const B: &str = r#"crate::six " "#; const C: char = '"'; const D: u8 = b'\''; fn f<'a>(x: &'a str) { crate::policy::g(x) }
#[cfg(test)]
use crate::gate::{Gate, Other};
#[cfg(test)]
mod tests;
use super::super::telemetry::emit; use super::StoreError;
#[cfg(test)]
mod inline {
    use crate::http::x;
}
"##,
    );
    let found: Vec<String> = source.imports().into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(found, ["4 domain", "4 journal", "6 policy", "11 telemetry"]);
    assert_eq!(source.test_modules, ["src/store/sqlite/tests"]);
    assert_eq!(source.module(), "store");
    assert_eq!(source.lines, 15 - 2 - 2 - 4);
}
