mod decisions;
mod exported;
mod keys;
mod tampering;

use super::found::{Audit, Check};
use super::*;
use crate::audit::bundle::KeptBundle;
use crate::audit::{Checkpoint, Frontier, Signer, Witnessed, leaf_text, merkle};
use crate::cli::render::tests::event;
use crate::domain::*;
use crate::journal::chain::SYSTEM;
use crate::journal::{Body, Call, Deleted, Draft, Entry, Frozen, Head, Outcome, Phase, Retained, Started};
use crate::store::{KeptCheckpoint, Logged, StoreError};
use async_trait::async_trait;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Clone, Default)]
struct Memory {
    chains: BTreeMap<String, Vec<Entry>>,
    heads: BTreeMap<String, Head>,
    blobs: BTreeMap<String, ([u8; 16], Vec<u8>)>,
    log: Vec<(String, u64)>,
    notes: Vec<(u64, String)>,
}

fn signer() -> Signer {
    Signer::from_seed(&[9; 32], |_| "log.example/a".into()).unwrap()
}

fn terms() -> Terms {
    Terms { keys: vec![signer().key().clone()], ..Terms::default() }
}

async fn verify(memory: &Memory) -> Result<Audit, StoreError> {
    verify::verify(memory, &terms()).await
}

#[async_trait]
impl Ledger for Memory {
    async fn chains(&self, after: &str, limit: u32) -> Result<Vec<(String, Head)>, StoreError> {
        let later = self.heads.iter().filter(|(name, _)| name.as_str() > after);
        Ok(later.take(limit as usize).map(|(n, h)| (n.clone(), h.clone())).collect())
    }

    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let entries = self.chains.get(chain).into_iter().flatten().filter(|e| e.seq > after);
        Ok(entries.take(limit as usize).cloned().collect())
    }

    async fn blob(&self, reference: &BlobRef) -> Result<Option<Vec<u8>>, StoreError> {
        match self.blobs.get(reference.commitment.as_str()) {
            None => Ok(None),
            Some((salt, bytes)) if reference.opens_with(salt, bytes) => Ok(Some(bytes.clone())),
            Some(_) => {
                Err(StoreError::Corrupt { what: "blob".into(), place: "memory".into(), why: "other bytes".into() })
            }
        }
    }

    async fn length(&self) -> Result<u64, StoreError> {
        Ok(self.log.len() as u64)
    }

    async fn log(&self, after: u64, limit: u32) -> Result<Vec<Logged>, StoreError> {
        let lines = self.log.iter().zip(1_u64..).skip(after as usize).take(limit as usize);
        Ok(lines.map(|((chain, seq), position)| self.line(chain, *seq, position)).collect())
    }

    async fn checkpoints(&self, after: u64, limit: u32) -> Result<Vec<KeptCheckpoint>, StoreError> {
        let later = self.notes.iter().filter(|(size, _)| *size > after).take(limit as usize);
        Ok(later.map(|(size, note)| KeptCheckpoint { size: *size, note: note.clone(), frontier: vec![] }).collect())
    }

    fn is_live(&self) -> bool {
        true
    }
}

impl Memory {
    fn blob_of(&mut self, text: &str) -> BlobRef {
        let reference = BlobRef::commit(&[7; 16], text.as_bytes());
        self.blobs.insert(reference.commitment.to_string(), ([7; 16], text.into()));
        reference
    }

    fn append(&mut self, chain: &str, body: Body) {
        let head = self.heads.get(chain).cloned().unwrap_or_else(|| Head::genesis(chain));
        let entry = head.seal(chain, Timestamp::UNIX_EPOCH, Draft::engine(body)).unwrap();
        self.heads.insert(chain.into(), entry.head());
        self.log.push((chain.into(), entry.seq));
        self.chains.entry(chain.into()).or_default().push(entry);
    }

    fn line(&self, chain: &str, seq: u64, position: u64) -> Logged {
        let entry = self.chains.get(chain).and_then(|chain| chain.iter().find(|entry| entry.seq == seq));
        Logged { position, chain: chain.into(), seq, hash: entry.map(|entry| entry.hash.clone()) }
    }

    /// Signs the log as it is.
    fn sign(&mut self, signer: &Signer) -> Checkpoint {
        let mut tree = Frontier::default();
        for (chain, seq) in &self.log {
            let line = self.line(chain, *seq, 0);
            tree.push(merkle::leaf(leaf_text(chain, *seq, &line.hash.unwrap()).as_bytes()));
        }
        let made = Checkpoint {
            origin: signer.key().name().into(),
            size: tree.size(),
            root: tree.root(),
            at: Timestamp::UNIX_EPOCH,
            after: self.notes.last().map_or(0, |(size, _)| *size),
        };
        self.notes.push((made.size, signer.sign(&made.text())));
        made
    }

