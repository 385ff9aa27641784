//! One line on stderr that is written over: what is waited for. It is for terminals only.

use super::text::line;
use std::io::{IsTerminal as _, Write as _, stderr};

/// Back to the beginning of the line, which is then empty.
const ERASE: &str = "\r\u{1b}[2K";
/// Characters of it; a line that wraps could not be written over.
const MOST: usize = 79;

/// The line. It goes when this is dropped.
#[derive(Debug)]
pub(super) struct Status {
    terminal: bool,
    shown: bool,
}

impl Status {
    /// Shows nothing yet; and never anything unless stderr is a terminal.
    pub(super) fn new() -> Self {
        Self { terminal: stderr().is_terminal(), shown: false }
    }

    /// Shows `text` instead of what was there. Nobody listening is fine.
    pub(super) fn show(&mut self, text: &str) {
        if self.terminal {
            let _ = write!(stderr().lock(), "{ERASE}{}", line(text, MOST));
            let _ = stderr().lock().flush();
            self.shown = true;
        }
    }

    /// Takes it away, before anything else is written.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(stderr().lock(), "{ERASE}");
            let _ = stderr().lock().flush();
        }
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.clear();
    }
}
