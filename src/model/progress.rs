//! How far an answer is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the pieces of an answer as they arrive. Whoever waits reads it from elsewhere; nobody is
/// called back, so a slow reader cannot hold up an answer.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// Another piece is there, thoughts included. Servers send about one token in each.
    pub fn piece(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The answer begins anew: the attempt before this one failed.
    pub fn restart(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// About how many tokens are there; 0 while the first one is awaited.
    pub fn tokens(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
