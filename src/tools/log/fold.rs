//! One pass over a log of any length, in memory that does not grow with it.

use super::filter::Filter;
use super::template::Forms;
use crate::domain::Redactor;
use crate::tools::render::clip;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

/// Secrets that span lines are looked for in blocks of at least so many bytes.
const BLOCK: usize = 128 << 10;
/// A line of so many bytes ends there.
const LINE_BYTES: usize = 256 << 10;
/// Most characters of a line.
const LINE: usize = 4000;
/// Most bytes of the lines that are kept.
const KEPT_BYTES: usize = 4 << 20;
/// Forms that are told.
const FORMS_TOLD: usize = 60;
/// Between lines that did not stand beside each other.
const APART: &str = "--";

/// Which end of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The oldest lines.
    First,
    /// The newest lines.
    Last,
}

/// Which lines are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// From which end.
    pub keep: Keep,
    /// Most lines.
    pub lines: usize,
    /// Only those that match.
    pub filter: Option<Filter>,
    /// So many lines before and after each that matches.
    pub context: usize,
}

/// Takes a log as it comes and keeps what is wanted of it.
#[derive(Debug)]
pub struct Fold {
    wanted: Wanted,
    redactor: Arc<Redactor>,
    pending: Vec<u8>,
    /// The rest of a line that is longer than any is left out.
    skipping: bool,
    kept: VecDeque<String>,
    kept_bytes: usize,
    left_out: u64,
    before: VecDeque<String>,
    after: usize,
    apart: bool,
    total: u64,
    matching: u64,
    forms: Forms,
}

/// What is left of a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The lines, oldest first.
    pub lines: Vec<String>,
    /// All lines that came by.
    pub total: u64,
    /// Those that the filter wanted; all without one.
    pub matching: u64,
    /// Lines that were wanted and are not among `lines`.
    pub left_out: u64,
    /// What the wanted lines say, with how often.
    pub forms: Vec<(u64, String)>,
    /// Lines whose form is not among `forms`.
    pub others: u64,
}

impl Fold {
    /// Nothing yet.
    pub fn new(wanted: Wanted, redactor: Arc<Redactor>) -> Self {
        Self {
            wanted,
            redactor,
            pending: Vec::new(),
            skipping: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            left_out: 0,
            before: VecDeque::new(),
            after: 0,
            apart: false,
            total: 0,
            matching: 0,
            forms: Forms::default(),
        }
    }

    /// Takes the next bytes; lines may be cut anywhere.
    pub fn bytes(&mut self, mut chunk: &[u8]) {
        if self.skipping {
            let Some(at) = chunk.iter().position(|byte| *byte == b'\n') else { return };
            self.skipping = false;
            chunk = &chunk[at + 1..];
        }
        self.pending.extend_from_slice(chunk);
        if self.pending.len() >= BLOCK {
            match self.pending.iter().rposition(|byte| *byte == b'\n') {
                Some(at) => self.block(at + 1),
                None if self.pending.len() >= LINE_BYTES => {
                    self.block(self.pending.len());
                    self.skipping = true;
                }
                None => {}
            }
        }
    }

    /// Takes a whole line, which may not hold another.
    pub fn line(&mut self, line: &str) {
        let flat = if line.contains(['\n', '\r']) { Cow::Owned(line.replace(['\n', '\r'], " ")) } else { line.into() };
        self.pending.extend_from_slice(flat.as_bytes());
        self.bytes(b"\n");
    }

    /// What is left.
    pub fn finish(mut self) -> Folded {
        self.block(self.pending.len());
        let mut forms = self.forms;
        let mut others = forms.others;
        forms.others = 0;
        let mut forms = forms.sorted();
        others += forms.iter().skip(FORMS_TOLD).map(|(count, _)| count).sum::<u64>();
        forms.truncate(FORMS_TOLD);
        Folded {
            lines: self.kept.into(),
            total: self.total,
            matching: self.matching,
            left_out: self.left_out,
            forms,
            others,
        }
    }

    /// Takes the lines of the first `end` bytes that wait. A filter sees no secret: whether it matches
    /// would tell what the secret is. Without one, only what spans lines is taken out here, and the rest
    /// where a line is kept or its form is told.
    fn block(&mut self, end: usize) {
        let pending = std::mem::take(&mut self.pending);
        let text = String::from_utf8_lossy(&pending[..end]);
        let redactor = self.redactor.clone();
        let clean = match self.wanted.filter {
            Some(_) => redactor.text(&text).0,
            None => redactor.keys(&text).0,
        };
        for line in clean.lines() {
            match self.wanted.filter.is_none() && line.len() > LINE {
                // Before it is cut: the head of a secret is none that is known for one later.
                true => self.take(&plain(&redactor.text(line).0)),
                false => self.take(&plain(line)),
            }
        }
        drop(clean);
        drop(text);
        self.pending = pending;
        self.pending.drain(..end);
    }

