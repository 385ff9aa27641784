//! Who is claimed next, and what a full route holds up.

use super::super::claim::NEXT;
use super::*;
use crate::store::RoutePlaces;

impl World {
    /// Opens an investigation about `name` at `second`.
    async fn opens(&self, name: &str, route: &str, severity: Severity, second: i64) -> InvestigationId {
        let mut arrival = self.arrival(name, name, Firing, second);
        (arrival.event.severity, arrival.route) = (severity, route.to_owned());
        self.store.admit(vec![arrival], None, at(second)).await.unwrap()[0].investigation.unwrap()
    }

    async fn claims(&self, places: &RoutePlaces, second: i64) -> Option<Lease> {
        self.store.claim_within(places, "me", at(second), at(second + 60)).await.unwrap()
    }

    /// Takes the next one and has nothing to do with it.
    async fn ends(&self, second: i64) -> Option<InvestigationId> {
        let lease = self.claims(&RoutePlaces::new(), second).await?;
        self.store.release(&lease).await.unwrap();
        Some(lease.investigation)
    }

    async fn tell(&self, id: InvestigationId, second: i64) {
        let cancel = Signal::Cancel { by: "ann".into(), reason: "enough".into() };
        assert!(self.store.signal(id, "ann", cancel, at(second)).await.unwrap());
    }

