//! Every change once: each tool, with everything that the network, the API server and crashes can do to
//! it, by the real engine on a real store. What happened is told by the server's own ledger alone.

pub(crate) mod killed;
mod plans;
pub(crate) mod scene;

use crate::support::bench::{Bench, policy_with};
use crate::support::chain::assert_sound;
use crate::support::cluster::{Cluster, Crash, Fault};
use crate::support::full;
use firewarden::journal::DeedState;
use futures::StreamExt as _;
use scene::{Change, changes, objects};
use serde_json::json;
use std::fmt::Write as _;

const FAULTS: [Fault; 9] = [
    Fault::None,
    Fault::AnswerDropped,
    Fault::BadGateway,
    Fault::Garbage,
    Fault::RequestDropped,
    Fault::Late(1),
    Fault::Duplicated,
    Fault::StaleLooks(2),
    Fault::Overtaken,
];

/// Where the process dies, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dies {
    Never,
    At(Crash),
    AfterOutcome,
}

const DEATHS: [Dies; 5] = [
    Dies::Never,
    Dies::At(Crash::BeforeSend),
    Dies::At(Crash::OnItsWay),
    Dies::At(Crash::AfterEffect),
    Dies::AfterOutcome,
];

/// What else goes wrong with a process that dies; every fault in the full run.
const AFTER_DEATH: [Fault; 3] = [Fault::None, Fault::AnswerDropped, Fault::Late(1)];

#[derive(Debug, Clone)]
struct Case {
    change: Change,
    fault: Fault,
    dies: Dies,
    severity: &'static str,
}

/// What became of a case: how often it happened, what the journal says, and whether the process died.
struct End {
    effects: usize,
    state: &'static str,
    deaths: usize,
    about: String,
}

async fn run(case: Case) -> (Case, End) {
    let cluster = Cluster::serve(objects()).await;
    cluster.script([case.fault]);
    if let Dies::At(crash) = case.dies {
        cluster.kill_at(crash);
    }
    let bench = Bench::on(&cluster).await;
    let id = bench.propose(case.severity, case.change.tool, &case.change.args).await;
    if case.dies == Dies::AfterOutcome {
        bench.dies_after_outcome();
    }
    let deaths = bench.work(id).await;
    let entries = bench.entries(id).await;
    assert_sound(&id.to_string(), &entries);
    let inv = bench.folded(id).await;
    let state = match inv.deeds.first().map(|deed| &deed.state) {
        Some(DeedState::Done { .. } | DeedState::Watched { .. }) => "done",
        Some(DeedState::Failed { .. }) => "failed",
        Some(DeedState::Refused { .. }) => "refused",
        Some(DeedState::Doubtful { .. }) => "unknown",
        Some(_) => "unfinished",
        None => "never planned",
    };
    let effects = cluster.effects(case.change.on);
    assert_eq!(cluster.ledger().len(), effects, "nothing else was touched: {:#?}", cluster.ledger());
    let about = format!("{:#?} {:#?}", cluster.ledger(), bench.refusals(id).await);
    (case, End { effects, state, deaths, about })
}

