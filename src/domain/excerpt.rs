//! A long text for a reader with little room: whole lines from its beginning and its end, and where
//! to find the rest. Pure.

/// Characters of one line; what is longer is cut.
const LINE_CHARS: usize = 1_000;

/// Lines of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The first line, from 1.
    pub from: usize,
    /// The last line; before `from` when there is none.
    pub to: usize,
    /// Lines of the whole text.
    pub total: usize,
    /// The lines.
    pub lines: Vec<String>,
}

/// The beginning and the end of `text` in about `chars` characters, whole lines where possible.
/// `rest` says how to read what is left out, given its first line. Text that fits stays as it is.
pub fn ends(text: &str, chars: usize, rest: impl Fn(usize) -> String) -> String {
    if text.len() <= chars || text.chars().count() <= chars {
        return text.to_owned();
    }
    let lines: Vec<&str> = text.lines().collect();
    let head = taken(lines.iter().copied(), chars / 4 * 3).max(1);
    let tail = taken(lines[head.min(lines.len())..].iter().rev().copied(), chars / 4);
    let mut out: String = lines[..head].iter().map(|line| shortened(line) + "\n").collect();
    // A first line that is longer than all there is room for.
    if out.chars().count() > chars {
        out = out.chars().take(chars).collect::<String>() + "…\n";
    }
    let hidden = lines.len() - head - tail;
    if hidden > 0 {
        out.push_str(&format!(
            "[lines {} to {} of {} left out: {}]\n",
            head + 1,
            head + hidden,
            lines.len(),
            rest(head + 1)
        ));
    }
    out.extend(lines[lines.len() - tail..].iter().map(|line| shortened(line) + "\n"));
    out.truncate(out.trim_end().len());
    out
}

/// How many of `lines` fit into `chars` characters.
fn taken<'a>(lines: impl Iterator<Item = &'a str>, chars: usize) -> usize {
    let mut left = chars;
    lines
        .take_while(|line| {
            let cost = line.chars().count().min(LINE_CHARS) + 1;
            let fits = cost <= left;
            left = left.saturating_sub(cost);
            fits
        })
        .count()
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}… ({} more characters)", &line[..end], line[end..].chars().count()),
        None => line.to_owned(),
    }
}

/// The lines of `text` from line `from` (1 is the first) on for which `wanted` holds, as many as fit
/// into `chars` characters and at most `most`.
pub fn passage(text: &str, from: usize, most: usize, chars: usize, wanted: impl Fn(&str) -> bool) -> Passage {
    let from = from.max(1);
    let total = text.lines().count();
    let mut found = Passage { from, to: from - 1, total, lines: vec![] };
    let mut left = chars;
    for (n, line) in text.lines().enumerate().skip(from - 1) {
        if !wanted(line) {
            found.to = n + 1;
            continue;
        }
        let line = shortened(line);
        let cost = line.chars().count() + 1;
        if found.lines.len() >= most || cost > left {
            return found;
        }
        left -= cost;
        found.to = n + 1;
        found.lines.push(line);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(lines: usize) -> String {
        (1..=lines).map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn a_short_text_stays_and_a_long_one_shows_its_ends() {
        let rest = |from: usize| format!("ask from {from}");
        assert_eq!(ends("a\nb\n", 100, rest), "a\nb\n");
        assert_eq!(
            ends(&numbered(100), 60, rest),
            "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\n[lines 7 to 99 of 100 left out: ask from 7]\nline 100"
        );
        let wide = ends(&"ä".repeat(5_000), 100, rest);
        assert!(wide.chars().count() <= 102, "{wide}");
    }

    #[test]
    fn a_passage_goes_on_where_the_last_one_ended() {
        let text = numbered(50);
        let mut seen = vec![];
        let mut from = 1;
        while from <= 50 {
            let part = passage(&text, from, 7, 1_000, |_| true);
            assert_eq!((part.from, part.total), (from, 50));
            from = part.to + 1;
            seen.extend(part.lines);
        }
        assert_eq!(seen, text.lines().collect::<Vec<_>>());
    }

    #[test]
    fn a_passage_takes_what_is_wanted_and_no_more_than_there_is_room_for() {
        let text = numbered(50);
        let sevens = passage(&text, 1, 100, 1_000, |line| line.ends_with('7'));
        assert_eq!((sevens.lines.len(), sevens.to), (5, 50));
        let few = passage(&text, 3, 100, 15, |_| true);
        assert_eq!((few.lines, few.to), (vec!["line 3".to_owned(), "line 4".to_owned()], 4));
        assert_eq!(passage(&text, 51, 10, 100, |_| true).lines, Vec::<String>::new());
        assert_eq!(passage("", 0, 10, 100, |_| true), Passage { from: 1, to: 0, total: 0, lines: vec![] });
    }

    proptest::proptest! {
        #[test]
        fn ends_keep_their_measure(text in "(\\PC{0,40}\n){0,80}", chars in 20usize..600) {
            let cut = ends(&text, chars, |_| "more".to_owned());
            proptest::prop_assert!(cut.chars().count() <= chars + 100);
            let short = text.chars().count() <= chars;
            proptest::prop_assert!(!short || cut == text);
        }
    }
}
