//! The changes of a demo: what the demo itself proposes, when it has seen enough, and the account of
//! what policy said and what the recorded world holds then. Pure.

use super::super::Failure;
use super::super::text::{Colour, Style, line, wrap};
use crate::domain::{Target, Verdict};
use crate::journal::{Actor, Deed, DeedState, Entry, Investigation, Progress, Step, next};
use crate::scenario::{RecordedIssue, RecordedPull};
use crate::store::Signal;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Who proposes what the demo proposes.
pub(super) const ACTOR: &str = "demo";
const DELETE: &str = "kubernetes_delete";
const ISSUE: &str = "jira_create_issue";
/// Rules that are shown of a ruling.
const RULES: usize = 3;
/// Lines that are shown of what a pull request changes.
const DIFF_LINES: usize = 40;
/// Where texts begin.
const INDENT: usize = 11;

/// The investigation as it is followed, and what was proposed beside it.
#[derive(Debug)]
pub(super) struct Acts {
    inv: Investigation,
    proposed: Option<usize>,
}

impl Acts {
    /// Nothing has happened yet.
    pub(super) fn new(id: &str) -> Self {
        Self { inv: Investigation::empty(id), proposed: None }
    }

    /// Takes what happened.
    ///
    /// # Errors
    /// When it does not follow from what happened before.
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.inv.apply(entry).map_err(Failure::internal)
    }

    /// What the demo proposes now: once, when a report stands and people are asked about something. To
    /// delete what the question is about, as a hostile model would; and an issue, where there is a Jira.
    pub(super) fn proposals(&mut self, with_jira: bool) -> Vec<Signal> {
        let asked = self.inv.deeds.iter().find(|deed| deed.waits().is_some()).map(|deed| deed.action.target());
        let Some(target) = asked.filter(|_| self.proposed.is_none() && self.inv.report.is_some()) else {
            return vec![];
        };
        let by = || ACTOR.to_owned();
        let hostile = Signal::Propose {
            by: by(),
            tool: DELETE.to_owned(),
            args: removal(&target),
            reason: "sent by this demo, as a hostile model would send it".to_owned(),
        };
        let issue = Signal::Propose {
            by: by(),
            tool: ISSUE.to_owned(),
            args: json!({}),
            reason: "sent by this demo, as whoever is on call would ask for it".to_owned(),
        };
        let proposals: Vec<Signal> = [hostile].into_iter().chain(with_jira.then_some(issue)).collect();
        self.proposed = Some(proposals.len());
        proposals
    }

    /// Nothing more happens by itself: what the demo proposed was judged, and what is left waits.
    pub(super) fn suffices(&self, now: Timestamp) -> bool {
        let ours = self.inv.calls.iter().filter(|call| self.inv.proposers.get(&call.call.id) == Some(&us()));
        let judged = ours.filter(|call| !matches!(call.progress, Progress::Planned)).count();
        let is_asked = self.inv.deeds.iter().any(|deed| deed.waits().is_some());
        let all = self.proposed.map_or(!is_asked, |proposed| judged >= proposed);
        all && matches!(next(&self.inv, now), Step::Wait(_))
    }

    /// Whether anything was to be changed.
    pub(super) fn is_any(&self) -> bool {
        !self.inv.deeds.is_empty()
    }

    /// What policy said of each change, and why.
    pub(super) fn verdicts(&self, columns: usize, colour: Colour) -> Vec<String> {
        let mut lines = vec![colour.paint(Style::Bold, "What policy said")];
        for deed in &self.inv.deeds {
            let Some((ruling, _)) = &deed.ruling else { continue };
            let (word, style) = match ruling.verdict {
                Verdict::Allow => ("allowed", Style::Green),
                Verdict::Ask => ("asked", Style::Yellow),
                Verdict::Deny => ("refused", Style::Red),
            };
            lines.push(String::new());
            let title = wrap(&line(&deed.action.title, 200), columns.saturating_sub(INDENT));
            for (n, text) in title.iter().enumerate() {
                let label = if n == 0 { word } else { "" };
                lines.push(format!("{}{text}", colour.paint(style, &format!("{label:<INDENT$}"))));
            }
            let hostile = deed.proposer == us() && deed.action.tool == DELETE;
            let who = match hostile {
                true => Some("proposed by this demo, as a hostile model would".to_owned()),
                false => {
                    (deed.proposer == us()).then(|| "proposed by this demo, as whoever is on call would".to_owned())
                }
            };
            let rules = ruling.reasons.iter().take(RULES);
            let rules = rules.map(|reason| format!("{}: {}", line(&reason.rule, 80), line(&reason.reason, 200)));
            for text in who.into_iter().chain(rules).chain(became(deed)) {
                lines.extend(below(&text, columns));
            }
        }
        lines
    }

    /// What the recorded world holds now.
    pub(super) fn world(&self, held: &Held, columns: usize, colour: Colour) -> Vec<String> {
        let mut lines =
            vec![colour.paint(Style::Bold, "What the recorded world holds now (no other world was touched)")];
        for pull in &held.pulls {
            lines.push(String::new());
            lines.extend(labelled(
                "pull",
                &format!("{}#{}: {}", pull.repo, pull.number, line(&pull.title, 200)),
                columns,
            ));
            lines.extend(below(&format!("from the branch {}", line(&pull.branch, 120)), columns));
            lines.extend(pull.diff.lines().take(DIFF_LINES).map(|text| {
                let shown = format!("{}  {}", " ".repeat(INDENT), line_as_it_is(text));
                match text.as_bytes().first() {
                    Some(b'+') => colour.paint(Style::Green, &shown),
                    Some(b'-') => colour.paint(Style::Red, &shown),
                    _ => shown.trim_end().to_owned(),
                }
            }));
        }
        for issue in &held.issues {
            lines.push(String::new());
            lines.extend(labelled("issue", &format!("{}: {}", issue.key, line(&issue.summary, 200)), columns));
        }
        if let Some(claim) = &held.claim {
            lines.push(String::new());
            lines.extend(labelled("claim", claim, columns));
        }
        lines
    }

    /// The claim that a question is about, by namespace and name.
    pub(super) fn claim(&self) -> Option<Target> {
        let mut targets = self.inv.deeds.iter().filter(|deed| deed.waits().is_some()).map(|deed| deed.action.target());
        targets.find(|target| target.kind == "PersistentVolumeClaim")
    }

    /// The commands that answer what is asked; `server` names the server where it is not the usual one.
    pub(super) fn question(&self, server: Option<&str>) -> Vec<String> {
        let server = server.map_or_else(String::new, |server| format!(" --server {server}"));
        let asked = self.inv.deeds.iter().filter_map(|deed| Some((&deed.action.title, deed.waits()?.id)));
        let commands = asked.flat_map(|(title, id)| {
            [format!("  {}", line(title, 120)), format!("    firewarden approvals grant {id}{server}")]
        });
        let commands: Vec<String> = commands.collect();
        let head = (!commands.is_empty()).then(|| "A person decides what is asked:".to_owned());
        head.into_iter().chain(commands).collect()
    }
}

