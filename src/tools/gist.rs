//! The gist: the one line that says what was seen, before the detail.

use super::render::clip;
use std::collections::BTreeMap;

/// Most characters of a gist.
pub const CHARS: usize = 120;
/// Most characters of a name or a label's value in it.
pub const NAME: usize = 63;

/// `text` as one line of at most [`CHARS`] characters: without control characters, and without the
/// marks that reorder or hide what stands beside them.
pub fn line(text: &str) -> String {
    let visible: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !hides(*c))
        .collect();
    clip(&visible.split_whitespace().collect::<Vec<_>>().join(" "), CHARS)
}

fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}')
}

/// Free text of others, in at most `chars` characters between quotation marks that it cannot close.
pub fn quoted(text: &str, chars: usize) -> String {
    format!("\"{}\"", clip(&line(text).replace('"', "'"), chars.saturating_sub(2)))
}

/// A name in at most [`NAME`] characters.
pub fn name(text: &str) -> String {
    clip(&line(text), NAME)
}

/// `1 event`, `3 events`.
pub fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// `head: a, b, 4 more`: as many of `parts` as there is room for in `chars`.
pub fn listed(head: &str, parts: &[String], chars: usize) -> String {
    let mut out = head.to_owned();
    for (at, part) in parts.iter().enumerate() {
        let lead = if at == 0 { ": " } else { ", " };
        let rest = parts.len() - at - 1;
        let more = if rest == 0 { 0 } else { format!(", {rest} more").len() };
        if out.chars().count() + lead.len() + part.chars().count() + more > chars {
            match at {
                // Half of the first one says more than none of it.
                0 => out = clip(&format!("{out}{lead}{part}"), chars),
                _ => out.push_str(&format!("{lead}{} more", rest + 1)),
            }
            break;
        }
        out.push_str(lead);
        out.push_str(part);
    }
    out
}

/// `BackOff ×40`, the most frequent first.
pub fn tallied<I: IntoIterator<Item = (String, u64)>>(counts: I) -> Vec<String> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (what, count) in counts {
        let sum = sums.entry(what).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut sums: Vec<(String, u64)> = sums.into_iter().collect();
    sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = |(what, count): (String, u64)| if count == 1 { what } else { format!("{what} ×{count}") };
    sums.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_says_how_much_is_missing() {
        let parts = ["alpha", "beta", "gamma"].map(str::to_owned);
        for (chars, told) in [
            (99, "3 x: alpha, beta, gamma"),
            (22, "3 x: alpha, 2 more"),
            (18, "3 x: alpha, 2 more"),
            (12, "3 x: alpha"),
            (8, "3 x: al…"),
        ] {
            assert_eq!(listed("3 x", &parts, chars), told, "{chars}");
        }
        assert_eq!(listed("0 x", &[], 20), "0 x");
        let events = [("b", 2), ("a", 1), ("b", 38), ("c", 1)].map(|(what, n)| (what.to_owned(), n));
        assert_eq!(tallied(events), ["b ×40", "a", "c"]);
        assert_eq!(quoted("say \"x\"\nand\u{202e} go", 99), "\"say 'x' and go\"");
    }

    proptest! {
        #[test]
        fn a_gist_is_one_short_line(text: String, parts in proptest::collection::vec("\\PC{0,50}", 0..9)) {
            let told = line(&listed(&text, &parts, CHARS));
            prop_assert!(told.chars().count() <= CHARS);
            prop_assert!(!told.chars().any(char::is_control));
            prop_assert!(quoted(&text, 40).chars().count() <= 40);
        }
    }
}
