//! Documents as Jira Server and Data Center take them: wiki markup.
//!
//! In text from outside, every character that could begin markup, a link or a picture becomes a numeric
//! entity, which Jira shows as the character.

use super::document::{Block, Span, fitted};
use crate::template::fence::visible;

/// Most characters of a text: Jira takes 32,767 unless it is told otherwise.
pub const MOST: usize = 32_000;

/// The text of `blocks`, as many of them as fit.
pub fn text(blocks: Vec<Block>) -> String {
    let blocks = fitted(blocks, MOST, |block| written(block).chars().count() + 2);
    blocks.iter().map(written).collect::<Vec<_>>().join("\n\n")
}

fn written(block: &Block) -> String {
    match block {
        Block::Heading(text) => format!("h3. {}", plain(text)),
        Block::Paragraph(spans) => inline(spans),
        Block::List { ordered, items } => {
            let mark = if *ordered { '#' } else { '*' };
            items.iter().map(|item| format!("{mark} {}", inline(item))).collect::<Vec<_>>().join("\n")
        }
        // Within {noformat} nothing but its own end is markup.
        Block::Code(lines) => {
            let lines: Vec<String> = lines.iter().map(|line| one_line(line).replace('{', "\u{ff5b}")).collect();
            format!("{{noformat}}\n{}\n{{noformat}}", lines.join("\n"))
        }
        Block::Table { head, rows } => {
            let cells = |mark: &str, cells: &[String]| {
                let cells: Vec<String> = cells.iter().map(|cell| filled(plain(cell))).collect();
                format!("{mark}{}{mark}", cells.join(mark))
            };
            let head = cells("||", head);
            std::iter::once(head).chain(rows.iter().map(|row| cells("|", row))).collect::<Vec<_>>().join("\n")
        }
    }
}

/// An empty cell would make its marks those of a head.
fn filled(cell: String) -> String {
    if cell.trim().is_empty() { " ".to_owned() } else { cell }
}

fn inline(spans: &[Span]) -> String {
    let written = spans.iter().map(|span| match span {
        Span::Text(text) => plain(text),
        Span::Strong(text) => format!("*{}*", plain(text)),
        Span::Code(text) => format!("{{{{{}}}}}", plain(text)),
        Span::Link { text, url } => format!("[{}|{url}]", plain(text)),
    });
    written.collect()
}

/// `text` on one line, of which nothing is markup.
pub fn plain(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len());
    // What has a capital letter could be the key of an issue, which Jira would link.
    let (mut before, mut capital): (Option<char>, bool) = (None, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        match is_plain(before, c, after) && !(c == '-' && capital) {
            true => out.push(c),
            false => out.push_str(&format!("&#{};", u32::from(c))),
        }
        capital = c.is_uppercase() || capital && (c.is_alphanumeric() || matches!(c, '-' | '_'));
        before = Some(c);
    }
    out
}

/// Whether `c` between its neighbours can be no part of markup.
fn is_plain(before: Option<char>, c: char, after: Option<char>) -> bool {
    let within = |side: fn(char) -> bool| before.is_some_and(side) && after.is_some_and(side);
    match c {
        c if c.is_alphanumeric() => true,
        ' ' | ',' | '\'' | '"' | '%' | '=' | '/' => true,
        // No heading (`h1.`), no list (`1.`), and no dots that become one.
        '.' => after.is_none_or(|c| c != '.') && before.is_some_and(|c| c != '.') && !is_start(before, after),
        // No address, no smiley.
        ':' => {
            within(|c| c.is_ascii_digit())
                || before.is_some_and(char::is_alphanumeric) && after.is_none_or(|c| c == ' ')
        }
        // No strike, no dash, no list.
        '-' => within(|c| c.is_ascii_lowercase() || c.is_ascii_digit()),
        // Within a word it is a part of it.
        '_' => within(char::is_alphanumeric),
        // No address of a mailbox: an entry of a chain.
        '@' => within(|c| c.is_ascii_hexdigit()) && before.is_some_and(|c| c.is_ascii_digit()),
        _ => !c.is_ascii(),
    }
}

/// A point with which a line's beginning could mean something: it is followed by a space or nothing.
fn is_start(before: Option<char>, after: Option<char>) -> bool {
    before.is_some_and(|c| c.is_ascii_digit() || c == 'q') && after.is_none_or(|c| c == ' ')
}

fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}