    /// Changes an entry and gives everything behind it new hashes, as whoever holds the database can.
    fn rewrite(&mut self, chain: &str, seq: u64, body: Body) {
        let entries = self.chains.get_mut(chain).unwrap();
        let mut head = Head::genesis(chain);
        for entry in entries.iter_mut() {
            let body = if entry.seq == seq { body.clone() } else { entry.body.clone() };
            *entry = head.seal(chain, entry.at, Draft::new(entry.actor.clone(), body)).unwrap();
            head = entry.head();
        }
        self.heads.insert(chain.into(), head);
    }
}

fn ruling(verdict: Verdict) -> Ruling {
    Ruling {
        id: DecisionId::new(Uuid::from_u128(2)),
        verdict,
        reasons: vec![],
        requirements: vec![],
        exceptions: vec![],
        expires_s: None,
        duties: Default::default(),
        for_model: None,
        policy: PolicyRef { digest: bundle().digest(), bundle: "b@1".into() },
        input_digest: Digest::of("i"),
        error: None,
    }
}

/// What was judged, in these tests.
const INPUT: &str = r#"{"of":"a test"}"#;

/// What firewarden writes of one investigation.
fn bodies(read: Verdict, mut keep: impl FnMut(&str) -> BlobRef) -> Vec<Body> {
    let mut opening = event("A", "d");
    opening.raw = keep("raw");
    let input = keep(INPUT);
    let mut bodies = vec![];
    let decision = RiskDecision {
        id: DecisionId::new(Uuid::from_u128(1)),
        level: Risk::Low,
        reasons: vec![],
        exceptions: vec![],
        obligations: vec![],
        policy: ruling(Verdict::Allow).policy,
        input_digest: crate::policy::input_digest(&serde_json::from_str(INPUT).unwrap()).unwrap(),
        error: None,
    };
    bodies.push(Body::EventReceived {
        event: Box::new(opening),
        correlation_key: "k".into(),
        incident_key: Digest::of("k"),
        route: "default".into(),
    });
    bodies.push(Body::RiskAssessed { phase: Phase::Alert, decision, input });
    bodies.push(Body::Opened(Frozen {
        route: "default".into(),
        prompt: "incident".into(),
        tools: vec![],
        model: None,
        fallbacks: vec![],
        budget: Budget::default(),
        context_tokens: None,
        windows: std::collections::BTreeMap::new(),
        pulls: None,
        playbook: Default::default(),
        prompts_digest: Digest::of("p"),
        tools_digest: Digest::of("t"),
    }));
    let call = Call {
        id: "s1".into(),
        tool: "kubernetes_get".into(),
        args: serde_json::json!({}),
        effect: None,
        need: serde_json::Value::Null,
    };
    bodies.push(Body::SurveyPlanned { round: 1, calls: vec![call.clone()] });
    bodies.push(Body::ReadStarted { call, ruling: ruling(read), input: None });
    let observation = keep("seen");
    bodies.push(Body::ReadFinished {
        call_id: "s1".into(),
        evidence_id: "E1".into(),
        observation,
        excerpt: "seen".into(),
        digest: Digest::of("seen"),
        truncated: false,
        redacted: 0,
        duration_ms: 1,
        instructions: vec![],
    });
    let report = keep("report");
    bodies.push(Body::Reported {
        revision: 1,
        verdict: ReportVerdict::Possible,
        summary: "s".into(),
        report,
        sinks: vec!["log".into()],
    });
    bodies.push(Body::Notified { sink: "log".into(), revision: 1, error: None });
    bodies.push(Body::Closed { outcome: Outcome::Reported });
    bodies
}

/// A policy of one file.
fn bundle() -> KeptBundle {
    let files = [("action/a.rego".to_owned(), "package firewarden.action.a\n".to_owned())];
    KeptBundle { engine: "e".into(), contract: "c".into(), files: files.into() }
}

/// How a process begins, with its policy beside it.
fn started(mut keep: impl FnMut(&str) -> BlobRef) -> Body {
    Body::Started(Started {
        version: "1".into(),
        policy: PolicyRef { digest: bundle().digest(), bundle: "b@1".into() },
        prompts: Digest::of("p"),
        tools: Digest::of("t"),
        bundle: Some(keep(&serde_json::to_string(&bundle()).unwrap())),
        governing: Default::default(),
    })
}

