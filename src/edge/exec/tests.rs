//! What a command gets, and what is left of it.

use super::*;
use std::time::Instant;

fn order(argv: &[&str]) -> Order {
    Order {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        env: vec![],
        secrets: vec![],
        confinement: Confinement::default(),
        total: Duration::from_secs(30),
        output_bytes: 4 << 10,
    }
}

fn script(text: &str) -> Order {
    order(&["/bin/sh", "-c", text])
}

async fn run(order: &Order) -> Ended {
    Runner::bare().look(order).await.unwrap()
}

#[tokio::test]
async fn the_environment_is_ours_alone() {
    let mut order = order(&["/usr/bin/env"]);
    order.env = vec![("REGION".into(), "eu".into())];
    order.secrets = vec![("TOKEN".into(), Secret::new("hunter2", "env:TOKEN"))];
    assert!(std::env::vars_os().count() > 2, "there is something to inherit");
    let ended = run(&order).await;
    let text = ended.stdout.text();
    let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["FIREWARDEN_CALL", "HOME", "LANG", "PATH", "REGION", "TMPDIR", "TOKEN"]);
    assert!(text.contains("TOKEN=hunter2") && text.contains(&format!("PATH={PATH}\n")), "{text}");
    assert!(!format!("{order:?}").contains("hunter2"));
}

#[tokio::test]
async fn arguments_are_no_shell_string_and_stdin_is_empty() {
    let ended = run(&order(&["/usr/bin/printf", "%s|", "$(id)", "a b; rm -rf *", "`x`", "\n"])).await;
    assert_eq!(ended.stdout.text(), "$(id)|a b; rm -rf *|`x`|\n|");
    assert_eq!(run(&order(&["/bin/cat"])).await.status, Status::Exited(0));
}

#[tokio::test]
async fn it_works_in_an_empty_folder_that_goes_with_it() {
    let ended = run(&script("ls -A; pwd; touch left; ln -s / out; mkdir -p a/b")).await;
    let text = ended.stdout.text();
    let folder = std::path::Path::new(text.trim());
    assert!(folder.file_name().unwrap().to_str().unwrap().starts_with("firewarden-"), "{text}");
    assert!(!folder.exists() && std::path::Path::new("/bin").exists());
}

#[tokio::test]
async fn exit_codes_signals_and_what_cannot_be_run_are_told_apart() {
    assert_eq!(run(&script("exit 7")).await.status, Status::Exited(7));
    assert_eq!(run(&script("kill -TERM $$")).await.status, Status::Signalled(15));
    let error = Runner::bare().look(&order(&["/no/such/program"])).await.unwrap_err();
    assert!(error.to_string().starts_with("/no/such/program cannot be run: "), "{error}");
    // Only our own words, under the name of the call, say that nothing was run.
    assert_eq!(run(&script("echo 'firewarden __sandbox x: no' >&2; exit 125")).await.status, Status::Exited(125));
    let mut said = Kept::new(200);
    said.push(b"firewarden __sandbox c1: whoever asked for it is gone\n");
    assert_eq!(sandbox::complaint(Status::Exited(125), &said, "c1").unwrap(), "whoever asked for it is gone");
    assert_eq!(sandbox::complaint(Status::Exited(125), &said, "c2"), None);
    assert_eq!(sandbox::complaint(Status::Exited(0), &said, "c1"), None);
}

#[tokio::test]
async fn a_flood_is_read_to_its_end_and_hardly_kept() {
    let ended = run(&script("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")).await;
    let text = ended.stdout.text();
    assert!(text.len() < 5 << 10 && ended.stdout.is_cut(), "{}", text.len());
    assert!(text.starts_with("first\n") && text.ends_with("last\n") && text.contains("bytes left out here"));
    assert_eq!(ended.status, Status::Exited(0));
}

/// Writes its own id and that of a child and a grandchild that has left the group, then does not end.
const FAMILY: &str = "trap '' TERM; sleep 600 & echo $! >> \"$OUT\"; setsid sh -c 'sleep 600 & echo $! >> \"$OUT\"; wait' & \
                      echo $$ >> \"$OUT\"; while [ $(wc -l < \"$OUT\") -lt 3 ]; do sleep 0.01; done; ";

fn is_alive(id: &str) -> bool {
    // What has ended and was not waited for yet is dead, too.
    let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z') && !rest.is_empty())
}

async fn family(then: &str, total: Duration) -> (Status, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ids");
    std::fs::write(&out, "").unwrap();
    let mut order = script(&format!("{FAMILY}{then}"));
    order.env = vec![("OUT".into(), out.display().to_string())];
    order.total = total;
    let ended = run(&order).await;
    let ids = std::fs::read_to_string(&out).unwrap();
    (ended.status, ids.lines().map(str::to_owned).collect())
}

/// A killed process is gone when its parent has looked; those here have lost theirs.
async fn all_gone(ids: &[String]) {
    let begun = Instant::now();
    while ids.iter().any(|id| is_alive(id)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "somebody lives on: {ids:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_outlives_the_deadline_or_the_command() {
    // Long enough for a family to come together, however busy the machine is.
    for seconds in [2, 10, 60] {
        let (status, ids) = family("wait", Duration::from_secs(seconds)).await;
        all_gone(&ids).await;
        assert_eq!(status, Status::TimedOut);
        if ids.len() == 3 {
            break;
        }
        assert!(seconds < 60, "the family never came together: {ids:?}");
    }
    let (status, ids) = family("exit 0", Duration::from_secs(60)).await;
    assert_eq!((status, ids.len()), (Status::Exited(0), 3));
    all_gone(&ids).await;
}

#[tokio::test]
async fn whoever_stops_waiting_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ids");
    std::fs::write(&out, "").unwrap();
    let mut order = script(&format!("{FAMILY}wait"));
    order.env = vec![("OUT".into(), out.display().to_string())];
    let running = tokio::spawn(async move { Runner::bare().look(&order).await.map(|_| ()) });
    let ids = loop {
        let ids = std::fs::read_to_string(&out).unwrap();
        if ids.lines().count() == 3 {
            break ids;
        }
        tokio::task::yield_now().await;
    };
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    all_gone(&ids.lines().map(str::to_owned).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_permit_for_something_else_runs_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made");
    let order = order(&["/usr/bin/touch", made.to_str().unwrap()]);
    let named =
        |name: &str| Target { system: "cache".into(), kind: "Cache".into(), name: name.into(), ..Target::default() };
    let now = Timestamp::UNIX_EPOCH;
    let permit = || Permit::for_test(vec![named("a")], now);
    let late = now + jiff::SignedDuration::from_secs(1);
    for (target, at) in [(named("b"), now), (named("a"), late)] {
        let error = Runner::bare().change(&permit(), &target, &order, at).await.unwrap_err();
        assert!(matches!(error, NotRun::Refused(_)), "{error}");
        assert!(!made.exists());
    }
    Runner::bare().change(&permit(), &named("a"), &order, now).await.unwrap();
    assert!(made.exists());
}
