//! Names and quotations in a sentence, and whether a text holds them.
//!
//! A name is known by its form: letters and digits, joined (`web-7f9c`, `shop/db-0`, `v1.28.3`), or
//! whatever stands in backquotes. One of letters alone is known by the kind before it
//! (`deployment/checkout`, `pod cart-worker`), unless it may as well be a compound of plain words. Any
//! other plain word is nobody's name, whatever it means.

use super::figures::Figures;

/// What looks like a name and is a word of the trade.
const TERMS: [&str; 14] = [
    "utf-8",
    "sha-1",
    "sha-256",
    "sha-512",
    "x86-64",
    "http/1",
    "http/1.0",
    "http/1.1",
    "http/2",
    "http/3",
    "ipv4/ipv6",
    "tls-1.2",
    "tls-1.3",
    "p95/p99",
];

/// What has names of letters alone, written before the name.
const KINDS: [&str; 34] = [
    "claim",
    "configmap",
    "cronjob",
    "daemonset",
    "database",
    "deploy",
    "deployment",
    "ds",
    "host",
    "ingress",
    "job",
    "namespace",
    "node",
    "ns",
    "persistentvolume",
    "persistentvolumeclaim",
    "pod",
    "po",
    "pv",
    "pvc",
    "replicaset",
    "rs",
    "secret",
    "service",
    "serviceaccount",
    "statefulset",
    "storageclass",
    "sts",
    "svc",
    "volume",
    "webhook",
    "workload",
    "release",
    "operator",
];

/// Parts of compounds that are no names: `read-only`, `not-ready`, `out-of-memory`, `back-off`.
const PLAIN_PARTS: [&str; 96] = [
    "a",
    "affinity",
    "ahead",
    "and",
    "area",
    "auto",
    "back",
    "based",
    "bound",
    "by",
    "class",
    "cluster",
    "code",
    "cpu",
    "crash",
    "critical",
    "cross",
    "date",
    "down",
    "drain",
    "driven",
    "end",
    "error",
    "event",
    "facing",
    "fail",
    "failed",
    "failing",
    "fast",
    "first",
    "free",
    "front",
    "full",
    "grace",
    "half",
    "hard",
    "health",
    "high",
    "image",
    "in",
    "init",
    "io",
    "is",
    "kill",
    "killed",
    "known",
    "less",
    "level",
    "like",
    "limit",
    "liveness",
    "local",
    "long",
    "loop",
    "looping",
    "low",
    "managed",
    "memory",
    "multi",
    "network",
    "new",
    "no",
    "non",
    "not",
    "of",
    "off",
    "old",
    "on",
    "only",
    "out",
    "over",
    "owned",
    "per",
    "pre",
    "pressure",
    "probe",
    "pull",
    "rate",
    "re",
    "read",
    "readiness",
    "ready",
    "related",
    "roll",
    "running",
    "scale",
    "scoped",
    "self",
    "side",
    "single",
    "start",
    "terminated",
    "time",
    "to",
    "up",
    "wide",
];

/// The first name or quotation of `sentence` that is in none of the texts where it should be: in one
/// of `cited`; what stands before a slash (a namespace, a kind) in any of `all`.
pub fn strange(sentence: &str, cited: &[&Figures], all: &[&Figures]) -> Option<String> {
    let (quotations, rest) = quotations(sentence);
    let held = |texts: &[&Figures], name: &str| texts.iter().any(|text| occurs(text.text(), name));
    let quoted = quotations.into_iter().find(|quoted| {
        let mut parts = quoted.split(['…', '\n']).flat_map(|part| part.split("...")).map(str::trim);
        !parts.all(|part| part.is_empty() || cited.iter().any(|text| quotes(text.text(), part)))
    });
    let formed = |name: &&str| {
        if TERMS.contains(&name.to_lowercase().as_str()) || name.split(['/', '-', ',', ':']).all(is_evidence_id) {
            return false;
        }
        if name.contains("://") || name.starts_with('/') {
            return !cited.iter().any(|text| quotes(text.text(), name));
        }
        let parts: Vec<&str> = name.split('/').collect();
        let (last, before) = parts.split_last().unwrap_or((&"", &[]));
        (has_digit(last) && !held(cited, last)) || before.iter().any(|part| has_digit(part) && !held(all, part))
    };
    quoted
        .or_else(|| lettered(&rest).into_iter().find(|name| !held(cited, name)).map(str::to_owned))
        .or_else(|| rest.split_whitespace().filter_map(named).find(formed).map(str::to_owned))
}

