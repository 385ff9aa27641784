//! Exports of real stores.

use super::super::export;
use super::super::files::{Files, Folder};
use super::super::offline::Export;
use super::*;
use crate::cli::text::Colour;
use crate::domain::AlertStatus;
use crate::edge::SystemEntropy;
use crate::engine::checkpoints::Checkpoints;
use crate::engine::retention::{Retention, delete_due};
use crate::journal::{Investigation, PolicyActivated, View};
use crate::store::sqlite::SqliteStore;
use crate::store::{Append, Arrival, Blob, Blobs, Journal, Log, Store};
use std::io::{self, BufRead, Cursor};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// An export in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InMemory(pub(super) BTreeMap<String, Vec<u8>>);

impl Files for InMemory {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + Send + '_>>> {
        Ok(self.0.get(name).map(|bytes| Box::new(Cursor::new(bytes.as_slice())) as Box<dyn BufRead + Send + '_>))
    }
}

/// Stands still; put forward by hand, in seconds.
#[derive(Debug, Default)]
pub(super) struct Now(AtomicI64);

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A store with investigations in it, and who signs it.
pub(super) struct Site {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    checkpoints: Checkpoints,
    clock: Arc<Now>,
}

impl Site {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("fw.db"), &SystemEntropy::default()).await.unwrap();
        let (store, clock) = (Arc::new(store), Arc::new(Now::default()));
        let checkpoints = Checkpoints::new(store.clone(), signer(), clock.clone());
        let site = Self { folder, store, checkpoints, clock };
        let mut blobs = vec![];
        let body = started(|text| site.keep(&mut blobs, text));
        site.store.append_system(vec![Draft::engine(body)], blobs, site.clock.now()).await.unwrap();
        site
    }

    fn keep(&self, blobs: &mut Vec<Blob>, text: &str) -> BlobRef {
        let blob = Blob::new(SystemEntropy::default().salt(), text.into());
        blobs.push(blob);
        blobs.last().unwrap().reference.clone()
    }

    /// An investigation from its alert to its end; checkpoints after some of its entries.
    pub(super) async fn investigate(&self, name: &str, signed_after: &[usize]) -> String {
        let entropy = SystemEntropy::default();
        let now = self.clock.now();
        let mut blobs = vec![];
        let mut bodies = bodies(Verdict::Allow, |text| match text {
            INPUT => self.keep(&mut blobs, text),
            text => self.keep(&mut blobs, &format!("{text} of {name}")),
        });
        let Body::EventReceived { event, .. } = bodies.remove(0) else { panic!() };
        let raw = blobs.remove(0);
        let event = SreEvent {
            id: EventId::new(entropy.uuid(now)),
            fingerprint: name.into(),
            // Alerts of one object would be one investigation.
            resource: Resource { id: name.into(), ..event.resource.clone() },
            status: AlertStatus::Firing,
            raw: raw.reference.clone(),
            ..*event
        };
        let arrival = Arrival {
            event,
            raw,
            correlation_key: name.into(),
            incident_key: Digest::of(name),
            route: "default".into(),
            candidate: InvestigationId::new(entropy.uuid(now)),
            kin: None,
        };
        self.store.admit(vec![arrival], None, now).await.unwrap();
        let lease = self.store.claim("test", now, now).await.unwrap().unwrap();
        let chain = lease.investigation.to_string();
        let entries = self.store.entries(&chain, 0, 9).await.unwrap();
        let mut state = Investigation::fold(&chain, &entries).unwrap();
        for (n, body) in bodies.into_iter().enumerate() {
            let head = state.head.clone();
            let entry = head.seal(&chain, now, Draft::engine(body)).unwrap();
            state.apply(&entry).unwrap();
            let blobs = std::mem::take(&mut blobs);
            let append = Append { entries: vec![entry], blobs, view: View::of(&state), ..Append::default() };
            self.store.append(&lease, &head, append).await.unwrap();
            if signed_after.contains(&n) {
                self.checkpoints.make().await.unwrap().unwrap();
            }
        }
        self.store.release(&lease).await.unwrap();
        chain
    }

    pub(super) async fn sign(&self) {
        self.checkpoints.make().await.unwrap();
    }

    /// Exports all of it, or what is not older than `since`.
    pub(super) async fn export(&self, since: Option<Timestamp>, format: Words) -> InMemory {
        let out = self.folder.path().join(format!("export-{}", uuid::Uuid::new_v4()));
        let told = Output { colour: Colour::Off, columns: 80, terminal: false };
        let store: &dyn Store = self.store.as_ref();
        let wanted = export::Wanted { since, format, ..Default::default() };
        export::run(store, &[signer().key().clone()], &out, &wanted, &told).await.unwrap();
        let folder = Folder(out.clone());
        let names = folder.names().unwrap();
        InMemory(names.into_iter().map(|name| (name.clone(), std::fs::read(out.join(&name)).unwrap())).collect())
    }

    async fn live(&self) -> Audit {
        let store: &dyn Store = self.store.as_ref();
        verify::verify(&OfStore(store), &terms()).await.unwrap()
    }
}