    fn take(&mut self, line: &str) {
        self.total += 1;
        if self.wanted.filter.as_ref().is_some_and(|filter| !filter.is_match(line)) {
            if self.after > 0 {
                self.after -= 1;
                self.keep(line.to_owned());
            } else if self.wanted.context > 0 {
                self.before.push_back(line.to_owned());
                if self.before.len() > self.wanted.context {
                    self.before.pop_front();
                    self.apart = true;
                }
            } else {
                self.apart = true;
            }
            return;
        }
        self.matching += 1;
        if std::mem::take(&mut self.apart) && self.wanted.context > 0 && !self.kept.is_empty() {
            self.keep(APART.to_owned());
        }
        for before in std::mem::take(&mut self.before) {
            self.keep(before);
        }
        self.after = self.wanted.context;
        let redactor = &self.redactor;
        self.forms.add(line, |line| redactor.text(line).0.into_owned());
        self.keep(line.to_owned());
    }

    fn keep(&mut self, line: String) {
        let full = self.kept.len() >= self.wanted.lines || self.kept_bytes + line.len() > KEPT_BYTES;
        if self.wanted.keep == Keep::First && (full || self.left_out > 0) {
            self.left_out += 1;
            return;
        }
        self.kept_bytes += line.len();
        self.kept.push_back(line);
        while self.kept.len() > self.wanted.lines || self.kept_bytes > KEPT_BYTES {
            let Some(gone) = self.kept.pop_front() else { break };
            self.kept_bytes -= gone.len();
            self.left_out += 1;
        }
    }
}

impl Folded {
    /// As data of an observation: `lines`, `total_lines` and, when lines were left out or are more
    /// than a reader wants, `forms`.
    pub fn data(self, budget: usize) -> Map<String, Value> {
        let mut data = Map::new();
        let chars: usize = self.lines.iter().map(String::len).sum();
        if self.left_out > 0 || chars > budget {
            let forms: Vec<Value> =
                self.forms.into_iter().map(|(count, form)| json!({"count": count, "form": form})).collect();
            data.insert("forms".into(), forms.into());
            data.insert("lines_of_other_forms".into(), self.others.into());
        }
        data.insert("lines".into(), self.lines.into());
        data.insert("total_lines".into(), self.total.into());
        data
    }
}

