//! What is signed, and how long payloads are kept.

use super::{Resolver, Step, at};
use crate::engine::retention::Retention;
use std::time::Duration;

/// Shorter, and people would find nothing behind a report that they were just told of.
const SHORTEST: Duration = Duration::from_secs(3_600);

impl Resolver<'_> {
    pub(super) fn checkpoint_every(&mut self) -> Duration {
        let every = self.loaded.file.audit.checkpoint_every.0;
        if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&every) {
            let help = "write a duration from 1s to 1h; 10s is the default";
            self.problem(at!["audit", "checkpoint_every"], "is too short or too long", help);
        }
        every
    }

    pub(super) fn retention(&mut self) -> Retention {
        let of = &self.loaded.file.retention;
        let (payloads, transcripts) = (of.payloads.map(|span| span.0), of.transcripts.map(|span| span.0));
        for (key, kept) in [("payloads", payloads), ("transcripts", transcripts)] {
            if kept.is_some_and(|kept| kept < SHORTEST) {
                self.problem(at!["retention", key], "is too short", "write 1h or more; null keeps everything");
            }
        }
        Retention { payloads, transcripts }
    }
}
