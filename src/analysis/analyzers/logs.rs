//! What failing containers say last. A line counts for the app that wrote it, and only as a
//! quotation: nobody obeys it.

use super::{crash, found};
use crate::analysis::scene::Scene;
use crate::analysis::snapshot::{Log, Pod};
use crate::analysis::text::quote;
use crate::domain::{Entity, Finding};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Lines from the end in which a failure without a fatal word is looked for.
const LAST_LINES: usize = 30;

/// A quoted line and where it was seen.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub pod: Entity,
    pub text: String,
    pub evidence: String,
}

/// A text known to the field, and the cause that it tells. All words of one alternative must occur.
struct Signature {
    cause_code: &'static str,
    category: &'static str,
    specificity: f64,
    any_of: &'static [&'static [&'static str]],
    says: &'static str,
    remedy: &'static str,
}

const NO_SPACE: [&str; 4] = ["no space left on device", "enospc", "disk quota exceeded", "not enough disk space"];

/// The more telling first: the first that matches the failure wins.
const SIGNATURES: [Signature; 10] = [
    Signature {
        cause_code: "corrupt_data",
        category: "data",
        specificity: 0.85,
        any_of: &[
            &["corrupt"],
            &["checksum mismatch"],
            &["bad magic"],
            &["invalid magic"],
            &["truncated", "wal"],
            &["empty", "checkpoint"],
            &["incomplete", "checkpoint"],
            &["invalid", "checkpoint"],
            &["missing", "checkpoint"],
            &["no ", "in checkpoint"],
            &["checkpoint", "not found"],
            &["checkpoint", "failed"],
            &["checkpoint", "no such file"],
            &["checkpoint", "could not"],
            &["checkpoint", "contains no"],
            &["empty", "manifest"],
            &["empty", "snapshot"],
            &["invalid", "snapshot"],
            &["invalid", "manifest"],
        ],
        says: "finds its own data damaged",
        remedy: "Set the damaged part aside (move it, keep a copy) so that the server starts from the last good state; back up the volume first.",
    },
    Signature {
        cause_code: "volume_permission",
        category: "config",
        specificity: 0.6,
        any_of: &[&["permission denied"], &["eacces"], &["read-only file system"]],
        says: "may not write where it wants to",
        remedy: "Compare the user of the container with the owner of the path (runAsUser, fsGroup, readOnly).",
    },
    Signature {
        cause_code: "port_conflict",
        category: "config",
        specificity: 0.7,
        any_of: &[&["address already in use"], &["address in use"], &["eaddrinuse"]],
        says: "finds its port taken",
        remedy: "Give each container of the pod its own port.",
    },
    Signature {
        cause_code: "dns_failure",
        category: "dependency",
        specificity: 0.55,
        any_of: &[
            &["no such host"],
            &["nxdomain"],
            &["unknownhost"],
            &["name or service not known"],
            &["temporary failure in name resolution"],
            &["getaddrinfo"],
        ],
        says: "cannot resolve a name",
        remedy: "Check the name in the configuration, then cluster DNS.",
    },
    Signature {
        cause_code: "cert_expired",
        category: "config",
        specificity: 0.65,
        any_of: &[&["certificate has expired"], &["certificate is not yet valid"], &["x509:"]],
        says: "rejects a certificate",
        remedy: "Renew the certificate or correct the trusted authority.",
    },
    Signature {
        cause_code: "dependency_auth",
        category: "config",
        specificity: 0.6,
        any_of: &[&["access denied for user"], &["authentication failed"], &["invalid credentials"], &["noauth"]],
        says: "is refused by a peer for its credentials",
        remedy: "Compare the credentials in the Secret with those of the peer; look for a rotation.",
    },
    Signature {
        cause_code: "dependency_exhausted",
        category: "capacity",
        specificity: 0.6,
        any_of: &[&["too many connections"], &["remaining connection slots"], &["connection pool exhausted"]],
        says: "gets no connection because the peer has none left",
        remedy: "Find who holds the connections; lower pool sizes before raising the limit.",
    },
    Signature {
        cause_code: "dependency_unreachable",
        category: "dependency",
        specificity: 0.5,
        any_of: &[
            &["connection refused"],
            &["econnrefused"],
            &["no route to host"],
            &["i/o timeout"],
            &["connection timed out"],
            &["network is unreachable"],
        ],
        says: "cannot reach a peer",
        remedy: "Check whether the peer named in the line runs and its address is right.",
    },
    Signature {
        cause_code: "bad_config",
        category: "config",
        specificity: 0.6,
        any_of: &[
            &["missing required"],
            &["environment variable", "not set"],
            &["is required but"],
            &["invalid configuration"],
            &["config", "parse error"],
            &["unknown flag"],
        ],
        says: "rejects its configuration",
        remedy: "Correct the setting that the log complains of.",
    },
    Signature {
        cause_code: "app_panic",
        category: "code",
        specificity: 0.5,
        any_of: &[&[""]],
        says: "ends with a fatal error",
        remedy: "Take the quoted error to the application's developers; roll back if it is new.",
    },
];

fn is_fatal(lower: &str) -> bool {
    const WORDS: [&str; 8] = [
        "panic",
        "fatal",
        "unhandled exception",
        "uncaught exception",
        "segmentation fault",
        "assertion failed",
        "terminating with",
        "exception in thread",
    ];
    WORDS.iter().any(|word| lower.contains(word))
}

/// Failing pods with their failing run: the previous one if it was read, else the present one.
fn failing<'a>(scene: &Scene<'a>) -> Vec<(&'a Pod, Option<&'a Log>)> {
    let mut found = Vec::new();
    for pod in &scene.snapshot.pods {
        let crashes = pod
            .containers
            .iter()
            .any(|c| crash::crashing(c, scene.now) || c.terminated.as_ref().is_some_and(|t| t.exit_code != 0));
        if !crashes && pod.healthy() {
            continue;
        }
        let logs = || scene.snapshot.logs.iter().filter(|l| l.pod == pod.meta.entity && !l.lines.is_empty());
        // A later sight of the same run replaces the earlier.
        found.push((pod, logs().rfind(|l| l.previous).or_else(|| logs().next_back())));
    }
    found
}

