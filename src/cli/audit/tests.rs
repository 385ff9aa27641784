use super::*;
use crate::cli::render::tests::event;
use crate::domain::*;
use crate::journal::{Body, Call, Draft, Frozen, Outcome, Phase};
use jiff::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Clone, Default)]
struct Memory {
    chains: BTreeMap<String, Vec<Entry>>,
    heads: BTreeMap<String, Head>,
    blobs: BTreeMap<String, ([u8; 16], Vec<u8>)>,
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
        self.chains.entry(chain.into()).or_default().push(entry);
    }
}

fn ruling(verdict: Verdict) -> Ruling {
    Ruling {
        id: DecisionId::new(Uuid::from_u128(2)),
        verdict,
        reasons: vec![],
        requirements: vec![],
        expires_s: None,
        duties: Default::default(),
        for_model: None,
        policy: PolicyRef { digest: Digest::of("p"), bundle: "b".into() },
        input_digest: Digest::of("i"),
        error: None,
    }
}

/// One investigation as firewarden writes it, and the system chain.
fn written(read: Verdict) -> Memory {
    let mut memory = Memory::default();
    let inv = "inv_1";
    let mut opening = event("A", "d");
    opening.raw = memory.blob_of("raw");
    let input = memory.blob_of("input");
    let decision = RiskDecision {
        id: DecisionId::new(Uuid::from_u128(1)),
        level: Risk::Low,
        reasons: vec![],
        obligations: vec![],
        policy: ruling(Verdict::Allow).policy,
        input_digest: Digest::of("i"),
        error: None,
    };
    memory.append(
        inv,
        Body::EventReceived {
            event: Box::new(opening),
            correlation_key: "k".into(),
            incident_key: Digest::of("k"),
            route: "default".into(),
        },
    );
    memory.append(inv, Body::RiskAssessed { phase: Phase::Alert, decision, input });
    memory.append(
        inv,
        Body::Opened(Frozen {
            route: "default".into(),
            prompt: "incident".into(),
            tools: vec![],
            model: None,
            fallbacks: vec![],
            budget: Budget::default(),
            context_tokens: None,
            windows: std::collections::BTreeMap::new(),
            pulls: None,
            prompts_digest: Digest::of("p"),
            tools_digest: Digest::of("t"),
        }),
    );
    let call = Call {
        id: "s1".into(),
        tool: "kubernetes_get".into(),
        args: serde_json::json!({}),
        effect: None,
        need: serde_json::Value::Null,
    };
    memory.append(inv, Body::SurveyPlanned { round: 1, calls: vec![call.clone()] });
    memory.append(inv, Body::ReadStarted { call, ruling: ruling(read), input: None });
    let observation = memory.blob_of("seen");
    memory.append(
        inv,
        Body::ReadFinished {
            call_id: "s1".into(),
            evidence_id: "E1".into(),
            observation,
            excerpt: "seen".into(),
            digest: Digest::of("seen"),
            truncated: false,
            redacted: 0,
            duration_ms: 1,
        },
    );
    let report = memory.blob_of("report");
    memory.append(
        inv,
        Body::Reported {
            revision: 1,
            verdict: ReportVerdict::Possible,
            summary: "s".into(),
            report,
            sinks: vec!["log".into()],
        },
    );
    memory.append(inv, Body::Notified { sink: "log".into(), revision: 1, error: None });
    memory.append(inv, Body::Closed { outcome: Outcome::Reported });
    memory.append(SYSTEM, Body::Stopped {});
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
    assert_eq!((audit.chains, audit.entries, audit.payloads_match), (2, 10, 4));
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
