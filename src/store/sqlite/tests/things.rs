//! Alerts find an investigation by what its survey found to be one workload.

use super::*;
use ResourceType::{K8sDeployment, K8sPod, K8sPvc, K8sStatefulset};

fn surveyed(things: &[&str]) -> Body {
    let things = things.iter().map(|thing| (*thing).to_owned()).collect();
    let analysis = Blob::new([0; 16], vec![]).reference;
    Body::Surveyed { stopped: "complete".into(), analysis, findings: 0, top_cause: None, things }
}

const OF_DB: [&str; 2] = ["/shop/k8s_pvc/data-db-0", "/shop/workload/db"];

impl World {
    /// An alert of a name and a group of its own.
    fn on(&self, kind: ResourceType, namespace: &str, id: &str, starts: i64) -> Arrival {
        let n = self.entropy.uuid(at(0));
        let mut arrival = self.arrival(&format!("Alert-{n}"), id, Firing, starts);
        (arrival.event.resource.kind, arrival.event.resource.namespace) = (kind, Some(namespace.to_owned()));
        arrival
    }

    /// An investigation of a volume, whose survey found `things`.
    async fn surveyed(&self, volume: &str, things: &[&str]) -> Lease {
        let opened = self.admit(vec![self.on(K8sPvc, "shop", volume, 1)]).await.remove(0);
        assert_eq!(opened.fate, Fate::Opened);
        let lease = self.store.claim("w", at(1), at(600)).await.unwrap().unwrap();
        assert_eq!(Some(lease.investigation), opened.investigation);
        self.append(&lease, vec![surveyed(things)]).await.unwrap();
        lease
    }

    async fn rows(&self) -> Vec<(String, String)> {
        let mut direct = SqliteStore::writing_connection(&self.path()).await.unwrap();
        let question = "SELECT thing, investigation FROM investigation_things ORDER BY thing, investigation";
        sqlx::query_as(question).fetch_all(&mut direct).await.unwrap()
    }

    async fn home(&self, arrival: Arrival) -> (Fate, Option<InvestigationId>) {
        let admitted = self.admit(vec![arrival]).await.remove(0);
        (admitted.fate, admitted.investigation)
    }
}

