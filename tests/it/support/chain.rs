//! What a store holds, read beside or after the process.

use super::site::Site;
use firewarden::journal::{Body, Entry, chain};
use firewarden::store::Journal;
use firewarden::store::sqlite::SqliteStore;
use std::collections::BTreeSet;
use tempfile::TempDir;

/// The entries of a chain. They are read from a copy, so that what a killed process left behind is
/// still untouched when the next one opens it.
pub async fn entries(site: &Site, name: &str) -> Vec<Entry> {
    let copy = TempDir::new().unwrap();
    for suffix in ["", "-wal"] {
        let from = site.dir.path().join(format!("firewarden.db{suffix}"));
        if from.exists() {
            std::fs::copy(&from, copy.path().join(format!("firewarden.db{suffix}"))).unwrap();
        }
    }
    let store = SqliteStore::open_to_read(&copy.path().join("firewarden.db")).await.unwrap();
    let mut all: Vec<Entry> = vec![];
    loop {
        let page = store.entries(name, all.last().map_or(0, |e| e.seq), 1000).await.unwrap();
        match page.is_empty() {
            true => return all,
            false => all.extend(page),
        }
    }
}

/// Nothing is broken: links, meaning, and no evidence id twice.
pub fn assert_sound(name: &str, entries: &[Entry]) {
    chain::verify(name, entries).unwrap();
    let violations = firewarden::journal::semantics::violations(name, entries);
    assert!(violations.is_empty(), "{violations:#?}");
    let mut evidence = BTreeSet::new();
    for entry in entries {
        if let Body::ReadFinished { evidence_id, .. } | Body::ReadFailed { evidence_id, .. } = &entry.body {
            assert!(evidence.insert(evidence_id), "{evidence_id} was given out twice");
        }
    }
}

/// How many entries are of this kind.
pub fn count(entries: &[Entry], kind: &str) -> usize {
    entries.iter().filter(|e| e.body.kind() == kind).count()
}
