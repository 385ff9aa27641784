//! What happened to the alerts while a model was at work: it is told behind the turn that it was asked last, and
//! at the same place whenever the conversation is made again from the journal.

use super::state::Investigation;
use crate::domain::{EventId, SreEvent};
use std::ops::Range;

/// Something happened to the alerts behind this turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meanwhile {
    /// The last turn that the model had been asked.
    pub turn: u32,
    /// What it was.
    pub what: Aside,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aside {
    /// These joined, by their places among the alerts.
    Joined(Range<usize>),
    /// So many joined and were only counted.
    Counted(usize),
    /// One is over.
    Over(EventId),
}

impl Investigation {
    /// Notes it, where a model is at work.
    pub(super) fn note_meanwhile(&mut self, what: Aside) {
        let last = self.turns.last().map(|turn| turn.number).filter(|turn| *turn >= self.first_turn);
        self.meanwhile.extend(last.map(|turn| Meanwhile { turn, what }));
    }

    /// What happened behind a turn of this revision.
    pub fn meanwhile(&self, turn: u32) -> impl Iterator<Item = &Aside> {
        self.meanwhile.iter().filter(move |aside| aside.turn == turn).map(|aside| &aside.what)
    }

    /// The alerts as they were when the model of this revision was first asked, of the first `most`.
    pub fn events_when_asked(&self, most: usize) -> Vec<SreEvent> {
        let since = || self.meanwhile.iter().filter(|aside| aside.turn >= self.first_turn);
        let joined = since().find_map(|aside| match &aside.what {
            Aside::Joined(places) => Some(places.start),
            Aside::Counted(_) | Aside::Over(_) => None,
        });
        let mut events: Vec<SreEvent> = self.events.iter().take(joined.unwrap_or(most).min(most)).cloned().collect();
        for aside in since() {
            if let Aside::Over(id) = &aside.what
                && let Some(event) = events.iter_mut().find(|event| event.id == *id)
            {
                (event.status, event.ends_at) = (crate::domain::AlertStatus::Firing, None);
            }
        }
        events
    }
}