/// The lines that tell the failure: the last fatal one with the two after it, else the last
/// line that is a known text by itself.
fn failure(lines: &[String]) -> Option<(String, bool)> {
    let lower: Vec<String> = lines.iter().map(|l| l.to_lowercase()).collect();
    if let Some(at) = lower.iter().rposition(|l| is_fatal(l)) {
        let end = (at + 3).min(lines.len());
        let window: Vec<&str> = lines[at..end].iter().map(|l| l.trim()).filter(|l| !is_hint(l)).collect();
        let text = window.join(" ");
        // Where the fatal line only says that it is fatal, the lines just before may say why.
        let known = |l: &String| SIGNATURES[..SIGNATURES.len() - 1].iter().any(|s| matches(s, l));
        let before = at.saturating_sub(3)..at;
        let why = before.rev().find(|i| known(&lower[*i])).filter(|_| !known(&text.to_lowercase()));
        return Some((why.map_or(text.clone(), |i| format!("{} {text}", lines[i].trim())), true));
    }
    let start = lines.len().saturating_sub(LAST_LINES);
    let known = |l: &String| {
        NO_SPACE.iter().any(|n| l.contains(n)) || SIGNATURES[..SIGNATURES.len() - 1].iter().any(|s| matches(s, l))
    };
    let at = start + lower[start..].iter().rposition(known)?;
    Some((lines[at].clone(), false))
}

/// What a container left as its termination message, which the pod's state keeps.
fn last_words(pod: &Pod) -> Option<((String, bool), String)> {
    let mut messages = pod.containers.iter().filter_map(|c| c.last_end()).map(|end| &end.message);
    let told = messages.find_map(|m| failure(&m.lines().take(50).map(str::to_owned).collect::<Vec<_>>()))?;
    Some((told, pod.meta.evidence.clone()))
}

/// Advice that runtimes print after a panic.
fn is_hint(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("note:")
        || line.starts_with("stack backtrace")
        || line.starts_with("goroutine ")
}

fn matches(signature: &Signature, lower: &str) -> bool {
    signature.any_of.iter().any(|words| words.iter().all(|word| lower.contains(word)))
}