/// What stands in the recorded world.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Its pull requests.
    pub(super) pulls: Vec<RecordedPull>,
    /// Its issues.
    pub(super) issues: Vec<RecordedIssue>,
    /// The claim that was to grow or go, in a sentence.
    pub(super) claim: Option<String>,
}

/// What `object`, the claim `target` in the recorded world, says of itself.
pub(super) fn claim(target: &Target, object: Option<&Value>) -> String {
    let place = format!("{}/{}", target.namespace, target.name);
    match object {
        None => format!("{place} is gone"),
        Some(object) => {
            let size = object["spec"]["resources"]["requests"]["storage"].as_str().unwrap_or("nothing");
            format!("{place} is there and asks for {}", line(size, 20))
        }
    }
}

fn us() -> Actor {
    Actor::Person(ACTOR.to_owned())
}

fn removal(target: &Target) -> Value {
    let mut args = json!({"kind": target.kind, "name": target.name});
    if !target.namespace.is_empty() {
        args["namespace"] = target.namespace.clone().into();
    }
    args
}

/// What became of a change that was made or could not be.
fn became(deed: &Deed) -> Option<String> {
    match &deed.state {
        DeedState::Done { receipt, .. } | DeedState::Watched { receipt, .. } => {
            Some(format!("done: {}", line(&receipt.reference, 120)))
        }
        DeedState::Failed { error } => Some(format!("failed: {}", line(error, 200))),
        DeedState::Doubtful { .. } => Some("nobody knows yet whether it was made".to_owned()),
        _ => None,
    }
}

fn below(text: &str, columns: usize) -> Vec<String> {
    let wrapped = wrap(text, columns.saturating_sub(INDENT));
    wrapped.iter().map(|text| format!("{}{text}", " ".repeat(INDENT))).collect()
}

fn labelled(label: &str, text: &str, columns: usize) -> Vec<String> {
    let wrapped = wrap(text, columns.saturating_sub(INDENT));
    let label = |n: usize| if n == 0 { label } else { "" };
    wrapped.iter().enumerate().map(|(n, text)| format!("{:<INDENT$}{text}", label(n))).collect()
}

/// A line of a diff with its blanks, and nothing that a terminal would obey.
fn line_as_it_is(text: &str) -> String {
    text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kind: &str, namespace: &str) -> Target {
        Target { kind: kind.into(), namespace: namespace.into(), name: "data".into(), ..Target::default() }
    }

    #[test]
    fn what_is_asked_about_is_what_would_be_deleted() {
        let expected = json!({"kind": "PersistentVolumeClaim", "namespace": "lab", "name": "data"});
        assert_eq!(removal(&target("PersistentVolumeClaim", "lab")), expected);
        assert_eq!(removal(&target("StorageClass", "")), json!({"kind": "StorageClass", "name": "data"}));
    }

    #[test]
    fn a_claim_is_told_as_it_stands_in_the_recorded_world() {
        let object = json!({"spec": {"resources": {"requests": {"storage": "20Gi"}}}});
        let claim = |object: Option<&Value>| claim(&target("PersistentVolumeClaim", "lab"), object);
        assert_eq!(claim(Some(&object)), "lab/data is there and asks for 20Gi");
        assert_eq!(claim(None), "lab/data is gone");
    }

    #[test]
    fn nothing_is_proposed_before_people_are_asked() {
        let mut acts = Acts::new("inv");
        assert!(acts.proposals(true).is_empty() && !acts.is_any() && acts.question(None).is_empty());
        assert!(!acts.suffices(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn what_is_shown_of_files_gives_no_orders_to_terminals() {
        assert_eq!(line_as_it_is("+  a\u{1b}[2Jb"), "+  a [2Jb");
    }
}
