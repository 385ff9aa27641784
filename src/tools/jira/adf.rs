//! Documents as Jira Cloud takes and gives them (Atlassian Document Format).
//!
//! Text is a node of its own and never markup; the only links are those that a [`Span::Link`] asks for.

use super::document::{Block, Span, fitted};
use crate::template::fence::visible;
use serde_json::{Value, json};

/// Most characters of a document as it is sent: Jira takes 32,767.
pub const MOST: usize = 32_000;
/// Deepest nesting that is read.
const DEEPEST: usize = 40;

/// The document of `blocks`, as many of them as fit.
pub fn document(blocks: Vec<Block>) -> Value {
    let blocks = fitted(blocks, MOST - 100, |block| node(block).to_string().chars().count() + 1);
    json!({"version": 1, "type": "doc", "content": blocks.iter().map(node).collect::<Vec<_>>()})
}

fn node(block: &Block) -> Value {
    match block {
        Block::Heading(text) => {
            json!({"type": "heading", "attrs": {"level": 3}, "content": inline(&[Span::Text(text.clone())])})
        }
        Block::Paragraph(spans) => paragraph(spans),
        Block::List { ordered, items } => {
            let kind = if *ordered { "orderedList" } else { "bulletList" };
            let items: Vec<Value> =
                items.iter().map(|item| json!({"type": "listItem", "content": [paragraph(item)]})).collect();
            json!({"type": kind, "content": items})
        }
        Block::Code(lines) => {
            let text = lines.iter().map(|line| one_line(line)).collect::<Vec<_>>().join("\n");
            let content: Vec<Value> = text_node(&text).into_iter().collect();
            json!({"type": "codeBlock", "content": content})
        }
        Block::Table { head, rows } => {
            let head = head.iter().map(|cell| self::cell("tableHeader", cell)).collect::<Vec<_>>();
            let row = |cells: Vec<Value>| json!({"type": "tableRow", "content": cells});
            let rows = rows.iter().map(|cells| row(cells.iter().map(|cell| self::cell("tableCell", cell)).collect()));
            json!({"type": "table", "content": std::iter::once(row(head)).chain(rows).collect::<Vec<_>>()})
        }
    }
}

fn cell(kind: &str, text: &str) -> Value {
    json!({"type": kind, "attrs": {}, "content": [paragraph(&[Span::Text(text.to_owned())])]})
}

fn paragraph(spans: &[Span]) -> Value {
    json!({"type": "paragraph", "content": inline(spans)})
}

fn inline(spans: &[Span]) -> Vec<Value> {
    let marked = |text: &str, mark: Value| {
        text_node(&one_line(text)).map(|mut node| {
            node["marks"] = json!([mark]);
            node
        })
    };
    let nodes = spans.iter().filter_map(|span| match span {
        Span::Text(text) => text_node(&one_line(text)),
        Span::Strong(text) => marked(text, json!({"type": "strong"})),
        Span::Code(text) => marked(text, json!({"type": "code"})),
        Span::Link { text, url } => marked(text, json!({"type": "link", "attrs": {"href": url}})),
    });
    nodes.collect()
}

/// Jira refuses empty texts.
fn text_node(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

/// Without what cannot be seen, line ends as spaces.
fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// The plain text of a document that somebody wrote: blocks on lines of their own.
pub fn text_of(document: &Value) -> String {
    let mut out = String::new();
    read(document, 0, &mut out);
    out.trim().to_owned()
}

fn read(node: &Value, depth: usize, out: &mut String) {
    if depth > DEEPEST {
        return;
    }
    let attribute = |name: &str| node["attrs"][name].as_str().unwrap_or_default();
    match node["type"].as_str().unwrap_or_default() {
        "text" => out.push_str(node["text"].as_str().unwrap_or_default()),
        "hardBreak" => out.push('\n'),
        "mention" | "emoji" | "status" => out.push_str(attribute("text")),
        "inlineCard" | "blockCard" => out.push_str(attribute("url")),
        "rule" => out.push_str("---"),
        "listItem" => out.push_str("- "),
        _ => {}
    }
    for child in node["content"].as_array().into_iter().flatten() {
        read(child, depth + 1, out);
    }
    let ends_line = match node["type"].as_str().unwrap_or_default() {
        "tableCell" | "tableHeader" => {
            *out = format!("{} | ", out.trim_end());
            false
        }
        "paragraph" | "heading" | "codeBlock" | "listItem" | "tableRow" | "rule" | "blockCard" => true,
        _ => false,
    };
    if ends_line && !out.ends_with('\n') {
        out.push('\n');
    }
}
