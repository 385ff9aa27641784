//! What is written into an issue, before it has a form. All words are ours or the report's; what the
//! proposer adds stands apart, under a heading that says so.

use crate::domain::{Report, ReportAction};
use crate::tools::CaseText;
use crate::tools::render::clip;

/// Most rows of one table, items of one list, lines of code.
const ROWS: usize = 20;
/// Characters of one sentence, and of one cell.
const SENTENCE: usize = 600;
const CELL: usize = 300;
/// The heading above the proposer's own words.
pub const CLAIM: &str = "Claim of the model";

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// As it is.
    Text(String),
    /// Loud.
    Strong(String),
    /// A name, a query.
    Code(String),
    /// A link to one of our own pages.
    Link {
        /// What is shown.
        text: String,
        /// Where it leads: below `server.public_url`, nowhere else.
        url: String,
    },
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// One paragraph.
    Paragraph(Vec<Span>),
    /// A list.
    List {
        /// Its items are counted.
        ordered: bool,
        /// Its items, one line each.
        items: Vec<Vec<Span>>,
    },
    /// Lines as they are.
    Code(Vec<String>),
    /// A table.
    Table {
        /// The names of the columns.
        head: Vec<String>,
        /// The rows, as wide as the head.
        rows: Vec<Vec<String>>,
    },
}

impl Block {
    /// Leaves out its last row; false when nothing would be left.
    fn shorten(&mut self) -> bool {
        let pop = |left: usize| left > 1;
        match self {
            Self::List { items, .. } => pop(items.len()) && items.pop().is_some(),
            Self::Code(lines) => pop(lines.len()) && lines.pop().is_some(),
            Self::Table { rows, .. } => pop(rows.len()) && rows.pop().is_some(),
            Self::Heading(_) | Self::Paragraph(_) => false,
        }
    }
}

/// As many of `blocks` as fit into `most` by `size`. The last one always stays, and what is left out is
/// said.
pub fn fitted(mut blocks: Vec<Block>, most: usize, size: impl Fn(&Block) -> usize) -> Vec<Block> {
    let Some(last) = blocks.pop() else { return blocks };
    let cut = text("[The rest does not fit; the whole report is with firewarden.]");
    let mut room = most.saturating_sub(size(&last)).saturating_sub(size(&cut));
    let (mut kept, mut is_cut) = (vec![], false);
    for mut block in blocks {
        while size(&block) > room {
            is_cut = true;
            if !block.shorten() {
                break;
            }
        }
        if size(&block) <= room {
            room -= size(&block);
            kept.push(block);
        }
        if is_cut {
            break;
        }
    }
    if matches!(kept.last(), Some(Block::Heading(_))) {
        kept.pop();
    }
    kept.extend(is_cut.then_some(cut));
    kept.push(last);
    kept
}

/// The text of a new issue.
pub fn issue(case: &CaseText, note: Option<&str>) -> Vec<Block> {
    let mut blocks = match &case.report {
        Some(report) => opening(report),
        None => vec![text("The investigation goes on; its report is not written yet.")],
    };
    blocks.extend(page(case));
    if let Some(report) = &case.report {
        causes(&mut blocks, report);
        decision(&mut blocks, report);
        actions(&mut blocks, report);
        sentences(&mut blocks, "What people can do", report.recommendations.iter().map(|r| r.text.as_str()));
        let open = report.open_questions.iter().map(|question| question.question.as_str());
        sentences(&mut blocks, "Open questions", open);
    }
    claim(&mut blocks, note);
    if let Some(report) = &case.report {
        evidence(&mut blocks, report);
    }
    blocks.push(head(case));
    blocks
}

/// The text of a comment: what became of one change, or what the report says now.
pub fn comment(case: &CaseText, about: Option<&ReportAction>, note: Option<&str>) -> Vec<Block> {
    let mut blocks = match (about, &case.report) {
        (Some(action), _) => {
            let mut spans =
                vec![Span::Strong(clip(&action.title, SENTENCE)), Span::Text(format!(": {}", action.state))];
            if let Some(detail) = action.detail.as_deref().filter(|detail| !detail.is_empty()) {
                spans.push(Span::Text(format!(". {}", clip(detail, SENTENCE))));
            }
            vec![Block::Paragraph(spans)]
        }
        (None, Some(report)) => opening(report),
        (None, None) => vec![],
    };
    claim(&mut blocks, note);
    blocks.extend(page(case));
    blocks.push(head(case));
    blocks
}

fn opening(report: &Report) -> Vec<Block> {
    let top = report.root_causes.first().map_or(String::new(), |cause| format!(" ({})", percent(cause.confidence)));
    let verdict = report.verdict.as_str().replace('_', " ");
    let summary = Span::Text(format!(" {}", clip(&report.summary, SENTENCE)));
    vec![Block::Paragraph(vec![Span::Strong(format!("{verdict}{top}.")), summary])]
}

/// Where people read more.
fn page(case: &CaseText) -> Option<Block> {
    let url = case.url.clone()?;
    Some(Block::Paragraph(vec![Span::Link { text: "The whole investigation".into(), url }]))
}