/// One investigation and the system chain, signed twice.
fn written(read: Verdict) -> Memory {
    let mut memory = Memory::default();
    let started = started(|text| memory.blob_of(text));
    memory.append(SYSTEM, started);
    let bodies = bodies(read, |text| memory.blob_of(text));
    for (n, body) in bodies.into_iter().enumerate() {
        memory.append("inv_1", body);
        if n == 3 {
            memory.sign(&signer());
        }
    }
    memory.append(SYSTEM, Body::Stopped {});
    memory.sign(&signer());
    memory
}

async fn shown(memory: &Memory) -> String {
    verify(memory).await.unwrap().lines().join("\n")
}

#[tokio::test]
async fn what_was_written_passes() {
    let memory = written(Verdict::Allow);
    let audit = verify(&memory).await.unwrap();
    assert!(audit.pass, "{audit:?}");
    assert_eq!((audit.chains, audit.entries, audit.payloads_match), (2, 11, 5));
    insta::assert_snapshot!(shown(&memory).await);
    insta::assert_json_snapshot!("as_json", audit);
    assert!(verify(&Memory::default()).await.unwrap().pass, "an empty store is intact");
}

#[tokio::test]
async fn each_kind_of_tampering_is_named() {
    let mut out = String::new();
    let fine = written(Verdict::Allow);
    type Tampering = Box<dyn Fn(&mut Memory)>;
    let tampered: Vec<(&str, Tampering)> = vec![
        (
            "an entry was edited",
            Box::new(|m| m.chains.get_mut("inv_1").unwrap()[2].at = Timestamp::from_second(9).unwrap()),
        ),
        ("an entry was removed", Box::new(|m| drop(m.chains.get_mut("inv_1").unwrap().remove(4)))),
        ("the tail was removed", Box::new(|m| drop(m.chains.get_mut("inv_1").unwrap().pop()))),
        (
            "the listed head was replaced",
            Box::new(|m| {
                m.heads.get_mut("inv_1").unwrap().hash = Digest::of("other");
            }),
        ),
        ("a chain was emptied", Box::new(|m| m.chains.get_mut("inv_1").unwrap().clear())),
        (
            "a payload was edited",
            Box::new(|m| {
                m.blobs.values_mut().for_each(|(_, b)| {
                    if b == b"seen" {
                        *b = b"sawn".to_vec()
                    }
                })
            }),
        ),
        ("a payload was removed", Box::new(|m| m.blobs.retain(|_, (_, b)| b != b"report"))),
        ("a line of the log was removed", Box::new(|m| drop(m.log.remove(3)))),
        ("lines of the log were swapped", Box::new(|m| m.log.swap(0, 1))),
        (
            "an entry was rewritten with every hash behind it",
            Box::new(|m| m.rewrite("inv_1", 9, Body::Closed { outcome: Outcome::Declined })),
        ),
        (
            "a chain was removed with its lines",
            Box::new(|m| {
                m.log.retain(|(chain, _)| chain == SYSTEM);
                m.chains.remove("inv_1");
                m.heads.remove("inv_1");
            }),
        ),
        (
            "the tail was removed with its lines and heads",
            Box::new(|m| {
                m.chains.get_mut(SYSTEM).unwrap().pop();
                m.log.pop();
                m.heads.insert(SYSTEM.into(), m.chains[SYSTEM][0].head());
            }),
        ),
        ("a checkpoint was removed", Box::new(|m| drop(m.notes.remove(0)))),
        ("a checkpoint was edited", Box::new(|m| m.notes[0].1 = m.notes[0].1.replace("\n5\n", "\n4\n"))),
        (
            "another key signed",
            Box::new(|m| {
                m.notes.clear();
                m.sign(&Signer::from_seed(&[8; 32], |_| "log.example/a".into()).unwrap());
            }),
        ),
        (
            "another policy stands there",
            Box::new(|m| {
                let other = KeptBundle { engine: "f".into(), ..bundle() };
                let bundle = Some(m.blob_of(&serde_json::to_string(&other).unwrap()));
                let Body::Started(started) = m.chains[SYSTEM][0].body.clone() else { panic!() };
                m.rewrite(SYSTEM, 1, Body::Started(Started { bundle, ..started }));
            }),
        ),
        (
            "a chain was moved",
            Box::new(|m| {
                let entries = m.chains.remove("inv_1").unwrap();
                m.chains.insert("inv_2".into(), entries);
                let head = m.heads.remove("inv_1").unwrap();
                m.heads.insert("inv_2".into(), head);
            }),
        ),
    ];
    for (name, tamper) in tampered {
        let mut memory = fine.clone();
        tamper(&mut memory);
        assert!(!verify(&memory).await.unwrap().pass, "{name}");
        out.push_str(&format!("== {name}\n{}\n\n", shown(&memory).await));
    }
    let refused = written(Verdict::Deny);
    assert!(!verify(&refused).await.unwrap().pass);
    out.push_str(&format!("== a call that was refused was made\n{}\n", shown(&refused).await));
    insta::assert_snapshot!(out);
}