/// Whether `name` stands in `text` (lower case) as a name: not in the middle of a longer word. What
/// follows may be a suffix of the same thing, as a pod's name continues its workload's.
pub fn occurs(text: &str, name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let inside = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    !name.is_empty()
        && text.match_indices(&name).any(|(at, found)| {
            let before = text[..at].chars().next_back();
            let after = text[at + found.len()..].chars().next();
            !before.is_some_and(inside) && !after.is_some_and(char::is_alphanumeric)
        })
}

/// Whether `text` (lower case) holds `quotation`, whatever white space and escapes stand between.
fn quotes(text: &str, quotation: &str) -> bool {
    let quotation = quotation.to_lowercase();
    if text.contains(&quotation) {
        return true;
    }
    let even = |text: &str| text.replace(['\\', '"', '\''], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    even(text).contains(&even(&quotation))
}

/// What stands in backquotes, or in quotation marks and is more than a word; and the rest.
fn quotations(sentence: &str) -> (Vec<String>, String) {
    let (mut found, mut rest) = (vec![], String::new());
    let mut left = sentence;
    while let Some(at) = left.find(['`', '"', '“']) {
        let open = left[at..].chars().next().unwrap_or('`');
        let close = if open == '“' { '”' } else { open };
        let body = &left[at + open.len_utf8()..];
        rest.push_str(&left[..at]);
        let Some(end) = body.find(close) else {
            rest.push_str(body);
            left = "";
            break;
        };
        let text = body[..end].trim();
        // A single word in quotation marks is irony as often as a quotation.
        if !text.is_empty() && (open == '`' || text.split_whitespace().count() > 1) {
            found.push(text.to_owned());
        } else {
            rest.push_str(text);
        }
        left = &body[end + close.len_utf8()..];
    }
    rest.push_str(left);
    (found, rest)
}

/// The name in a word of a sentence, without the punctuation around it.
fn named(word: &str) -> Option<&str> {
    let word = word.trim_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '/' | '_' | '-')));
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word).trim_end_matches('/');
    let joined = word.chars().any(|c| matches!(c, '-' | '_' | '/' | '.' | ':' | '@'));
    let begins = word.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '_'));
    (joined && begins && has_digit(word) && !word.contains('=')).then_some(word)
}

/// The names of letters alone in `sentence`: those behind a kind, joined to it by a slash, or compounds
/// that follow it.
fn lettered(sentence: &str) -> Vec<&str> {
    let bare = |word: &'_ str| -> (usize, usize) {
        let inner = word.trim_matches(|c: char| !(c.is_alphanumeric() || matches!(c, '/' | '_' | '-')));
        let at = inner.as_ptr() as usize - word.as_ptr() as usize;
        (at, at + inner.len())
    };
    let mut found = vec![];
    let mut before = "";
    for word in sentence.split_whitespace() {
        let (from, to) = bare(word);
        let inner = &word[from..to];
        let inner = inner.strip_suffix("'s").or_else(|| inner.strip_suffix("’s")).unwrap_or(inner);
        match inner.split_once('/') {
            Some((kind, name)) if is_kind(kind) && is_lettered(name) && !is_kind(name) => found.push(name),
            None if is_kind(before) && inner.contains('-') && is_lettered(inner) && !is_compound(inner) => {
                found.push(inner);
            }
            _ => {}
        }
        // What ends a clause names nothing that follows.
        before = if to == word.len() { inner } else { "" };
    }
    found
}

fn is_kind(word: &str) -> bool {
    KINDS.contains(&word.to_lowercase().as_str())
}

/// Lower-case letters, joined by hyphens: the form of a Kubernetes name without digits.
fn is_lettered(word: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    word.len() > 2 && word.split('-').all(part)
}