fn causes(blocks: &mut Vec<Block>, report: &Report) {
    let items: Vec<Vec<Span>> = report
        .root_causes
        .iter()
        .take(ROWS)
        .map(|cause| {
            let of = format!(" of {} ({}): ", clip(&cause.entity.to_string(), CELL), percent(cause.confidence));
            let statement = format!("{of}{} {}", clip(&cause.statement, SENTENCE), cited(&cause.evidence_ids));
            vec![Span::Code(cause.cause_code.clone()), Span::Text(statement)]
        })
        .collect();
    listed(blocks, "Causes", false, items);
    let steps = report.causal_chain.iter().take(ROWS).map(|step| {
        let at = step.at.map_or(String::new(), |at| format!("{}: ", at.strftime("%Y-%m-%d %H:%M:%S UTC")));
        let source = if step.inferred { "(inferred)".to_owned() } else { cited(&step.evidence_ids) };
        vec![Span::Text(format!("{at}{} {source}", clip(&step.event, SENTENCE)))]
    });
    listed(blocks, "How it came about", true, steps.collect());
}

fn decision(blocks: &mut Vec<Block>, report: &Report) {
    blocks.push(Block::Heading("Decision".into()));
    blocks.push(Block::Paragraph(vec![
        Span::Text("The risk is ".into()),
        Span::Strong(report.risk.level.as_str().to_owned()),
        Span::Text(".".into()),
    ]));
    let reasons = report.risk.reasons.iter().take(ROWS).map(|reason| {
        vec![
            Span::Code(reason.rule.clone()),
            Span::Text(format!(" {}: {}", reason.effect, clip(&reason.reason, SENTENCE))),
        ]
    });
    let items: Vec<Vec<Span>> = reasons.collect();
    if !items.is_empty() {
        blocks.push(Block::List { ordered: false, items });
    }
}

fn actions(blocks: &mut Vec<Block>, report: &Report) {
    let row = |action: &ReportAction| {
        let rules = action.rules.join(", ");
        [&action.title, &action.target, &action.policy, &action.state, &rules].map(|text| clip(text, CELL)).to_vec()
    };
    let rows = report.actions.iter().take(ROWS).map(row).collect();
    table(blocks, "Changes", &["Change", "Of", "Policy", "State", "Rules"], rows);
}

fn evidence(blocks: &mut Vec<Block>, report: &Report) {
    let row = |item: &crate::domain::EvidenceItem| {
        [&item.id, &item.kind, &item.tool, &item.excerpt].map(|text| clip(text, CELL)).to_vec()
    };
    let rows = report.evidence.iter().take(ROWS).map(row).collect();
    table(blocks, "Evidence", &["Id", "Kind", "Asked", "Seen"], rows);
    let asked =
        report.queries.iter().take(ROWS).map(|query| format!("{} {}", query.evidence_id, clip(&query.query, CELL)));
    let asked: Vec<String> = asked.collect();
    if !asked.is_empty() {
        blocks.extend([Block::Heading("Asked".into()), Block::Code(asked)]);
    }
}

/// What nobody checked.
fn claim(blocks: &mut Vec<Block>, note: Option<&str>) {
    let Some(note) = note.map(str::trim).filter(|note| !note.is_empty()) else { return };
    blocks.push(Block::Heading(CLAIM.into()));
    blocks.push(text("Nobody has checked these words:"));
    blocks.extend(note.lines().map(str::trim).filter(|line| !line.is_empty()).map(text));
}

/// The last line: which investigation, the end of its chain, and the last checkpoint.
fn head(case: &CaseText) -> Block {
    let mut spans = vec![Span::Text("firewarden ".into()), Span::Code(case.chain.clone())];
    if let Some(checkpoint) = &case.checkpoint {
        spans.extend([Span::Text(", checkpoint ".into()), Span::Code(checkpoint.clone())]);
    }
    Block::Paragraph(spans)
}

fn sentences<'a>(blocks: &mut Vec<Block>, heading: &str, texts: impl Iterator<Item = &'a str>) {
    let items = texts.take(ROWS).map(|text| vec![Span::Text(clip(text, SENTENCE))]).collect();
    listed(blocks, heading, false, items);
}

fn listed(blocks: &mut Vec<Block>, heading: &str, ordered: bool, items: Vec<Vec<Span>>) {
    if !items.is_empty() {
        blocks.extend([Block::Heading(heading.to_owned()), Block::List { ordered, items }]);
    }
}

fn table(blocks: &mut Vec<Block>, heading: &str, head: &[&str], rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        let head = head.iter().map(|name| (*name).to_owned()).collect();
        blocks.extend([Block::Heading(heading.to_owned()), Block::Table { head, rows }]);
    }
}

fn text(words: &str) -> Block {
    Block::Paragraph(vec![Span::Text(words.to_owned())])
}

fn percent(confidence: f64) -> String {
    format!("{:.0}%", confidence * 100.0)
}

fn cited(ids: &[String]) -> String {
    match ids.is_empty() {
        true => String::new(),
        false => format!("({})", ids.join(", ")),
    }
}
