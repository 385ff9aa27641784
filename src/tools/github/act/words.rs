//! What others read there: texts in which nothing but words is left, and the mark that is ours.

use crate::domain::Marker;
use crate::tools::runbooks::html::visible;

/// Keeps GitHub from reading more than words out of a text, and is not seen.
const JOINER: char = '\u{2060}';
/// Most characters of a headline.
const HEADLINE: usize = 120;
/// Most bytes of a body; GitHub takes 65,536 characters.
pub(super) const BODY: usize = 48 << 10;

/// Text of others in which GitHub finds no mention, no reference that closes or links, no link, no image,
/// no HTML, and no order to a bot.
pub(super) fn quiet(text: &str) -> String {
    let text: String = text.lines().map(|line| format!("{}\n", visible(line))).collect();
    let chars: Vec<char> = text.trim_end().chars().collect();
    let mut out = String::with_capacity(text.len() + 32);
    for (at, c) in chars.iter().copied().enumerate() {
        let next = |by: usize| chars.get(at + by).copied().unwrap_or(' ');
        let before = |by: usize| at.checked_sub(by).map_or('\n', |at| chars[at]);
        out.push(c);
        let ends = |word: &str| word.chars().rev().enumerate().all(|(n, c)| before(n).eq_ignore_ascii_case(&c));
        let breaks = match c {
            '@' => next(1).is_alphanumeric(),
            '#' => next(1).is_ascii_digit(),
            '-' => ends("gh-") && next(1).is_ascii_digit(),
            '<' => !next(1).is_whitespace(),
            ']' => matches!(next(1), '(' | '[' | ':'),
            '!' => next(1) == '[',
            ':' => next(1) == '/' && next(2) == '/',
            'w' | 'W' => ends("www") && next(1) == '.',
            '/' => next(1).is_alphabetic() && starts_a_line(&chars[..at]),
            _ => false,
        };
        if breaks {
            out.push(JOINER);
        }
    }
    out
}

fn starts_a_line(before: &[char]) -> bool {
    before.iter().rev().take_while(|c| **c != '\n').all(|c| c.is_whitespace() || matches!(c, '>' | '-' | '*'))
}

/// A title, or the first line of a commit: one line, in which no word steers what builds.
pub(super) fn headline(text: &str) -> String {
    let line = quiet(&text.split_whitespace().collect::<Vec<_>>().join(" ")).replace('[', &format!("[{JOINER}"));
    crate::tools::render::clip(&line, HEADLINE)
}

/// What stands in a body, unseen, so that we find it again.
pub(super) fn mark(marker: &Marker) -> String {
    format!("<!-- firewarden: {marker} -->")
}

/// Whether `body` carries the mark, on a line of its own.
pub(super) fn is_marked(body: Option<&str>, marker: &Marker) -> bool {
    let mark = mark(marker);
    body.unwrap_or_default().lines().any(|line| line.trim_end() == mark)
}

/// `text` in at most `bytes`, and says so where it was cut.
pub(super) fn bounded(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    // A fence that was open would swallow what comes after.
    let cut = text[..end].rsplit_once('\n').map_or(&text[..end], |(whole, _)| whole);
    let open = cut.lines().filter(|line| line.trim_start().starts_with("```")).count() % 2 == 1;
    format!("{cut}\n{}\n(the rest is left out)", if open { "```\n" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Digest;

    #[test]
    fn nothing_but_words_is_left_of_what_others_wrote() {
        for (text, expected) in [
            ("ask @acme/oncall or me@example.org", "ask @\u{2060}acme/oncall or me@\u{2060}example.org"),
            ("fixes #12, closes acme/app#7 and GH-3", "fixes #\u{2060}12, closes acme/app#\u{2060}7 and GH-\u{2060}3"),
            ("see https://evil.example/#1", "see https:\u{2060}//evil.example/#\u{2060}1"),
            ("www.evil.example", "www\u{2060}.evil.example"),
            (
                "![x](http://e/p.png?s=1) [a](b) [c][d]\n[d]: e",
                "!\u{2060}[x]\u{2060}(http:\u{2060}//e/p.png?s=1) [a]\u{2060}(b) [c]\u{2060}[d]\n[d]\u{2060}: e",
            ),
            ("<img src=x> <!-- firewarden: fw-1 -->", "<\u{2060}img src=x> <\u{2060}!-- firewarden: fw-1 -->"),
            ("/lgtm\n> /approve now a/b", "/\u{2060}lgtm\n> /\u{2060}approve now a/b"),
            ("a \u{202e}b\u{200b}\u{7}", "a b"),
            ("# Heading\n\n- 3 < 4 at 12:30", "# Heading\n\n- 3 < 4 at 12:30"),
        ] {
            assert_eq!(quiet(text), expected, "{text}");
            assert_eq!(quiet(&quiet(text)), expected, "twice is once: {text}");
        }
        assert_eq!(headline("Raise it\n\nskip-checks: true [skip ci]"), "Raise it skip-checks: true [\u{2060}skip ci]");
        assert!(headline(&"x".repeat(500)).chars().count() <= HEADLINE);
    }

    #[test]
    fn only_our_own_mark_counts() {
        let marker = Marker::sign(&Digest::of("s"), b"key");
        let other = Marker::sign(&Digest::of("t"), b"key");
        let body = format!("text\n{}\r\nend", mark(&marker));
        assert!(is_marked(Some(&body), &marker) && !is_marked(Some(&body), &other) && !is_marked(None, &marker));
        assert!(!is_marked(Some(&format!("quoted {}", mark(&marker))), &marker));
        assert!(!is_marked(Some(&quiet(&mark(&marker))), &marker), "what others write of it is none");
    }

    #[test]
    fn what_is_cut_leaves_no_fence_open() {
        assert_eq!(bounded("abc", 3), "abc");
        let text = format!("a\n```\n{}", "line\n".repeat(50));
        let cut = bounded(&text, 60);
        assert!(cut.ends_with("line\n```\n\n(the rest is left out)"), "{cut}");
        assert!(bounded(&"ö".repeat(50), 33).starts_with("öö"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_quiet(text in "[a-c@#<>!\\[\\]():/w.\\-GH0-9 \n]{0,80}") {
            let quiet = quiet(&text);
            for (mark, next) in [('@', "abc0123456789GHw"), ('#', "0123456789"), ('!', "["), (']', "([:")] {
                let at = |pair: (char, char)| pair.0 == mark && next.contains(pair.1);
                proptest::prop_assert!(!quiet.chars().zip(quiet.chars().skip(1)).any(at), "{quiet:?}");
            }
            proptest::prop_assert!(!quiet.contains("://") && !quiet.contains("www."), "{quiet:?}");
        }
    }
}