    async fn set(&self, column: &str, value: &str, id: InvestigationId) {
        let mut direct = SqliteStore::writing_connection(&self.path()).await.unwrap();
        let text = format!("UPDATE investigations SET {column} = '{value}' WHERE id = '{id}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut direct).await.unwrap();
    }
}

fn places(of: &[(&str, u32)]) -> RoutePlaces {
    of.iter().map(|(route, count)| ((*route).to_owned(), *count)).collect()
}

#[tokio::test]
async fn the_most_dangerous_comes_first_and_nothing_waits_for_ever() {
    use Severity::{Critical, Error, Info, Warning};
    let w = World::new().await;
    let mut ids = vec![];
    for (n, severity) in [Info, Warning, Error, Critical].into_iter().enumerate() {
        ids.push(w.opens(&format!("A{n}"), "default", severity, n as i64).await);
    }
    let mut order = vec![];
    while let Some(next) = w.ends(10).await {
        order.push(ids.iter().position(|id| *id == next).unwrap());
    }
    assert_eq!(order, [2, 3, 1, 0], "of two that are alike, the older one");

    // What was judged counts more than what the sender said.
    let (low, high) = (w.opens("B", "default", Critical, 20).await, w.opens("C", "default", Info, 20).await);
    w.set("risk", "LOW", low).await;
    w.set("risk", "HIGH", high).await;
    assert_eq!((w.ends(21).await, w.ends(21).await, w.ends(21).await), (Some(high), Some(low), None));

    // What somebody began goes on first, whoever died over it.
    let (begun, _) = (w.opens("G", "default", Info, 30).await, w.opens("H", "default", Critical, 30).await);
    w.set("state", "running", begun).await;
    assert_eq!(w.ends(31).await, Some(begun));
    assert_ne!(w.ends(31).await, None);

    // Ten minutes weigh as much as a level, on any route.
    let old = w.opens("D", "other", Info, 100).await;
    let (fresh, older) = (w.opens("E", "default", Critical, 1301).await, w.opens("F", "third", Warning, 699).await);
    let order = [w.ends(1302).await, w.ends(1302).await, w.ends(1302).await];
    assert_eq!(order, [Some(older), Some(old), Some(fresh)]);
}

#[tokio::test]
async fn what_hears_of_something_every_minute_grows_old_all_the_same() {
    let (w, any) = (World::new().await, RoutePlaces::new());
    let quiet = w.opens("A", "default", Severity::Info, 0).await;
    for minute in 1..=25 {
        w.tell(quiet, minute * 60).await;
    }
    w.opens("B", "default", Severity::Critical, 25 * 60).await;
    assert_eq!(w.claims(&any, 25 * 60).await.unwrap().investigation, quiet);
}

#[tokio::test]
async fn a_full_route_lets_others_pass_and_what_nobody_looked_at() {
    let (w, one) = (World::new().await, places(&[("a", 1)]));
    let mut ids = vec![];
    for n in 0..3 {
        ids.push(w.opens(&format!("A{n}"), "a", Severity::Critical, n).await);
    }
    let other = w.opens("B", "b", Severity::Info, 4).await;
    let first = w.claims(&one, 10).await.unwrap();
    assert_eq!((first.investigation, first.has_place), (ids[0], true));
    for id in &ids[1..] {
        let looked_at = w.claims(&one, 10).await.unwrap();
        assert_eq!((looked_at.investigation, looked_at.has_place), (*id, false), "it may be CRITICAL");
        w.store.line_up(&looked_at, None).await.unwrap();
    }
    let passing = w.claims(&one, 10).await.unwrap();
    assert_eq!((passing.investigation, passing.has_place), (other, true), "others pass");
    assert_eq!(w.claims(&one, 10).await, None);
    assert_eq!(
        w.claims(&places(&[("a", 2)]), 10).await.map(|lease| lease.investigation),
        Some(ids[1]),
        "a second place"
    );
    let w = w.reopened().await;
    // The leases of the dead process take no place; what stood in line still does.
    let again = w.claims(&one, 20).await.unwrap();
    assert_eq!((again.investigation, again.has_place), (ids[0], true));
    // What something arrives for is looked at, however full it is.
    w.tell(ids[2], 21).await;
    let woken = w.claims(&one, 21).await.unwrap();
    assert_eq!((woken.investigation, woken.has_place), (ids[2], false));
    w.store.line_up(&woken, None).await.unwrap();
    // A signal that nobody took yet is no reason to stand in line.
    assert_eq!(w.claims(&one, 21).await.unwrap().investigation, ids[2]);
}

#[tokio::test]
async fn a_place_is_free_when_its_holder_waits_ends_or_dies() {
    for way in ["park", "release", "abandon", "die"] {
        let (w, one) = (World::new().await, places(&[("a", 1)]));
        w.opens("A0", "a", Severity::Critical, 0).await;
        let second = w.opens("A1", "a", Severity::Warning, 1).await;
        let first = w.claims(&one, 2).await.unwrap();
        w.store.line_up(&w.claims(&one, 2).await.unwrap(), None).await.unwrap();
        assert_eq!(w.claims(&one, 3).await, None, "{way}");
        let news = w.store.work().notified();
        match way {
            "park" => w.store.park(&first, at(3), at(600)).await.unwrap(),
            "release" => w.store.release(&first).await.unwrap(),
            "abandon" => w.store.abandon(&first, "no sense".into(), at(3)).await.unwrap(),
            _ => {}
        }
        if way == "die" {
            // Its own investigation is the most dangerous one: that takes the place again.
            let again = w.claims(&one, 90).await.unwrap();
            assert_eq!((again.investigation, again.has_place), (first.investigation, true));
            continue;
        }
        news.await;
        let next = w.claims(&one, 4).await.unwrap();
        assert_eq!((next.investigation, next.has_place), (second, true), "{way}");
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_puts_no_look_off_for_good() {
    let (w, one, day) = (World::new().await, places(&[("a", 1)]), 24 * 3600);
    w.opens("A0", "a", Severity::Critical, day).await;
    let second = w.opens("A1", "a", Severity::Warning, day).await;
    w.claims(&one, day).await.unwrap();
    w.store.line_up(&w.claims(&one, day).await.unwrap(), Some(at(day + 60))).await.unwrap();
    assert_eq!(w.claims(&one, day + 20).await, None);
    let looked = async |second: i64| w.store.claim_within(&one, "me", at(second), at(second + 30)).await.unwrap();
    let lease = looked(0).await.unwrap();
    assert_eq!((lease.investigation, lease.has_place), (second, false));
}

#[tokio::test]
async fn a_claim_costs_the_same_however_many_wait() {
    let w = World::new().await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    let plan = format!("EXPLAIN QUERY PLAN {NEXT}");
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(plan))
        .bind(0_i64)
        .bind(1_i64)
        .bind(1_i64)
        .bind("[]")
        .bind(0_i64)
        .fetch_all(&mut direct)
        .await
        .unwrap();
    let steps: Vec<&str> = rows.iter().map(|row| row.3.as_str()).collect();
    let looks: Vec<&&str> =
        steps.iter().filter(|step| step.contains("investigations") || step.contains(" i ")).collect();
    let by_index = |step: &&&str| step.starts_with("SEARCH") && step.contains("INDEX") || step.contains("PRIMARY KEY");
    assert!(looks.len() >= 4 && looks.iter().all(by_index), "{steps:#?}");
    assert!(
        steps.iter().any(|step| step.contains("route=? AND in_line=? AND urgency=? AND due_us>? AND due_us<?")),
        "{steps:#?}"
    );
}