/// Verifies an export.
pub(super) async fn offline(files: &InMemory, partial: bool) -> Audit {
    let export = Export::new(files, &[signer().key().clone()]);
    verify::verify(&export, &Terms { partial, ..terms() }).await.unwrap()
}

#[tokio::test]
async fn a_store_verifies_live_and_its_export_without_it() {
    let site = Site::new().await;
    assert!(site.live().await.pass, "nothing is signed yet");
    site.investigate("a", &[1, 4]).await;
    site.investigate("b", &[]).await;
    site.sign().await;
    assert_eq!(site.checkpoints.make().await.unwrap(), None, "there is nothing new");
    let live = site.live().await;
    assert!(live.pass, "{live:#?}");
    assert_eq!((live.chains, live.leaves, live.checkpoints, live.unsigned_tail), (3, 19, 3, 0));
    let files = site.export(None, Words::Jsonl).await;
    let exported = offline(&files, false).await;
    assert_eq!(Audit { unsigned_tail: 0, ..exported }, live);
    // What was appended since waits for its checkpoint, and is not in the export.
    site.investigate("c", &[]).await;
    assert_eq!(site.live().await.unsigned_tail, 9);
    assert_eq!(site.export(None, Words::Jsonl).await, files);
    // A new process goes on where the last checkpoint ends; one with another key does not.
    let other = Signer::from_seed(&[1; 32], |_| "log.example/a".into()).unwrap();
    let other = Checkpoints::new(site.store.clone(), other, site.clock.clone());
    assert!(other.make().await.unwrap_err().to_string().contains("Put back the key"));
    let again = Checkpoints::new(site.store.clone(), signer(), site.clock.clone());
    assert_eq!(again.make().await.unwrap().unwrap().after, 19);
    assert!(site.live().await.pass);
}

#[tokio::test]
async fn a_part_of_the_journal_is_a_part_and_says_so() {
    let site = Site::new().await;
    let old = site.investigate("old", &[]).await;
    site.clock.0.store(1_000, Ordering::Relaxed);
    let since = site.clock.now();
    let new = site.investigate("new", &[]).await;
    site.sign().await;
    let files = site.export(Some(since), Words::Jsonl).await;
    let has = |chain: &str| files.0.contains_key(&format!("entries/{chain}.jsonl"));
    assert!(has(&new) && has(SYSTEM) && !has(&old));
    let audit = offline(&files, true).await;
    assert!(audit.pass && audit.left_out == 1, "{audit:#?}");
    let whole = offline(&files, false).await;
    assert_eq!(whole.failed.keys().collect::<Vec<_>>(), [&Check::Chains], "nobody takes it for the whole");
    for format in [Words::CloudEvents, Words::Ocsf] {
        let files = site.export(Some(since), format).await;
        let text = String::from_utf8(files.0["events.jsonl"].clone()).unwrap();
        assert_eq!((files.0.len(), text.lines().count()), (1, 9), "{text}");
    }
}

#[tokio::test]
async fn retention_deletes_what_is_due_and_everything_still_verifies() {
    let site = Site::new().await;
    let day = Duration::from_secs(86_400);
    let retention = Retention { payloads: Some(400 * day), transcripts: Some(30 * day) };
    let old = site.investigate("old", &[]).await;
    // Policies stay, however they came into force.
    let mut blobs = vec![];
    let policy = PolicyRef { digest: bundle().digest(), bundle: "b@1".into() };
    let activated = Body::PolicyActivated(PolicyActivated {
        bundle: Some(site.keep(&mut blobs, &serde_json::to_string(&bundle()).unwrap())),
        before: policy.clone(),
        policy,
        trigger: "watch".into(),
        by: vec![],
        files: vec![],
        shadow: false,
        until: None,
        promotion: None,
        canary: 0,
    });
    site.store.append_system(vec![Draft::engine(activated)], blobs, site.clock.now()).await.unwrap();
    let due = async |site: &Site| delete_due(site.store.as_ref(), retention, site.clock.now()).await.unwrap();
    assert_eq!(due(&site).await, 0);
    site.clock.0.store(399 * 86_400, Ordering::Relaxed);
    site.investigate("new", &[]).await;
    assert_eq!(due(&site).await, 0);
    site.clock.0.store(401 * 86_400, Ordering::Relaxed);
    let entries = site.store.entries(&old, 0, 99).await.unwrap();
    let held: Vec<&BlobRef> = entries.iter().flat_map(|entry| entry.body.payloads()).collect();
    assert_eq!(due(&site).await, held.len() as u64);
    for payload in held {
        assert_eq!(site.store.blob(payload).await.unwrap(), None);
    }
    assert_eq!(due(&site).await, 0, "once is enough");
    site.sign().await;
    let live = site.live().await;
    assert!(live.pass, "{live:#?}");
    assert_eq!((live.payloads_redacted, live.payloads_missing, live.declarations, live.policies), (4, 0, 1, 2));
    let exported = offline(&site.export(None, Words::Jsonl).await, false).await;
    assert!(exported.pass && exported.payloads_redacted == 4, "{exported:#?}");
    let log = site.store.log(0, 1_000).await.unwrap();
    assert!(log.iter().zip(1..).all(|(line, n)| line.position == n && line.hash.is_some()));
}
