//! Who waits for a model right now. Nothing of it is journaled: it is gone when the answer is there.

use crate::model::Progress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Waits that are known at once; more than are worked on at once.
const MOST: usize = 256;

/// The waits, by chain.
#[derive(Debug, Default)]
pub struct Live(Mutex<BTreeMap<String, Asked>>);

#[derive(Debug)]
struct Asked {
    turn: u32,
    model: String,
    at: Timestamp,
    progress: Arc<Progress>,
}

/// One wait as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The turn.
    pub turn: u32,
    /// The model, by its configured name.
    pub model: String,
    /// Seconds since it was asked.
    pub waited_s: u64,
    /// About how many tokens of the answer are there; 0 while the first one is awaited.
    pub tokens: u64,
}

impl std::fmt::Display for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { turn, model, waited_s, tokens } = self;
        match tokens {
            0 => write!(f, "turn {turn}: waiting for the first token of {model} since {waited_s} s"),
            1 => write!(f, "turn {turn}: 1 token of {model} so far, after {waited_s} s"),
            _ => write!(f, "turn {turn}: {tokens} tokens of {model} so far, after {waited_s} s"),
        }
    }
}

/// A wait that lasts until this is dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    live: &'a Live,
    chain: &'a str,
}

impl Live {
    /// Notes that `chain` waits for `model`, and answers with what its progress is to be told to.
    pub fn begin<'a>(&'a self, chain: &'a str, turn: u32, model: &str, at: Timestamp) -> (Waiting<'a>, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        let mut waits = self.waits();
        if waits.len() < MOST {
            let asked = Asked { turn, model: model.to_owned(), at, progress: progress.clone() };
            waits.insert(chain.to_owned(), asked);
        }
        (Waiting { live: self, chain }, progress)
    }

    /// What `chain` waits for.
    pub fn of(&self, chain: &str, now: Timestamp) -> Option<Awaited> {
        let waits = self.waits();
        let asked = waits.get(chain)?;
        let waited_s = now.duration_since(asked.at).as_secs().max(0).unsigned_abs();
        Some(Awaited { turn: asked.turn, model: asked.model.clone(), waited_s, tokens: asked.progress.tokens() })
    }

    fn waits(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.live.waits().remove(self.chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_while_it_lasts() {
        let at = |s: i64| Timestamp::from_second(1_700_000_000 + s).unwrap();
        let live = Live::default();
        let (waiting, progress) = live.begin("a", 3, "main", at(0));
        let told = |s| live.of("a", at(s)).unwrap().to_string();
        assert_eq!(told(12), "turn 3: waiting for the first token of main since 12 s");
        progress.piece();
        assert_eq!(told(13), "turn 3: 1 token of main so far, after 13 s");
        progress.piece();
        assert_eq!(told(13), "turn 3: 2 tokens of main so far, after 13 s");
        progress.begin(&serde_json::Value::Null);
        assert_eq!(live.of("a", at(-5)).map(|a| (a.tokens, a.waited_s)), Some((0, 0)));
        assert_eq!(live.of("b", at(0)), None);
        drop(waiting);
        assert_eq!(live.of("a", at(14)), None);
    }

    #[test]
    fn it_stays_small() {
        let live = Live::default();
        let chains: Vec<String> = (0..MOST + 50).map(|n| n.to_string()).collect();
        let waits: Vec<_> = chains.iter().map(|chain| live.begin(chain, 1, "m", Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(live.waits().len(), MOST);
        drop(waits);
        assert!(live.waits().is_empty());
    }
}
