//! The beginning and the end of what a command writes, in memory that does not grow with it.

use std::collections::VecDeque;

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

    /// As text, with a line that says what is missing. What is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        match self.left_out {
            0 => String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned(),
            bytes => format!(
                "{}\n[{bytes} bytes left out here]\n{}",
                String::from_utf8_lossy(&self.head),
                String::from_utf8_lossy(&tail)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn beginning_and_end_stay() {
        let mut kept = Kept::new(8);
        for chunk in ["ab", "cd", "efg", "hijklmnop", "q"] {
            kept.push(chunk.as_bytes());
        }
        assert_eq!((kept.text().as_str(), kept.is_cut()), ("abcd\n[9 bytes left out here]\nnopq", true));
        let mut small = Kept::new(8);
        small.push(b"abcdefgh");
        assert_eq!((small.text().as_str(), small.is_cut()), ("abcdefgh", false));
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