fn is_compound(word: &str) -> bool {
    word.split('-').any(|part| PLAIN_PARTS.contains(&part))
}

fn has_digit(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit())
}

/// `E7`, `C1`: ours.
fn is_evidence_id(part: &str) -> bool {
    let digits = part.strip_prefix(['E', 'C']).unwrap_or(part);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(claim: &str, cited: &str, other: &str) -> Option<String> {
        let (cited, other) = (Figures::of(cited), Figures::of(other));
        strange(claim, &[&cited], &[&cited, &other])
    }

    #[test]
    fn names_and_quotations_of_the_evidence_pass() {
        for (claim, cited, other) in [
            ("typedb-0's volume is full", "pod typedb-0", ""),
            ("f3iai/typedb-0 restarts", "pod typedb-0", "namespace f3iai"),
            ("deployment/web-2 of chart v1.28.3", "web-2 v1.28.3", ""),
            ("the 5-minute rate over 3-node pools (E1/E2, C1)", "", ""),
            ("HTTP/1.1 and UTF-8 are fine, read/write is not", "", ""),
            ("its log says \"no space left … on device\"", "write: no space left: it is on device x", ""),
            ("`kubectl scale` was run", "by kubectl scale at", ""),
            ("a \"healthy\" service", "", ""),
            ("see http://10.0.0.7:80/a", "get http://10.0.0.7:80/a?x", ""),
            ("/opt/data-0/wal grows", "/opt/data-0/wal/1", ""),
            ("an open \"quotation", "", ""),
            ("used=0.97", "", ""),
            ("deployment/checkout and pod cart-worker fail", "Deployment checkout, pod cart-worker-7f", ""),
            ("the pod restarts, the node not-ready, a volume read-only, service back-end", "", ""),
            ("pod/node pressure; no service, cart-worker aside; Pod/Running", "", ""),
        ] {
            assert_eq!(missing(claim, cited, other), None, "{claim}");
        }
    }

    #[test]
    fn names_that_the_cited_evidence_does_not_hold_are_told() {
        for (claim, cited, other, strange) in [
            ("postgres-0's volume is full", "pod typedb-0", "", "postgres-0"),
            // It was seen, but not in what is cited.
            ("typedb-0 was evicted for postgres-0", "pod typedb-0", "pod postgres-0", "postgres-0"),
            ("f4iai/typedb-0 restarts", "pod typedb-0", "namespace f3iai", "f4iai/typedb-0"),
            ("image app:1.28.4 is bad", "app:1.28.3", "", "app:1.28.4"),
            ("web-1 fails", "web-10 fails", "", "web-1"),
            ("its log says \"disk on fire\"", "no space left on device", "", "disk on fire"),
            ("`rm -rf /` was run", "nothing", "", "rm -rf /"),
            ("deployment/payments is gone", "deployment checkout", "", "payments"),
            (
                "it waits for deployment vault-ceph-operator.",
                "pod typedb-0",
                "vault-ceph-operator",
                "vault-ceph-operator",
            ),
            ("pod cart-worker's log", "pod cart-workers", "", "cart-worker"),
            ("see http://evil.example/1", "http://good.example/1", "", "http://evil.example/1"),
        ] {
            assert_eq!(missing(claim, cited, other).as_deref(), Some(strange), "{claim}");
        }
    }

    #[test]
    fn names_are_compared_as_names() {
        for (text, name, found) in [
            ("ns/data-typedb-0 is bound", "data-typedb-0", true),
            ("pod csi-operator-7f9-x2 runs", "csi-operator", true),
            ("mariadb", "db", false),
            ("data-typedb-0", "typedb-0", false),
            ("TypeDB-0".to_lowercase().as_str(), "TYPEDB-0", true),
            ("typedb-01", "typedb-0", false),
            ("anything", "", false),
        ] {
            assert_eq!(occurs(text, name), found, "{text} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_sentence_is_read(claim: String, evidence: String) {
            let _ = missing(&claim, &evidence, "");
        }

        #[test]
        fn a_text_holds_its_own_names(text in "[a-z0-9./:@_ -]{0,40}") {
            proptest::prop_assert_eq!(missing(&text, &text, ""), None);
        }
    }
}