fn cases() -> Vec<Case> {
    let mut cases = vec![];
    for change in changes() {
        for fault in FAULTS {
            for dies in DEATHS {
                // A question and its answer change nothing about what a crash can do.
                let severities: &[&str] = match dies {
                    Dies::Never => &["info", "warning"],
                    _ if full() => &["info", "warning"],
                    _ if AFTER_DEATH.contains(&fault) => &["info"],
                    _ => &[],
                };
                for severity in severities {
                    cases.push(Case { change: change.clone(), fault, dies, severity });
                }
            }
        }
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_happens_once_whatever_goes_wrong() {
    let cases = cases();
    let all = cases.len();
    let mut runs = futures::stream::iter(cases).map(|case| tokio::spawn(run(case))).buffer_unordered(8);
    let (mut duplicates, mut lost, mut deaths, mut unknown, mut wrong) = (0, 0, 0, 0, String::new());
    while let Some(run) = runs.next().await {
        let (case, end) = run.unwrap();
        deaths += end.deaths;
        unknown += usize::from(end.state == "unknown");
        duplicates += usize::from(end.effects > 1);
        // What the journal calls done happened, and what it does not call so did not, unless it says that
        // nobody knows.
        let is_open =
            case.change.passes && end.state == "unknown" && (case.fault, case.dies) != (Fault::None, Dies::Never);
        let is_lost = !is_open && (end.state == "done") != (end.effects == 1);
        lost += usize::from(is_lost);
        if end.effects > 1
            || is_lost
            || !is_open && end.state != "done"
            || (end.deaths == 0) != (case.dies == Dies::Never)
        {
            let Case { change, fault, dies, severity } = case;
            let _ = writeln!(wrong, "{} {fault:?} {dies:?} {severity}: {} {}", change.tool, end.state, end.about);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{all} cases, {deaths} deaths: {duplicates} duplicates, {lost} lost, {unknown} left open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_server_changes_nothing_and_is_told() {
    let cluster = Cluster::serve(objects()).await;
    let bench = Bench::on(&cluster).await;
    // Somebody forbids it between the trial and the change: both are asked, the change in vain.
    let change = &changes()[2];
    let id = bench.propose("warning", change.tool, &change.args).await;
    cluster.forbid_evictions_after_trials(2);
    bench.work(id).await;
    let inv = bench.folded(id).await;
    let DeedState::Failed { error } = &inv.deeds[0].state else { panic!("{:#?}", inv.deeds) };
    assert!(error.contains("a disruption budget forbids it now"), "{error}");
    assert!(cluster.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_somebody_else_made_does_not_count() {
    let cluster = Cluster::serve(objects()).await;
    let bench = Bench::on(&cluster).await;
    let change = &changes()[1];
    cluster.kill_at(Crash::BeforeSend);
    cluster.forge_mark(|mark| format!("{}0", &mark[..mark.len() - 1]));
    let id = bench.propose("info", change.tool, &change.args).await;
    assert_eq!(bench.work(id).await, 1);
    assert_eq!(cluster.effects(change.on), 1, "it was made after all: {:?}", cluster.ledger());
    assert_eq!(cluster.object("/apis/apps/v1/namespaces/shop/deployments/api")["spec"]["replicas"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_proposal_of_the_same_change_is_the_first_one() {
    let cluster = Cluster::serve(objects()).await;
    let bench = Bench::on(&cluster).await;
    let change = &changes()[1];
    let id = bench.propose("warning", change.tool, &change.args).await;
    bench
        .propose_again(id, change.tool, &json!({"kind": "deploy", "namespace": "shop", "name": "api", "replicas": 4}))
        .await;
    bench.work(id).await;
    assert_eq!(cluster.effects(change.on), 1);
    let told = bench.refusals(id).await;
    assert!(told.iter().any(|told| told.contains("this change stands already")), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_anew_under_the_same_name_is_left_alone() {
    let cluster = Cluster::serve(objects()).await;
    let bench = Bench::on(&cluster).await;
    let change = &changes()[0];
    cluster.kill_at(Crash::BeforeSend);
    let id = bench.propose("info", change.tool, &change.args).await;
    cluster.recreate_at_next_change("/apis/apps/v1/namespaces/shop/deployments/api");
    bench.work(id).await;
    let inv = bench.folded(id).await;
    assert!(
        matches!(&inv.deeds[0].state, DeedState::Failed { error } if error.contains("made anew")),
        "{:#?}",
        inv.deeds
    );
    assert!(cluster.ledger().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_help_is_taken_back_once_by_the_same_tool() {
    const WATCHED: &str = "package firewarden.action.watched\n\noblige contains {\"id\": \"watch\", \"kind\": \"verify_after\", \
        \"within_s\": 60, \"rollback_on_failure\": true} if {\n\tinput.call.effect == \"write\"\n}\n";
    let cluster = Cluster::serve(objects()).await;
    let bench = Bench::on(&cluster).await.judged_by(policy_with("action/watched.rego", WATCHED));
    let change = &changes()[1];
    let id = bench.propose("info", change.tool, &change.args).await;
    bench.work(id).await;
    let inv = bench.folded(id).await;
    let titles: Vec<(&str, &str)> = inv.deeds.iter().map(|deed| (deed.action.title.as_str(), deed.word())).collect();
    // The alert never ends: neither helped, and the second is not taken back in turn.
    let expected =
        [("scale Deployment shop/api from 2 to 3", "done"), ("scale Deployment shop/api from 3 to 2", "done")];
    assert_eq!(titles, expected, "{:#?}", bench.refusals(id).await);
    assert_ne!(inv.deeds[0].marker, inv.deeds[1].marker, "each is known by a mark of its own");
    assert_eq!(cluster.object("/apis/apps/v1/namespaces/shop/deployments/api")["spec"]["replicas"], 2);
    assert_eq!(cluster.effects(change.on), 2);
    assert_sound(&id.to_string(), &bench.entries(id).await);
}