#[tokio::test]
async fn alerts_on_the_same_workload_join_and_others_do_not() {
    let w = World::new().await;
    let id = w.surveyed("data-db-0", &OF_DB).await.investigation;
    let rows: Vec<(String, String)> = OF_DB.iter().map(|thing| ((*thing).to_owned(), id.to_string())).collect();
    assert_eq!(w.rows().await, rows);
    // A restart knows it.
    let w = w.reopened().await;
    for (kind, namespace, name, joins) in [
        (K8sStatefulset, "shop", "db", true),
        (K8sPod, "shop", "db-1", true),
        (K8sStatefulset, "shop", "db2", false),
        (K8sStatefulset, "other", "db", false),
        (K8sPvc, "shop", "data-db-1", false),
        (K8sDeployment, "shop", "api", false),
    ] {
        let home = w.home(w.on(kind, namespace, name, 2)).await;
        assert_eq!(home == (Fate::Merged, Some(id)), joins, "{kind} {namespace}/{name}: {home:?}");
    }
    let mut elsewhere = w.on(K8sStatefulset, "shop", "db", 2);
    elsewhere.event.resource.cluster = Some("blue".into());
    assert_eq!(w.home(elsewhere).await.0, Fate::Opened);
    // Labels name the workload of a Pod whose name does not, and of what else names nothing.
    let mut labelled = w.on(K8sPod, "shop", "odd", 2);
    labelled.event.labels = [("created_by_kind", "StatefulSet"), ("created_by_name", "db")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(w.home(labelled).await, (Fate::Merged, Some(id)));
    let mut nameless = w.on(ResourceType::Unknown, "shop", "", 2);
    nameless.event.labels = [("daemonset".to_owned(), "db".to_owned())].into();
    assert_eq!(w.home(nameless).await, (Fate::Merged, Some(id)));
    // What names no object asks for nothing.
    assert_eq!(w.home(w.on(ResourceType::Service, "shop", "db", 2)).await.0, Fate::Opened);
}

#[tokio::test]
async fn a_key_and_a_resource_of_its_own_come_first() {
    let w = World::new().await;
    let by_survey = w.surveyed("data-db-0", &["/shop/workload/db", "/shop/k8s_pvc/other"]).await.investigation;
    let other = w.admit(vec![w.arrival("Full", "other-volume", Firing, 1)]).await.remove(0);
    let mut same_key = w.on(K8sStatefulset, "shop", "db", 2);
    same_key.correlation_key = "Full/shop".into();
    assert_eq!(w.home(same_key).await, (Fate::Merged, other.investigation));
    let on_other = w.on(K8sPvc, "shop", "other-volume", 2);
    assert_eq!(w.home(on_other).await, (Fate::Merged, other.investigation));
    assert_eq!(w.home(w.on(K8sPvc, "shop", "other", 2)).await, (Fate::Merged, Some(by_survey)));
}

#[tokio::test]
async fn what_begins_behind_the_end_opens_anew_and_the_newest_counts() {
    let w = World::new().await;
    let first = w.surveyed("data-db-0", &OF_DB).await;
    // Entries of this store's tests are written at second 10.
    w.append(&first, vec![Body::Closed { outcome: Outcome::Reported }]).await.unwrap();
    w.store.release(&first).await.unwrap();
    let joined = w.home(w.on(K8sStatefulset, "shop", "db", 10)).await;
    assert_eq!(joined, (Fate::Merged, Some(first.investigation)));
    // The first is told of it, so it is the next to be worked on.
    let woken = w.store.claim("w", at(11), at(600)).await.unwrap().unwrap();
    assert_eq!(woken.investigation, first.investigation);
    let opened = w.home(w.on(K8sStatefulset, "shop", "db", 11)).await;
    assert_eq!(opened.0, Fate::Opened);
    assert_eq!(w.store.claim("w", at(11), at(600)).await.unwrap().map(|lease| lease.investigation), opened.1);
    // Of two that know it the newest counts, though the first is open again.
    let second = w.surveyed("data-db-1", &["/shop/k8s_pvc/data-db-1", "/shop/k8s_pvc/shared"]).await.investigation;
    w.append(&woken, vec![Body::Reopened { reason: "more".into() }, surveyed(&["/shop/k8s_pvc/shared"])])
        .await
        .unwrap();
    assert_eq!(w.rows().await.len(), 5, "nothing is written twice or lost");
    let newest = w.home(w.on(K8sPvc, "shop", "shared", 20)).await;
    assert_eq!(newest, (Fate::Merged, Some(second)));
}

#[tokio::test]
async fn what_was_given_up_and_storms_take_nothing() {
    let w = World::new().await;
    let lease = w.surveyed("data-db-0", &OF_DB).await;
    w.store.abandon(&lease, "it made no sense".into(), at(5)).await.unwrap();
    assert_eq!(w.home(w.on(K8sStatefulset, "shop", "db", 1)).await.0, Fate::Opened);

    let w = World::new().await;
    let cap = StormCap { max_open: 1, window: jiff::SignedDuration::from_mins(10) };
    let storm = w.store.admit(vec![w.on(K8sPvc, "shop", "data-db-0", 1)], Some(cap), at(0)).await.unwrap().remove(0);
    let lease = w.store.claim("w", at(1), at(600)).await.unwrap().unwrap();
    assert_eq!(storm.investigation, Some(lease.investigation));
    assert!(w.state(lease.investigation).await.is_storm());
    w.append(&lease, vec![surveyed(&OF_DB)]).await.unwrap();
    assert_eq!(w.rows().await, []);
    assert_eq!(w.home(w.on(K8sStatefulset, "shop", "db", 2)).await.0, Fate::Opened);
}

#[tokio::test]
async fn a_refused_append_leaves_no_things() {
    let w = World::new().await;
    let lease = w.surveyed("data-db-0", &OF_DB).await;
    let stale = Lease { epoch: lease.epoch - 1, ..lease.clone() };
    let refused = w.append(&stale, vec![surveyed(&["/shop/workload/api"])]).await;
    assert!(matches!(refused, Err(StoreError::Fenced { .. })), "{refused:?}");
    assert_eq!(w.rows().await.len(), 2);
    assert_eq!(w.home(w.on(K8sDeployment, "shop", "api", 2)).await.0, Fate::Opened);
}

#[tokio::test]
async fn the_question_goes_by_the_index() {
    let w = World::new().await;
    let mut direct = SqliteStore::writing_connection(&w.path()).await.unwrap();
    let plan: Vec<(i64, i64, i64, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", crate::store::sqlite::admit::BY_THING)))
            .bind("[\"a\"]")
            .fetch_all(&mut direct)
            .await
            .unwrap();
    let steps: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
    assert!(steps.iter().any(|step| step.contains("SEARCH t USING PRIMARY KEY (thing=?)")), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE") || step.starts_with("SCAN t")), "{steps:#?}");
}
