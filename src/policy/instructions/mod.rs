//! Text that looks like instructions to whoever reads it: telemetry has none for us, so what has is either
//! an attack or worth a person's look. It decides nothing by itself; it makes policy ask (`action/taint`).
//!
//! - [`patterns`]: what is looked for;
//! - [`readings`]: the text without its disguises, and what is encoded in it;
//! - here: one answer for one text. Pure, and bounded in what it looks at.
//!
//! It cannot find every disguise, and nothing rests on it alone: what may be done is decided without it.

mod patterns;
mod readings;

use std::collections::BTreeSet;

/// Bytes of one text that are looked at: as much as any reader is given at once.
const MOST: usize = 256 << 10;

/// Who wrote a text, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// By people for people, to say what to do: alerts, runbooks, tickets, repositories. Advice is no
    /// surprise there; orders to a program are.
    AsAdvice,
    /// By machines, or by anybody: logs, events, objects, answers of servers. There, advice to change
    /// something is one more sign.
    ByMachines,
}

/// What in `text` looks like instructions: words of [`patterns::KINDS`], each once, in order. Nothing where
/// nothing does.
pub fn instructions_in(text: &str, written: Written) -> Vec<&'static str> {
    let mut found = BTreeSet::new();
    let end = text.floor_char_boundary(MOST);
    // Of longer ones, the beginning and the end.
    if end < text.len() {
        let rest = text.ceil_char_boundary(text.len() - MOST.min(text.len() - end));
        look(&text[rest..], written, &mut found);
    }
    look(&text[..end], written, &mut found);
    found.into_iter().collect()
}

fn look(text: &str, written: Written, found: &mut BTreeSet<&'static str>) {
    found.extend(patterns::in_raw(text));
    if readings::hides(text) {
        found.insert(patterns::HIDDEN);
    }
    for reading in readings::of(text) {
        found.extend(patterns::in_folded(&reading, written));
    }
}

#[cfg(test)]
mod tests;
