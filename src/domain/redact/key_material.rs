//! Private keys in text, whole or in parts: a log that was cut or filtered shows a few of their lines.

use regex::Regex;
use std::ops::Range;

/// Lines of a private key in PEM; the longest in use have about a hundred.
const MAX_KEY_LINES: usize = 400;
/// Lines in a row that are key material although no mark stands before or after them.
const RUN: usize = 3;
/// Characters of a full line of key material.
const FULL_LINE: std::ops::RangeInclusive<usize> = 60..=76;
/// Characters from which the last, shorter line of a key counts.
const SHORT_LINE: usize = 16;

/// Finds private keys.
#[derive(Debug, Clone)]
pub(super) struct KeyMaterial {
    marks: Regex,
}

impl KeyMaterial {
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self { marks: Regex::new("-----(?:(BEGIN)|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")? })
    }

    /// Where key material stands in `text`, in order and apart. Takes time in proportion to `text`.
    pub(super) fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = match text.contains("PRIVATE KEY") {
            true => self.marked(text),
            false => Vec::new(),
        };
        if text.len() > RUN * FULL_LINE.start() {
            found.extend(runs(text));
            found.sort_by_key(|range| range.start);
            found.dedup_by(|next, before| {
                let joined = next.start < before.end;
                if joined {
                    before.end = before.end.max(next.end);
                }
                joined
            });
        }
        found
    }

    fn marked(&self, text: &str) -> Vec<Range<usize>> {
        let marks: Vec<(bool, Range<usize>)> = self
            .marks
            .captures_iter(text)
            .filter_map(|found| Some((found.get(1).is_some(), found.get(0)?.range())))
            .collect();
        let mut out: Vec<Range<usize>> = Vec::new();
        let mut covered = 0;
        for (n, (begins, mark)) in marks.iter().enumerate() {
            if mark.start < covered {
                continue;
            }
            let next = marks.get(n + 1);
            let range = match (begins, next) {
                (true, Some((false, end))) if few_lines(&text[mark.end..end.start]) => mark.start..end.end,
                (true, next) => {
                    let limit = next.map_or(text.len(), |(_, next)| next.start);
                    mark.start..mark.end + material_after(&text[mark.end..limit])
                }
                (false, _) => covered + material_before(&text[covered..mark.start])..mark.end,
            };
            covered = range.end;
            out.push(range);
        }
        out
    }
}

fn few_lines(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'\n').count() <= MAX_KEY_LINES
}

/// Bytes at the start of `text`, which follows a BEGIN, that belong to a key whose END is missing.
fn material_after(text: &str) -> usize {
    let mut end = 0;
    for (n, line) in text.split('\n').take(MAX_KEY_LINES).enumerate() {
        let start = if n == 0 { 0 } else { end + 1 };
        let token = token(line);
        let belongs = match n {
            // On the line of the mark only what touches it: a key with written-out line ends.
            0 => {
                let glued = line.bytes().take_while(|byte| is_base64(*byte) || matches!(byte, b'\\' | b'=')).count();
                if glued < line.trim_end().len() {
                    return glued;
                }
                true
            }
            _ => {
                (SHORT_LINE..=*FULL_LINE.end()).contains(&token.len()) && is_mixed(&line[token])
                    || line.trim().is_empty()
                    || line.contains("Proc-Type:")
                    || line.contains("DEK-Info:")
            }
        };
        if !belongs {
            break;
        }
        end = start + line.len();
    }
    // Empty lines at the end are no part of it.
    text[..end].trim_end().len()
}

/// Where in `text`, which an END follows, a key begins whose BEGIN is missing.
fn material_before(text: &str) -> usize {
    let mut lines = text.rsplit('\n').take(MAX_KEY_LINES).peekable();
    // The line of the mark itself: a key with written-out line ends, or nothing but a prefix.
    let glued = |byte: &u8| is_base64(*byte) || matches!(byte, b'\\' | b'=');
    let glued = lines.next().map_or(0, |line| line.bytes().rev().take_while(glued).count());
    let mut start = text.len() - glued;
    let mut end = text.len() - text.rsplit('\n').next().map_or(0, str::len);
    let is_full = |line: &str| FULL_LINE.contains(&token(line).len()) && is_mixed(&line[token(line)]);
    let mut last = true;
    while let Some(line) = lines.next() {
        // `end` is the start of the line after this one.
        let offset = end - 1 - line.len();
        let token = token(line);
        let short = !token.is_empty() && lines.peek().is_some_and(|line| is_full(line))
            || token.len() >= SHORT_LINE && is_mixed(&line[token.clone()]);
        if !(is_full(line) || last && short) {
            break;
        }
        start = offset + token.start;
        (end, last) = (offset, false);
    }
    start
}

/// Full lines of key material, [`RUN`] or more in a row.
fn runs(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut run: Option<(usize, Range<usize>)> = None;
    let mut start = 0;
    for line in text.split('\n') {
        let token = token(line);
        if FULL_LINE.contains(&token.len()) && is_mixed(&line[token.clone()]) {
            let (lines, range) = run.get_or_insert((0, start + token.start..0));
            *lines += 1;
            range.end = start + token.end;
        } else if let Some((lines, mut range)) = run.take()
            && lines >= RUN
        {
            // The last line of a key is shorter.
            if (SHORT_LINE..*FULL_LINE.start()).contains(&token.len()) && is_mixed(&line[token.clone()]) {
                range.end = start + token.end;
            }
            out.push(range);
        }
        start += line.len() + 1;
    }
    out.extend(run.filter(|(lines, _)| *lines >= RUN).map(|(_, range)| range));
    out
}

/// The base64 that a line ends in, whatever quotes, commas and written-out line ends follow it.
fn token(line: &str) -> Range<usize> {
    let closing = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | ',' | ';');
    let line = line.trim_end_matches(closing);
    let line = line.strip_suffix("\\n").unwrap_or(line);
    let line = line.strip_suffix("\\r").unwrap_or(line);
    let unpadded = line.trim_end_matches('=');
    let length = unpadded.bytes().rev().take(FULL_LINE.end() + 1).take_while(|byte| is_base64(*byte)).count();
    let padding = if length == 0 { 0 } else { (line.len() - unpadded.len()).min(2) };
    unpadded.len() - length..unpadded.len() + padding
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Digests, paths and rulers are of the same letters, but not of all kinds of them.
fn is_mixed(token: &str) -> bool {
    token.bytes().any(|b| b.is_ascii_uppercase())
        && token.bytes().any(|b| b.is_ascii_lowercase())
        && token.bytes().any(|b| b.is_ascii_digit())
}