/// A line without colours and control characters, and not longer than anyone reads.
fn plain(line: &str) -> Cow<'_, str> {
    // 0xc2 begins the control characters beyond ASCII.
    let odd = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || matches!(*byte, 0x7f | 0xc2);
    if line.len() <= LINE && !line.as_bytes().iter().any(odd) {
        return line.into();
    }
    let mut out = String::with_capacity(line.len().min(LINE));
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // A control sequence: parameters up to its final letter.
                if chars.as_str().starts_with('[') {
                    let _ = chars.by_ref().skip(1).find(|c| ('\u{40}'..='\u{7e}').contains(c));
                }
            }
            '\t' => out.push('\t'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    clip(&out, LINE).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(keep: Keep, lines: usize, grep: Option<&str>, context: usize) -> Fold {
        let wanted = Wanted { keep, lines, filter: grep.map(Filter::new), context };
        Fold::new(wanted, Arc::new(Redactor::new(["horse.battery.staple1"]).unwrap()))
    }

    #[test]
    fn colours_and_bells_do_not_reach_a_reader() {
        assert_eq!(plain("\u{1b}[31mERROR\u{1b}[0m\t\u{7}done\r"), "ERROR\tdone");
        assert_eq!(plain(&"x".repeat(9000)).chars().count(), LINE);
        assert_eq!(plain("a\u{85}b ü"), "ab ü");
    }

    #[test]
    fn a_secret_on_the_cut_of_a_line_leaves_no_head() {
        for filter in [None, Some("x")] {
            for before in LINE - 24..LINE + 2 {
                let mut folded = fold(Keep::Last, 9, filter, 0);
                folded.line(&format!("{}horse.battery.staple1 and more", "x".repeat(before)));
                let line = folded.finish().lines.remove(0);
                assert!(!line.contains("hors"), "{before}: {}", &line[before.min(line.len() - 9)..]);
            }
        }
    }

    #[test]
    fn a_line_without_an_end_is_one_line_and_its_rest_is_not_shown() {
        let mut folded = fold(Keep::Last, 9, None, 0);
        let long = format!("{}horse.battery.staple1{}\nnext\n", "x".repeat(LINE_BYTES - 10), "y".repeat(5000));
        long.as_bytes().chunks(64).for_each(|chunk| folded.bytes(chunk));
        folded.line("last");
        let folded = folded.finish();
        assert_eq!((folded.total, &folded.lines[1..]), (3, &["next".to_owned(), "last".to_owned()][..]));
    }

    #[test]
    fn either_end_is_kept_and_all_is_counted() {
        let log: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let mut last = fold(Keep::Last, 3, None, 0);
        let mut first = fold(Keep::First, 3, None, 0);
        log.as_bytes().chunks(7).for_each(|chunk| {
            last.bytes(chunk);
            first.bytes(chunk);
        });
        let (last, first) = (last.finish(), first.finish());
        assert_eq!(last.lines, ["line 997", "line 998", "line 999"]);
        assert_eq!(first.lines, ["line 0", "line 1", "line 2"]);
        assert_eq!((last.total, last.left_out, first.left_out), (1000, 997, 997));
        assert_eq!(last.forms, [(1000, "line <*>".to_owned())]);
        let mut empty = fold(Keep::First, 2, None, 0);
        empty.bytes(b"\n\n\nx\n");
        assert_eq!(empty.finish().lines, ["", ""]);
    }

    #[test]
    fn a_filter_gives_its_context_and_marks_the_gaps() {
        let mut fold = fold(Keep::Last, 50, Some("ERROR"), 1);
        for line in ["a", "b", "an error", "c", "d", "e", "error\nagain", "f"] {
            fold.line(line);
        }
        let folded = fold.finish();
        assert_eq!(folded.lines, ["b", "an error", "c", "--", "e", "error again", "f"]);
        assert_eq!((folded.total, folded.matching), (8, 2));
    }

    #[test]
    fn a_filter_is_no_oracle_for_secrets() {
        let count = |grep: &str| {
            let mut fold = fold(Keep::Last, 50, Some(grep), 0);
            fold.bytes(b"login password=hunter2222 ok\nkey horse.battery.staple1 used\n");
            fold.finish().matching
        };
        assert_eq!(count("password=hun"), 0);
        assert_eq!(count(r"password=hun|password=\[redacted"), 1);
        assert_eq!(count(r"password=nothing|password=\[redacted"), 1);
        assert_eq!(count("horse"), 0);
    }

    #[test]
    fn forms_hold_no_secret_however_blocks_are_cut() {
        let key = [
            "-----BEGIN RSA PRIVATE KEY-----",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
            "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu",
            "-----END RSA PRIVATE KEY-----",
            "key horse.battery.staple1 used by password=abcdefgh",
        ];
        let mut fold = fold(Keep::First, 1, None, 0);
        for n in 0..4000 {
            fold.line(&format!("request {n} of some length that fills a block after a while: ok"));
            if n % 900 == 0 {
                key.iter().for_each(|line| fold.line(line));
            }
        }
        let told = format!("{:?}", fold.finish());
        for part in ["MIIEv", "MzEf", "horse", "battery", "staple", "abcdefgh"] {
            assert!(!told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_log() {
        let mut fold = fold(Keep::Last, LINES, None, 0);
        const LINES: usize = 5000;
        let line = "x".repeat(3000);
        for _ in 0..4000 {
            fold.line(&line);
        }
        assert!(fold.kept_bytes <= KEPT_BYTES && fold.pending.capacity() <= 4 * BLOCK);
        let folded = fold.finish();
        assert_eq!(folded.left_out + folded.lines.len() as u64, 4000);
        let mut endless = self::fold(Keep::Last, 10, None, 0);
        (0..100).for_each(|_| endless.bytes(&[b'y'; 64 << 10]));
        assert!(endless.pending.capacity() <= 4 * LINE_BYTES);
    }

    proptest::proptest! {
        #[test]
        fn cuts_of_the_stream_change_nothing(lines in proptest::collection::vec("[a-z0-9 ü]{0,12}", 0..40), size in 1usize..30) {
            let log = lines.join("\n");
            let mut whole = fold(Keep::Last, 10, Some("a"), 1);
            whole.bytes(log.as_bytes());
            let mut cut = fold(Keep::Last, 10, Some("a"), 1);
            log.as_bytes().chunks(size).for_each(|chunk| cut.bytes(chunk));
            proptest::prop_assert_eq!(whole.finish(), cut.finish());
        }
    }
}