#[tokio::test]
async fn a_server_may_append_meanwhile() {
    let mut memory = written(Verdict::Allow);
    let before = memory.heads.clone();
    memory.append(SYSTEM, Body::Stopped {});
    memory.heads = before;
    assert!(verify(&memory).await.unwrap().pass);
}

#[tokio::test]
async fn what_was_deleted_and_declared_is_no_fault() {
    let mut memory = written(Verdict::Allow);
    let gone = memory.chains["inv_1"][5].body.payloads()[0].commitment.clone();
    memory.blobs.remove(gone.as_str());
    assert!(!verify(&memory).await.unwrap().pass);
    let deleted = Deleted {
        chain: "inv_1".into(),
        kind: Retained::Payloads,
        ended_before: Timestamp::UNIX_EPOCH,
        commitments: vec![gone],
    };
    // Said elsewhere than in the system chain, it says nothing.
    let mut elsewhere = memory.clone();
    elsewhere.append("inv_1", Body::PayloadsDeleted(deleted.clone()));
    assert!(!verify(&elsewhere).await.unwrap().pass);
    memory.append(SYSTEM, Body::PayloadsDeleted(deleted));
    let audit = verify(&memory).await.unwrap();
    assert!(audit.pass, "{audit:?}");
    assert_eq!((audit.payloads_redacted, audit.declarations, audit.unsigned_tail), (1, 1, 1));
    assert!(shown(&memory).await.contains("4 match · 1 redacted (declared in 1 entry) · 0 missing"));
}

#[tokio::test]
async fn others_remember() {
    let memory = written(Verdict::Allow);
    let (size, note) = memory.notes[0].clone();
    let seen = Witnessed { size, root: Checkpoint::read(&note).unwrap().root };
    let with = async |memory: &Memory, seen| {
        verify::verify(memory, &Terms { witnessed: vec![seen], ..terms() }).await.unwrap()
    };
    let audit = with(&memory, seen).await;
    assert!(audit.pass && audit.witnessed == 1, "{audit:?}");
    for other in [Witnessed { root: [0; 32], ..seen }, Witnessed { size: 99, ..seen }] {
        assert!(with(&memory, other).await.failed.contains_key(&Check::Consistency));
    }
    // Whoever holds database and key rewrites everything; only what others remember shows it.
    let mut forged = memory;
    forged.rewrite("inv_1", 2, forged.chains["inv_1"][1].body.clone());
    forged.rewrite("inv_1", 9, Body::Closed { outcome: Outcome::Failed });
    let Body::EventReceived { event, correlation_key, incident_key, .. } = forged.chains["inv_1"][0].body.clone()
    else {
        panic!()
    };
    forged.rewrite("inv_1", 1, Body::EventReceived { event, correlation_key, incident_key, route: "another".into() });
    forged.notes.clear();
    forged.sign(&signer());
    assert!(verify(&forged).await.unwrap().pass, "this is what the threat model says of it");
    assert!(!with(&forged, seen).await.pass);
}

#[tokio::test]
async fn checkpoints_without_a_key_and_a_long_tail_are_no_proof() {
    let mut memory = written(Verdict::Allow);
    let audit = verify::verify(&memory, &Terms::default()).await.unwrap();
    assert_eq!(audit.failed.keys().collect::<Vec<_>>()[..1], [&Check::Signature]);
    let none = Memory { notes: vec![], ..memory.clone() };
    assert!(verify(&none).await.unwrap().pass, "before the first checkpoint there is none");
    for _ in 0..600 {
        memory.append(SYSTEM, Body::Stopped {});
    }
    let audit = verify(&memory).await.unwrap();
    assert_eq!(audit.failed.keys().collect::<Vec<_>>(), [&Check::UnsignedTail]);
    memory.sign(&signer());
    assert!(verify(&memory).await.unwrap().pass);
}
