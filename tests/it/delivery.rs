//! People are told in the end, though their chat is down: the whole engine on a real store and a real
//! HTTP sink, with a clock that is put forward by hand.

use crate::support::http::eventually;
use crate::support::sinks::Sinks;
use crate::support::site::SOON;
use crate::support::whole::{ByHand, Whole};
use firewarden::domain::Clock;
use firewarden::journal::{Body, Entry};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_is_down_is_told_later_even_by_the_next_process_and_the_others_once() {
    let (folder, sinks, clock) = (tempfile::tempdir().unwrap(), Sinks::serve(3).await, ByHand::new());
    let running = Whole::begin(folder.path(), &sinks.config(), &[], &clock).await;
    let began = clock.now();
    let (id, _) = running.alert("Slow", "info", began).await;
    let view = running.put_off(id, 1).await;
    assert_eq!((view.state.as_str(), view.closed_at, view.revision), ("running", None, 1));
    assert_eq!((sinks.chat(), sinks.paged()), (vec![503], vec![(view.id.clone(), 1)]));
    let debt = &view.undelivered[0];
    assert_eq!((debt.sink.as_str(), debt.error.as_deref()), ("chat", Some("chat: status 503")));
    let pause = debt.again_at.duration_since(clock.now());
    assert!((3_750..=5_000).contains(&pause.as_millis()), "{pause:?}");
    // A new incident is none of its business, and is worked on meanwhile.
    clock.forward(1);
    let (other, outcome) = running.alert("Slow", "info", clock.now()).await;
    assert_eq!((outcome.as_str(), other == id), ("opened", false));
    running.put_off(other, 1).await;
    assert_eq!(sinks.chat(), [503, 503], "while no time passes nobody is tried again");
    running.end().await;

    let running = Whole::begin(folder.path(), &sinks.config(), &[], &clock).await;
    clock.forward(5);
    // One of both is tried before the other: the third failure goes to either.
    eventually("the chat is up again", SOON, async || (sinks.chat().last() == Some(&200)).then_some(())).await;
    clock.forward(20);
    for id in [id, other] {
        let entries = running.closed(id).await;
        let told = |sink: &str| {
            let told = |e: &&Entry| matches!(&e.body, Body::Notified { sink: s, error: None, .. } if s == sink);
            entries.iter().filter(told).count()
        };
        assert_eq!((told("log"), told("chat"), told("pager")), (1, 1, 1));
    }
    assert_eq!(sinks.chat(), [503, 503, 503, 200, 200]);
    assert_eq!(sinks.paged().len(), 2, "who was told is not told again: {:?}", sinks.paged());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_stays_down_is_given_up_after_a_day_and_the_report_stands() {
    let (folder, sinks, clock) = (tempfile::tempdir().unwrap(), Sinks::serve(usize::MAX).await, ByHand::new());
    let running = Whole::begin(folder.path(), &sinks.config(), &[], &clock).await;
    let (id, _) = running.alert("Slow", "info", clock.now()).await;
    for attempt in 1..=4 {
        running.put_off(id, attempt).await;
        clock.forward(301);
    }
    running.put_off(id, 5).await;
    clock.forward(24 * 3600);
    let entries = running.closed(id).await;
    let given_up = |e: &&Entry| matches!(&e.body, Body::Notified { sink, error: Some(_), .. } if sink == "chat");
    assert_eq!((entries.iter().filter(given_up).count(), sinks.chat().len(), sinks.paged().len()), (1, 6, 1));
    let view = running.view(id).await;
    assert_eq!((view.outcome.map(|o| o.as_str()), view.undelivered), (Some("reported"), vec![]));
    running.end().await;
}