pub(super) fn analyze(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pod, log) in failing(scene) {
        let entity = &pod.meta.entity;
        if let Some(line) = growth(scene, entity) {
            findings.push(Finding {
                symptom: true,
                evidence: vec![line.evidence],
                ..found(
                    entity,
                    "wal_growth",
                    "data",
                    0.35,
                    format!(
                        "the write-ahead log of {} grows and is not compacted; its log says: {}",
                        entity.name,
                        quote(&line.text)
                    ),
                )
            });
        }
        let said = log.and_then(|log| Some((failure(&log.lines)?, log.evidence.clone())));
        let Some(((text, fatal), source)) = said.or_else(|| last_words(pod)) else { continue };
        let lower = text.to_lowercase();
        // Lack of space is the volume's finding, unless no volume is mounted.
        if NO_SPACE.iter().any(|n| lower.contains(n)) {
            if pod.claims.is_empty() {
                findings.push(Finding {
                    onset: crash::onset(scene, pod),
                    evidence: vec![source, pod.meta.evidence.clone()],
                    remedy: Some("Raise the ephemeral storage or stop what fills it.".into()),
                    ..found(
                        entity,
                        "ephemeral_storage_full",
                        "capacity",
                        0.6,
                        format!("{} finds no space on its own file system: {}", entity.name, quote(&text)),
                    )
                });
            }
            continue;
        }
        let generic = SIGNATURES.len() - 1;
        let signature = SIGNATURES[..generic].iter().find(|s| matches(s, &lower)).unwrap_or(&SIGNATURES[generic]);
        let crashes = pod.containers.iter().any(|c| crash::crashing(c, scene.now));
        // A known text that did not end the run says less.
        let weight = if fatal && crashes { 1.0 } else { 0.8 };
        findings.push(Finding {
            onset: crash::onset(scene, pod),
            evidence: vec![source, pod.meta.evidence.clone()],
            remedy: Some(signature.remedy.to_owned()),
            ..found(
                entity,
                signature.cause_code,
                signature.category,
                signature.specificity * weight,
                format!("{} {}; its log says: {}", entity.name, signature.says, quote(&text)),
            )
        });
    }
    findings
}

/// Claims whose pods find no space left, with the last line that says so.
pub(super) fn no_space(scene: &Scene<'_>) -> BTreeMap<Entity, Line> {
    let mut all = BTreeMap::new();
    for log in &scene.snapshot.logs {
        let Some(pod) = scene.snapshot.pod(&log.pod) else { continue };
        let line = log.lines.iter().rfind(|l| {
            let lower = l.to_lowercase();
            NO_SPACE.iter().any(|n| lower.contains(n))
        });
        // With several claims the text does not say which; the first that an alert names, else the first.
        let claims = || pod.claims.iter().map(|c| Entity::new("PersistentVolumeClaim", pod.meta.namespace(), c));
        let claim = claims().find(|c| scene.subjects.contains(c)).or_else(|| claims().next());
        if let (Some(text), Some(claim)) = (line, claim) {
            let line = Line { pod: log.pod.clone(), text: text.clone(), evidence: log.evidence.clone() };
            all.insert(claim, line);
        }
    }
    all
}

static WAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(wal|write[- ]ahead[- ]log|redo log|binlog|commit ?log|oplog)s?\b").ok());
static AMOUNT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b\d[\d.,_]*\s*(?:[a-z-]+\s+){0,2}(files?|segments?|records?|entries|[kmgt]i?b|bytes)\b").ok()
});

/// The line in which a pod says how much of its write-ahead log waits to be compacted.
pub(super) fn growth(scene: &Scene<'_>, pod: &Entity) -> Option<Line> {
    const WAITING: [&str; 8] =
        ["compact", "checkpoint", "replay", "uncompacted", "pending", "retain", "recover", "not truncated"];
    let (wal, amount) = (WAL.as_ref()?, AMOUNT.as_ref()?);
    let logs = scene.snapshot.logs.iter().filter(|l| l.pod == *pod);
    let mut best: Option<(usize, Line)> = None;
    for log in logs {
        for text in log.lines.iter().rev().filter(|l| wal.is_match(l) && amount.is_match(l)) {
            let lower = text.to_lowercase();
            let words = WAITING.iter().filter(|w| lower.contains(*w)).count();
            let telling = words + amount.find_iter(text).count();
            // Either it waits for something, or both count and size are told.
            let tells = words > 0 || amount.find_iter(text).count() > 1;
            if tells && best.as_ref().is_none_or(|(b, _)| telling > *b) {
                let line = Line { pod: pod.clone(), text: text.clone(), evidence: log.evidence.clone() };
                best = Some((telling, line));
            }
        }
    }
    best.map(|(_, line)| line)
}
