//! Markdown on a terminal: headings bold, text wrapped, tables aligned. Pure.

use super::text::{Colour, Style, block, cut, pad, wrap};

/// Most characters of a document that are shown.
const MOST: usize = 400_000;

/// The lines of `markdown`, at most `columns` wide but for code blocks.
pub fn lines(markdown: &str, columns: usize, colour: Colour) -> Vec<String> {
    let clean = block(markdown, MOST);
    let mut out = vec![];
    let mut paragraph = String::new();
    let mut rows: Vec<Vec<String>> = vec![];
    let mut code = false;
    for line in clean.lines().chain([""]) {
        let trimmed = line.trim_start();
        if trimmed.starts_with('|') && !code {
            flush(&mut paragraph, columns, colour, &mut out);
            rows.push(cells(trimmed));
            continue;
        }
        if !rows.is_empty() {
            out.extend(table(&std::mem::take(&mut rows), columns, colour));
        }
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            flush(&mut paragraph, columns, colour, &mut out);
            code = !code;
            continue;
        }
        if code {
            out.push(format!("    {line}"));
            continue;
        }
        let heading = trimmed.trim_start_matches('#');
        let level = trimmed.len() - heading.len();
        if trimmed.is_empty() {
            flush(&mut paragraph, columns, colour, &mut out);
            if out.last().is_some_and(|last| !last.is_empty()) {
                out.push(String::new());
            }
        } else if (1..=6).contains(&level) && heading.starts_with(' ') {
            flush(&mut paragraph, columns, colour, &mut out);
            let heading = wrap(&plain(heading), columns);
            out.extend(heading.into_iter().map(|text| colour.paint(Style::Bold, &text)));
        } else if let Some((marker, text)) = item(trimmed) {
            flush(&mut paragraph, columns, colour, &mut out);
            // The next lines may belong to the item: it is a paragraph with a hanging indent.
            let indent = line.len() - trimmed.len();
            paragraph = format!("{}{marker} {text}", " ".repeat(indent.min(12)));
        } else {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(trimmed.strip_prefix("> ").unwrap_or(trimmed));
        }
    }
    flush(&mut paragraph, columns, colour, &mut out);
    while out.last().is_some_and(String::is_empty) {
        out.pop();
    }
    out
}

/// `- text`, `* text`, `1. text`.
fn item(line: &str) -> Option<(&str, &str)> {
    let (marker, text) = line.split_once(' ')?;
    let number = marker.strip_suffix('.').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    (matches!(marker, "-" | "*" | "+") || number).then_some((marker, text.trim_start()))
}

/// Writes the paragraph and begins a new one.
fn flush(paragraph: &mut String, columns: usize, colour: Colour, out: &mut Vec<String>) {
    let text = std::mem::take(paragraph);
    if text.is_empty() {
        return;
    }
    let trimmed = text.trim_start();
    let indent = text.len() - trimmed.len();
    let (first, hang, body) = match item(trimmed) {
        Some((marker, body)) => (format!("{}{marker} ", " ".repeat(indent)), indent + marker.len() + 1, body),
        None => (String::new(), 0, trimmed),
    };
    for (number, text) in wrap(body, columns.saturating_sub(hang)).into_iter().enumerate() {
        let lead = if number == 0 { first.clone() } else { " ".repeat(hang) };
        out.push(format!("{lead}{}", inline(&text, colour)));
    }
}

/// `**bold**` and `` `code` `` without their marks, the former bold.
fn inline(text: &str, colour: Colour) -> String {
    let mut parts = text.split("**");
    let mut out = parts.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = parts.collect();
    for (number, part) in rest.iter().enumerate() {
        match (number % 2 == 0, number + 1 < rest.len()) {
            (true, true) => out.push_str(&colour.paint(Style::Bold, part)),
            // A mark without its end stays: the paragraph was wrapped inside of it.
            (true, false) => out.push_str(part),
            (false, _) => out.push_str(part),
        }
    }
    unescape(&out.replace('`', ""))
}

/// `\[` is `[`: a backslash before punctuation only says that it is punctuation.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' || !chars.peek().is_some_and(char::is_ascii_punctuation) {
            out.push(c);
        }
    }
    out
}

fn plain(text: &str) -> String {
    unescape(text.replace("**", "").replace('`', "").trim())
}

fn cells(row: &str) -> Vec<String> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    inner.replace("\\|", "\u{1}").split('|').map(|cell| plain(cell).replace('\u{1}', "|")).collect()
}

/// Aligned columns; the widest one is cut when there is not enough room.
fn table(rows: &[Vec<String>], columns: usize, colour: Colour) -> Vec<String> {
    let rule = |row: &[String]| row.iter().all(|c| !c.is_empty() && c.chars().all(|c| matches!(c, '-' | ':' | ' ')));
    let rows: Vec<&Vec<String>> = rows.iter().filter(|row| !rule(row)).collect();
    let count = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let cell = |row: &[String], n: usize| row.get(n).cloned().unwrap_or_default();
    let mut widths: Vec<usize> =
        (0..count).map(|n| rows.iter().map(|row| cell(row, n).chars().count()).max().unwrap_or(0)).collect();
    let gaps = 2 * count.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns {
        let Some(widest) = widths.iter_mut().max_by_key(|w| **w).filter(|w| **w > 8) else { break };
        *widest -= 1;
    }
    let mut out = vec![];
    for (number, row) in rows.iter().enumerate() {
        // One line for each row: whoever wants all of a cell has the report as JSON or Markdown.
        let cells: Vec<String> =
            widths.iter().enumerate().map(|(n, width)| pad(&cut(&cell(row, n), *width), *width)).collect();
        let text = cells.join("  ").trim_end().to_owned();
        out.push(if number == 0 { colour.paint(Style::Bold, &text) } else { text });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "# PVCUsageHigh: volume `data-typedb-0` fills\n\n**Verdict:** likely (0.87). The operator was scaled to 0 and \
        nothing has scaled it back since, so that no volume can be mounted anywhere.\nSecond line of it.\n\n## Root causes\n\n\
        1. **scaled_to_zero** Deployment ceph-csi/operator was scaled from 1 to 0 by kubectl-scale \\[E4, E9\\]\n   and stayed there.\n\
        - item\n  - nested item that is long enough to be wrapped into a second line of text here\n\n```\nkubectl scale deploy \
        -n ceph-csi operator --replicas 1 --and-a-very-long-tail-that-stays-on-one-line\n```\n\n| Evidence | Tool | What |\n|---|:--|---|\n\
        | E1 | kubernetes_get | a long text that does not fit into its column and is therefore wrapped \\| cut |\n| E2 | x | y |\n\n\
        > quoted \x1b[31mtext\n";

    #[test]
    fn a_report_is_readable() {
        let shown = lines(REPORT, 60, Colour::Off);
        assert!(shown.iter().filter(|l| !l.starts_with("    kubectl")).all(|l| l.chars().count() <= 60));
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn headings_are_bold() {
        assert_eq!(
            lines("# A `b`\ntext **bold** end", 60, Colour::On),
            ["\x1b[1mA b\x1b[0m", "text \x1b[1mbold\x1b[0m end"]
        );
        assert_eq!(lines("", 60, Colour::On), Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_shown(text: String) {
            for line in lines(&text, 60, Colour::Off) {
                proptest::prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
