//! Changes and questions as the terminal shows them.

use super::{Span, Style, Watcher, line, plural};
use crate::domain::{Action, ActionId, Class, Reconciled};
use crate::journal::{Actor, Body, Call, Classified, Confirmation, Confirmed, Entry, PutOff, Watched};

/// Lines of a preview.
const PREVIEW_LINES: usize = 12;

impl Watcher {
    /// The lines for an entry about changes; other entries have none here.
    pub(super) fn acting(&mut self, entry: &Entry) -> Vec<String> {
        match &entry.body {
            Body::CallsProposed { calls, reason } => {
                self.remember(calls);
                let tools = calls.iter().map(|call: &Call| line(&call.tool, 60)).collect::<Vec<_>>().join(", ");
                self.text("propose", &format!("{}: {tools}: {}", who(&entry.actor), line(reason, 300)))
            }
            Body::ActionPlanned { action, .. } => {
                self.titles.insert(action.id, line(&action.title, 120));
                self.planned(action)
            }
            Body::ActionRuled { action, ruling, .. } => {
                let title = self.title(*action);
                let mut lines = self.ruled(&title, ruling.verdict, &ruling.reasons);
                lines.extend(self.excepted(&ruling.exceptions));
                lines
            }
            Body::ActionPutOff(PutOff { action, reason, until }) => {
                let pause = Span::seconds(until.duration_since(entry.at).as_secs().max(0).unsigned_abs());
                self.text("put off", &format!("{}: {}; again in {pause}", self.title(*action), line(reason, 300)))
            }
            Body::ActionDropped { action, reason } => {
                self.text("dropped", &format!("{}: {}", self.title(*action), line(reason, 300)))
            }
            Body::ApprovalRequested { approval, requirements, expires_at, .. } => {
                let left = expires_at.duration_since(entry.at).as_secs().max(0).unsigned_abs();
                let whom = requirements.iter().map(|r| {
                    let groups = line(&r.groups.join(" or "), 80);
                    if r.count > 1 { format!("{} of {groups}", r.count) } else { groups }
                });
                let whom = whom.collect::<Vec<_>>().join(" and ");
                let left = Span::seconds(left);
                let mut lines = vec![self.row("asked", &format!("{approval}  {whom}, within {left}"))];
                lines.extend(self.below(&format!("firewarden approvals grant {approval}")));
                lines
            }
            Body::ApprovalDecided { approval, granted, by, comment, .. } => {
                let word = match granted {
                    true => self.colour.paint(Style::Green, "granted"),
                    false => self.colour.paint(Style::Red, "denied"),
                };
                let mut lines = vec![self.row("answer", &format!("{word}  {approval} by {}", line(&by.name, 60)))];
                if !comment.is_empty() {
                    lines.extend(self.below(&line(comment, 300)));
                }
                lines
            }
            Body::ApprovalExpired { approval } => {
                self.text("expired", &format!("{approval}: nobody answered, which is a no"))
            }
            Body::ApprovalWithdrawn { approval, state, reason } => {
                self.text("answer", &format!("{approval} {state}: {}", line(reason, 300)))
            }
            Body::ActionStarted { action, attempt, .. } => {
                let again = if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                self.text("change", &format!("{}{again}", self.title(*action)))
            }
            Body::ActionFinished { receipt, .. } => {
                let done = self.colour.paint(Style::Green, "done");
                vec![self.row("changed", &format!("{done}  {}", line(&receipt.summary, 200)))]
            }
            Body::ActionFailed { action, error } => {
                self.text("failed", &format!("{}: {}", self.title(*action), line(error, 400)))
            }
            Body::ActionDoubted { action, error, look_at } => {
                let then = match look_at {
                    Some(_) => "it is looked for before anything else",
                    None => "nobody can tell whether it was made: look at the target",
                };
                self.text("unknown", &format!("{}: {}; {then}", self.title(*action), line(error, 300)))
            }
            Body::ActionReconciled { action, found } => {
                let what = match found {
                    Reconciled::Applied { receipt } => format!("it was made: {}", line(&receipt.summary, 200)),
                    Reconciled::Absent { .. } => "it was not made".to_owned(),
                    Reconciled::Superseded { why } => format!("it cannot be made any more: {}", line(why, 200)),
                };
                self.text("looked", &format!("{}: {what}", self.title(*action)))
            }
            Body::ActionObserved { action, seen, .. } => {
                self.text("watch", &format!("{}: {}", self.title(*action), line(seen, 300)))
            }
            Body::Verified { action, outcome, reason } => {
                let what = match outcome {
                    Watched::Held => self.colour.paint(Style::Green, "it held"),
                    Watched::Failed => self.colour.paint(Style::Red, "it did not hold"),
                    Watched::Unobserved => self.colour.paint(Style::Yellow, "nothing could be observed"),
                };
                let mut lines = vec![self.row("verified", &format!("{what}  {}", self.title(*action)))];
                lines.extend(self.below(&line(reason, 300)));
                lines
            }
            _ => vec![],
        }
    }

    /// The lines for what playbooks write down.
    pub(super) fn remedy(&self, body: &Body) -> Vec<String> {
        match body {
            // The usual way is no news.
            Body::Classified(Classified { class: None, playbook: None, .. }) => vec![],
            Body::Classified(classified) => {
                let word = |class: Option<Class>| class.map_or("none", Class::as_str);
                let by = match classified.playbook == classified.class {
                    true => String::new(),
                    false => format!(", playbook {} by {}", word(classified.playbook), line(&classified.by, 80)),
                };
                self.text("class", &format!("{}{by}", word(classified.class)))
            }
            Body::Confirmed(Confirmed { outcome: Confirmation::Unknown, .. }) => vec![],
            Body::Confirmed(confirmed) => {
                self.text("confirm", &format!("{}: {}", confirmed.outcome.as_str(), line(&confirmed.reason, 300)))
            }
            Body::GapFiled(gap) => self.text("gap", &format!("{}: {}", line(&gap.topic, 120), line(&gap.reason, 300))),
            _ => vec![],
        }
    }

    fn planned(&self, action: &Action) -> Vec<String> {
        let radius = &action.blast_radius;
        let pods = if radius.known { format!(", {}", plural(radius.pods, "Pod")) } else { String::new() };
        let mut lines = self.text("plan", &format!("{}  ({}{pods})", line(&action.title, 160), action.effect));
        let shown: Vec<&str> = action.preview.text.lines().collect();
        for text in shown.iter().take(PREVIEW_LINES) {
            lines.extend(self.below(&line(text, 160)));
        }
        if shown.len() > PREVIEW_LINES {
            lines.extend(self.below(&format!("and {}", plural((shown.len() - PREVIEW_LINES) as u64, "line"))));
        }
        lines
    }

    fn title(&self, action: ActionId) -> String {
        self.titles.get(&action).cloned().unwrap_or_else(|| action.to_string())
    }
}

fn who(actor: &Actor) -> String {
    match actor {
        Actor::Engine => "firewarden".to_owned(),
        Actor::Survey => "the survey".to_owned(),
        Actor::Model(name) => format!("the model {}", line(name, 40)),
        Actor::Sender(name) | Actor::Person(name) => line(name, 40),
        Actor::Playbook(name) => format!("the playbook {}", line(name, 40)),
    }
}
