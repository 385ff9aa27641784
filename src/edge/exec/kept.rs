//! The beginning and the end of what a command writes, in memory that does not grow with it.

use std::collections::VecDeque;

/// So much of a line that was cut in two is left out, at most; secrets are shorter.
const BROKEN: usize = 4 << 10;

/// What was kept of one output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    room: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Kept {
    /// Keeps at most `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { room: bytes / 2, ..Self::default() }
    }

    /// Takes what was written next.
    pub fn push(&mut self, bytes: &[u8]) {
        let fits = bytes.len().min(self.room - self.head.len());
        let (head, rest) = bytes.split_at(fits);
        self.head.extend_from_slice(head);
        // What would be pushed out at once is not pushed in.
        let skipped = rest.len().saturating_sub(self.room);
        let rest = &rest[skipped..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.room);
        self.tail.drain(..over.min(self.tail.len()));
        self.tail.extend(rest);
        self.left_out += (skipped + over) as u64;
    }

    /// Whether something between beginning and end is missing.
    pub fn is_cut(&self) -> bool {
        self.left_out > 0
    }

    /// As text, with a line that says what is missing. What is no UTF-8 is replaced. What was cut in two is left
    /// out whole, for half a secret is not known for one: a line, or of a longer one what ends no word.
    pub fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if !self.is_cut() {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let broken = self.head.len().saturating_sub(BROKEN);
        let until = |ends: fn(&u8) -> bool| self.head[broken..].iter().rposition(ends).map(|at| broken + at);
        let until = until(is_line_end).or_else(|| until(is_word_end)).unwrap_or(broken);
        let broken = &tail[..tail.len().min(BROKEN)];
        let from = |ends: fn(&u8) -> bool| broken.iter().position(ends).map(|at| at + 1);
        let from = from(is_line_end).or_else(|| from(is_word_end)).unwrap_or(broken.len());
        let left_out = self.left_out + (self.head.len() - until + from) as u64;
        let (head, tail) = (String::from_utf8_lossy(&self.head[..until]), String::from_utf8_lossy(&tail[from..]));
        format!("{head}\n[{left_out} bytes left out here]\n{tail}")
    }
}

fn is_line_end(byte: &u8) -> bool {
    *byte == b'\n'
}

/// What stands between words, and between the values of JSON.
fn is_word_end(byte: &u8) -> bool {
    byte.is_ascii_whitespace() || b"\"',;:{}[]()<>|&".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn beginning_and_end_stay() {
        let mut kept = Kept::new(16);
        for chunk in ["ab\n", "cd", "efg", "hijklmnop", "q\nrs\ntuv\n"] {
            kept.push(chunk.as_bytes());
        }
        assert_eq!((kept.text().as_str(), kept.is_cut()), ("ab\n[17 bytes left out here]\nrs\ntuv\n", true));
        let mut small = Kept::new(8);
        small.push(b"abcdefgh");
        assert_eq!((small.text().as_str(), small.is_cut()), ("abcdefgh", false));
    }

    #[test]
    fn what_the_cut_halves_is_not_shown() {
        let mut kept = Kept::new(40);
        kept.push(b"begin\ntoken=abcdefghijklmnopqrstuvwxyz0123456789\nend\n");
        assert_eq!(kept.text(), "begin\n[44 bytes left out here]\nend\n");
        // A longer line is cut between its words, wherever its secrets stand.
        let line = |at: usize| {
            format!("{{\"a\":\"{}\",\"key\":\"s3cr3t-s3cr3t\",\"b\":\"{}", "x".repeat(at), "y".repeat(40_000))
        };
        for at in 5_850..5_950 {
            let mut kept = Kept::new(20_000);
            kept.push(line(at).as_bytes());
            let shown = kept.text();
            assert_eq!(shown.matches("s3cr").count(), shown.matches("s3cr3t-s3cr3t").count() * 2, "{at}");
        }
        let mut one_line = Kept::new(20_000);
        one_line.push("x".repeat(30_000).as_bytes());
        let shown = one_line.text();
        assert_eq!(shown.matches('x').count(), 20_000 - 2 * BROKEN);
    }

    proptest! {
        #[test]
        fn nothing_but_the_middle_is_lost(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..12), room in 0usize..40) {
            let whole = chunks.concat();
            let mut kept = Kept::new(room * 2);
            chunks.iter().for_each(|chunk| kept.push(chunk));
            let head = whole.len().min(room);
            let tail = (whole.len() - head).min(room);
            prop_assert_eq!(&kept.head, &whole[..head]);
            prop_assert_eq!(kept.tail.iter().copied().collect::<Vec<_>>(), &whole[whole.len() - tail..]);
            prop_assert_eq!(kept.left_out as usize, whole.len() - head - tail);
        }
    }
}
