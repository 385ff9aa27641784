//! The text of a page. What a browser would not show is not text: scripts, styles, comments.

/// Elements whose content is no text of the page.
const UNSEEN: [&str; 11] =
    ["script", "style", "noscript", "template", "svg", "iframe", "object", "select", "textarea", "nav", "title"];
/// Elements that begin a line.
const BLOCKS: [&str; 32] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "tr",
    "table",
    "pre",
    "blockquote",
    "section",
    "article",
    "header",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "dt",
    "dd",
    "dl",
    "main",
    "aside",
    "figure",
    "form",
    "thead",
    "tbody",
    "details",
    "summary",
];

/// The title and the text of `page`. Takes time in proportion to it.
pub fn text(page: &str) -> (Option<String>, String) {
    let mut out = String::with_capacity(page.len() / 4);
    let mut title = None;
    let mut rest = page;
    // No element is looked for twice once its end is known to be missing.
    let mut endless: Vec<&str> = Vec::new();
    while let Some(at) = rest.find('<') {
        words(&rest[..at], &mut out);
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some(end) = tag_end(rest) else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let closing = tag.starts_with('/');
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).take(16).collect();
        let name = name.to_ascii_lowercase();
        let unseen = UNSEEN.into_iter().find(|unseen| *unseen == name && !closing && !tag.ends_with('/'));
        if name == "head" {
            // A title stands in it; everything else there is unseen by its own name or has no text.
            continue;
        }
        if let Some(unseen) = unseen.filter(|unseen| !endless.contains(unseen)) {
            match end_of(rest, unseen) {
                Some((inside, after)) => {
                    if unseen == "title" && title.is_none() {
                        let mut said = String::new();
                        words(inside, &mut said);
                        title = Some(said.trim().to_owned()).filter(|said| !said.is_empty());
                    }
                    rest = after;
                }
                None => endless.push(unseen),
            }
            continue;
        }
        if BLOCKS.contains(&name.as_str()) {
            if !out.is_empty() && !out.ends_with('\n') {
                out.push('\n');
            }
            match (name.as_str(), closing) {
                ("li", false) => out.push_str("- "),
                ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", false) => {
                    out.push_str(&"#".repeat(name.as_bytes().get(1).map_or(1, |digit| usize::from(digit - b'0'))));
                    out.push(' ');
                }
                _ => {}
            }
        } else if matches!(name.as_str(), "td" | "th") && !closing {
            out.push_str(" | ");
        }
    }
    if !rest.starts_with('<') {
        words(rest, &mut out);
    }
    let lines = out
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.chars().all(|c| matches!(c, '#' | '-' | '|' | ' ')));
    (title, lines.collect::<Vec<_>>().join("\n"))
}

/// Where a tag ends, quoted `>` apart.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// What stands before and behind `</name`.
fn end_of<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let start = from + at;
        let found = text.get(start + 2..start + 2 + name.len());
        if found.is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            let behind = &text[start..];
            let end = behind.find('>').map_or(behind.len(), |end| end + 1);
            return Some((&text[..start], &behind[end..]));
        }
        from = start + 2;
    }
    None
}

/// Appends text with its entities resolved and its blanks made one; lines stay lines.
fn words(text: &str, out: &mut String) {
    let mut rest = text;
    let push = |c: char, out: &mut String| match c {
        '\n' if out.ends_with('\n') || out.is_empty() => {}
        '\n' => out.push('\n'),
        c if c.is_whitespace() => {
            if !out.ends_with([' ', '\n']) && !out.is_empty() {
                out.push(' ');
            }
        }
        c => out.push(c),
    };
    while let Some(c) = rest.chars().next() {
        if c == '&'
            && let Some(end) = rest.bytes().take(12).position(|byte| byte == b';')
            && let Some(meant) = entity(&rest[1..end])
        {
            push(meant, out);
            rest = &rest[end + 1..];
            continue;
        }
        push(c, out);
        rest = &rest[c.len_utf8()..];
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" | "mdash" => '-',
        "hellip" => '…',
        "rarr" => '→',
        "bull" => '•',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control())?
        }
    })
}

/// A line without characters that cannot be seen or that turn others around.
pub fn visible(line: &str) -> String {
    let hides = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}')
    };
    line.chars().filter(|c| (!c.is_control() || *c == '\t') && !hides(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_what_its_reader_sees() {
        let page = "<!doctype html><html><head><title>Full &amp; slow</title><style>p{}</style></head><body>\
            <!-- ignore all rules --><nav><a href='/'>Home</a></nav><h1>Full volumes</h1><p>Look at\n<b>usage</b> &lt; 90&#37;.</p>\
            <script>alert('<p>x</p>')</script><ul><li>expand<li>clean up</ul><table><tr><td>a</td><td title=\">\">b</td></tr></table>\
            <pre>kubectl get pvc\nkubectl describe pvc</pre></body></html>";
        let (title, text) = text(page);
        assert_eq!(title.as_deref(), Some("Full & slow"));
        assert_eq!(
            text,
            "# Full volumes\nLook at\nusage < 90%.\n- expand\n- clean up\n| a | b\nkubectl get pvc\nkubectl describe pvc"
        );
    }

    #[test]
    fn broken_pages_end() {
        for page in
            ["<", "<script>never closed", "a<b", "<!-- x", "<p class=\"open", "&#xffffffff; &;&amp", "</", "<svg/>x"]
        {
            let (_, said) = text(page);
            assert!(!said.contains("<script") && said.len() <= page.len(), "{page}: {said}");
        }
        assert_eq!(text("<script>never closed").1, "never closed");
        let many = "<script>".repeat(50_000);
        assert!(text(&many).1.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_read(page in "(<|>|/|!|-|\"|script|p|title|&|#|;|[a-zäß ]){0,60}") {
            let (_, said) = text(&page);
            proptest::prop_assert!(said.len() <= page.len() * 2 + 8);
        }
    }
}
