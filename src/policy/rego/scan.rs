//! A look at the brackets before the parser sees them. The parser's time doubles with each level of
//! nested literals, so that thirty brackets in a hundred bytes would hang it for hours.

/// Deepest nesting of brackets. Hand-written Rego stays below six.
pub(in crate::policy) const MAX_DEPTH: usize = 8;

/// Line and column (from 1) of the first bracket beyond [`MAX_DEPTH`].
pub(in crate::policy) fn too_deep(text: &str) -> Option<(u32, u32)> {
    let (mut depth, mut line, mut col) = (0usize, 1u32, 0u32);
    let mut chars = text.chars();
    let mut state = State::Code;
    while let Some(c) = chars.next() {
        col += 1;
        if c == '\n' {
            (line, col) = (line + 1, 0);
        }
        state = match (state, c) {
            (State::Code, '"') => State::Quoted,
            (State::Code, '`') => State::Raw,
            (State::Code, '#') => State::Comment,
            (State::Code, '[' | '{' | '(') => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some((line, col));
                }
                State::Code
            }
            (State::Code, ']' | '}' | ')') => {
                depth = depth.saturating_sub(1);
                State::Code
            }
            (State::Quoted, '\\') => {
                // A line break cannot be escaped; leaving it to the next round keeps the count right.
                if chars.as_str().starts_with('\n') {
                    State::Code
                } else {
                    col += u32::from(chars.next().is_some());
                    State::Quoted
                }
            }
            (State::Quoted, '"' | '\n') | (State::Raw, '`') | (State::Comment, '\n') => State::Code,
            (state, _) => state,
        };
    }
    None
}

#[derive(Clone, Copy)]
enum State {
    Code,
    Quoted,
    Raw,
    Comment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_count_only_in_code() {
        let open = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(too_deep(&format!("x := {open}")), Some((1, 14)));
        assert_eq!(too_deep(&format!("package a\n\nx := {}", &open[1..])), None);
        for harmless in [format!("# {open}\nx := 1"), format!("x := \"\\\"{open}\""), format!("x := `{open}`")] {
            assert_eq!(too_deep(&harmless), None, "{harmless}");
        }
        // Text after an unclosed quote is code again on the next line.
        assert_eq!(too_deep(&format!("x := \"\\\n{open}")), Some((2, 9)));
    }
}
