//! Which things are one workload with what an alert names, and which are not.

use super::build::*;
use crate::analysis::things;
use crate::domain::*;
use serde_json::{Value, json};

const CLAIM: &str = "persistentvolumeclaim";

/// An alert with these labels, its resource read from them as senders' alerts have it.
fn on(labels: &[(&str, &str)]) -> Vec<SreEvent> {
    let mut event = alert("SomethingIsWrong", &[&[("namespace", "shop")], labels].concat());
    let naming = [
        (CLAIM, ResourceType::K8sPvc),
        ("pod", ResourceType::K8sPod),
        ("node", ResourceType::K8sNode),
        ("statefulset", ResourceType::K8sStatefulset),
        ("deployment", ResourceType::K8sDeployment),
        ("job_name", ResourceType::K8sJob),
    ];
    if let Some((label, kind)) = naming.into_iter().find(|(label, _)| event.labels.contains_key(*label)) {
        event.resource = Resource { kind, id: event.labels[label].clone(), ..event.resource };
    }
    vec![event]
}

/// What a whole survey of `world` finds.
fn found(world: &World, events: &[SreEvent]) -> Vec<String> {
    let (seen, _) = world.survey(events, 64);
    things(&case(events, &seen, 0))
}

fn owned(object: Value, kind: &str, name: &str) -> Value {
    with(object, json!({"metadata": {"ownerReferences": [{"kind": kind, "name": name, "controller": true}]}}))
}

fn bare(name: &str) -> Value {
    pod("shop", name, None)
}

/// Pod `<name>-<n>` of a StatefulSet, on its claim.
fn member(name: &str, n: u32) -> Value {
    mounting(owned(bare(&format!("{name}-{n}")), "StatefulSet", name), &format!("data-{name}-{n}"))
}

fn stateful(name: &str) -> Value {
    let templates = json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}});
    with(workload("StatefulSet", "shop", name, 2, 2), templates)
}

fn claims(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| claim("shop", name, "10Gi")).collect()
}

fn postgres() -> World {
    let api = owned(bare("api-6d4cf56db6-x2x4z"), "ReplicaSet", "api-6d4cf56db6");
    let replica_set =
        with(replica_set("shop", "api", 1, "api:1", -9_000, 1), json!({"metadata": {"name": "api-6d4cf56db6"}}));
    let mut objects = vec![
        stateful("postgres"),
        member("postgres", 0),
        member("postgres", 1),
        workload("Deployment", "shop", "api", 1, 1),
        replica_set,
        api,
        // The same names elsewhere are something else.
        with(stateful("postgres"), json!({"metadata": {"namespace": "other"}})),
        json!({"kind": "Namespace", "metadata": {"name": "shop"}}),
        node("node-a"),
    ];
    objects.extend(claims(&["data-postgres-0", "data-postgres-1"]));
    World::of(objects)
}

#[test]
fn a_volume_its_pods_and_their_owners_are_one_workload() {
    let world = postgres();
    let all = ["/shop/k8s_pvc/data-postgres-0", "/shop/workload/postgres", "/shop/k8s_pvc/data-postgres-1"];
    let of_api = ["/shop/workload/api", "/shop/workload/api-6d4cf56db6"];
    for (labels, expected) in [
        (&[(CLAIM, "data-postgres-0"), ("node", "node-a")][..], &all[..]),
        (&[("pod", "postgres-0")], &[all[1], all[0], all[2]]),
        (&[("statefulset", "postgres")], &[all[1], all[0], all[2]]),
        (&[("pod", "api-6d4cf56db6-x2x4z")], &of_api),
        // It finds its Pods by its name already.
        (&[("deployment", "api")], &[]),
        (&[("node", "node-a")], &[]),
        (&[("node", "node-a"), ("statefulset", "postgres")], &[]),
        (&[("instance", "10.0.0.9:9187"), ("job", "exporter"), ("daemonset", "postgres")], &[]),
        (&[("pod", "gone-0")], &[]),
        (&[(CLAIM, "gone")], &[]),
        (&[], &[]),
        // The exporter's own Pod is not what it reports about.
        (
            &[("pod", "kube-state-metrics-0"), ("job", "kube-state-metrics"), ("statefulset", "postgres")],
            &[all[1], all[0], all[2]],
        ),
    ] {
        assert_eq!(found(&world, &on(labels)), expected, "{labels:?}");
    }
    let mut elsewhere = on(&[(CLAIM, "data-postgres-0")]);
    elsewhere[0].resource.cluster = Some("eu1".into());
    let expected: Vec<String> = all.iter().map(|thing| format!("eu1{thing}")).collect();
    assert_eq!(found(&world, &elsewhere), expected);
}

#[test]
fn what_several_workloads_share_belongs_to_none() {
    // Both mount one volume.
    let shared = |first: Value, second: Value| {
        let mut objects = vec![mounting(first, "files"), mounting(second, "files")];
        objects.extend(claims(&["files"]));
        World::of(objects)
    };
    let of = |name: &str, owner: &str| owned(bare(name), "StatefulSet", owner);
    let by_two = shared(of("web-0", "web"), of("jobs-0", "jobs"));
    assert_eq!(found(&by_two, &on(&[(CLAIM, "files")])), Vec::<String>::new());
    assert_eq!(found(&by_two, &on(&[("pod", "web-0")])), Vec::<String>::new());
    let by_one = shared(of("web-0", "web"), of("web-1", "web"));
    assert_eq!(found(&by_one, &on(&[(CLAIM, "files")])), ["/shop/k8s_pvc/files", "/shop/workload/web"]);
    // Two that are known by one name: nobody knows whom an alert by that name is about.
    let mut alike = by_one.clone();
    alike.objects.push(workload("Deployment", "shop", "web", 1, 1));
    assert_eq!(found(&alike, &on(&[(CLAIM, "files")])), Vec::<String>::new());
    // A bare Pod of such a name counts, too.
    let mut alike = by_one.clone();
    alike.objects.push(bare("web-7"));
    assert_eq!(found(&alike, &on(&[(CLAIM, "files")])), Vec::<String>::new());
}

#[test]
fn who_mounts_a_volume_is_known_where_every_pod_was_seen() {
    let mut world = postgres();
    world.objects.push(mounting(owned(bare("web-0"), "StatefulSet", "web"), "files"));
    world.objects.extend(claims(&["files"]));
    let refused = |mut world: World, what: &str| {
        world.refuse.push((what.to_owned(), "403 Forbidden".to_owned()));
        world
    };
    let files = on(&[(CLAIM, "files")]);
    assert_eq!(found(&world, &files), ["/shop/k8s_pvc/files", "/shop/workload/web"]);
    assert_eq!(found(&refused(world.clone(), "every Pod"), &files), Vec::<String>::new());
    // One Pod was seen, and it mounts the volume; others may.
    let seen = found(&refused(world.clone(), "every Pod"), &on(&[("pod", "web-0")]));
    assert_eq!(seen, Vec::<String>::new());
    // A StatefulSet's template says whose volume it is without any Pod.
    let data = on(&[(CLAIM, "data-postgres-0")]);
    let whole = ["/shop/k8s_pvc/data-postgres-0", "/shop/workload/postgres", "/shop/k8s_pvc/data-postgres-1"];
    assert_eq!(found(&refused(world.clone(), "every Pod"), &data), whole);
    // Without it nothing is known but a name that looks like it.
    let blind = refused(refused(world, "every Pod"), "every StatefulSet");
    assert_eq!(found(&blind, &data), Vec::<String>::new());
}

#[test]
fn a_volume_belongs_to_whom_it_was_made_for() {
    for (name, owner, expected) in [
        (
            "cache-x2x4z-scratch",
            ("Pod", "cache-6d4cf56db6-x2x4z"),
            &["k8s_pvc/cache-x2x4z-scratch", "workload/cache", "workload/cache-6d4cf56db6"][..],
        ),
        ("kept", ("StatefulSet", "db"), &["k8s_pvc/kept", "workload/db"]),
        // What an operator made is the operator's.
        ("kept", ("Cluster", "db"), &[]),
    ] {
        let world = World::of([
            owned(claim("shop", name, "1Gi"), owner.0, owner.1),
            owned(bare("cache-6d4cf56db6-x2x4z"), "ReplicaSet", "cache-6d4cf56db6"),
            owned(with(workload("ReplicaSet", "shop", "cache-6d4cf56db6", 1, 1), json!({})), "Deployment", "cache"),
        ]);
        let expected: Vec<String> = expected.iter().map(|thing| format!("/shop/{thing}")).collect();
        assert_eq!(found(&world, &on(&[(CLAIM, name)])), expected, "{name} {owner:?}");
    }
    // Two StatefulSets could have made it.
    let ambiguous = [
        with(stateful("a"), json!({"spec": {"volumeClaimTemplates": [{"metadata": {"name": "data-db"}}]}})),
        stateful("db-a"),
    ];
    let world = World::of(ambiguous.into_iter().chain(claims(&["data-db-a-0"])));
    assert_eq!(found(&world, &on(&[(CLAIM, "data-db-a-0")])), Vec::<String>::new());
}

#[test]
fn jobs_lead_to_their_cron_job_and_owners_that_are_no_workloads_to_nothing() {
    let pod_of_job = mounting(owned(bare("backup-28391040-x2x4z"), "Job", "backup-28391040"), "dumps");
    let job = json!({"kind": "Job", "metadata": {"namespace": "shop", "name": "backup-28391040",
        "ownerReferences": [{"kind": "CronJob", "name": "nightly", "controller": true}]}});
    let mut objects =
        vec![pod_of_job, job, owned(bare("etcd-node-a"), "Node", "node-a"), owned(bare("db-1"), "Cluster", "db")];
    objects.extend(claims(&["dumps"]));
    let world = World::of(objects);
    let (job, cron, pod, dumps) =
        ("/shop/k8s_job/backup", "/shop/k8s_job/nightly", "/shop/workload/backup-28391040", "/shop/k8s_pvc/dumps");
    // The survey reads a Job where an alert names it, and a Pod names its owner itself.
    assert_eq!(found(&world, &on(&[("job_name", "backup-28391040")])), [job, cron, pod, dumps]);
    assert_eq!(found(&world, &on(&[("pod", "backup-28391040-x2x4z")])), [pod, job, dumps]);
    assert_eq!(found(&world, &on(&[("pod", "etcd-node-a")])), Vec::<String>::new());
    assert_eq!(found(&world, &on(&[("pod", "db-1")])), Vec::<String>::new());
}

#[test]
fn labels_name_the_owner_where_nothing_was_read() {
    let world = postgres();
    let by = |kind: &'static str, name: &'static str| {
        [("pod", "gone"), ("created_by_kind", kind), ("created_by_name", name)]
    };
    let gone = "/shop/workload/gone";
    assert_eq!(
        found(&world, &on(&by("StatefulSet", "postgres"))),
        [gone, "/shop/workload/postgres", "/shop/k8s_pvc/data-postgres-0", "/shop/k8s_pvc/data-postgres-1"]
    );
    assert_eq!(
        found(&world, &on(&by("ReplicaSet", "api-6d4cf56db6"))),
        [gone, "/shop/workload/api-6d4cf56db6", "/shop/workload/api"]
    );
    // Its own name is all that others find it by, so the owner is said though its label names it.
    let one = World::of([vec![stateful("lone"), member("lone", 0)], claims(&["data-lone-0"])].concat());
    assert_eq!(
        found(&one, &on(&[(CLAIM, "data-lone-0"), ("statefulset", "lone")])),
        ["/shop/k8s_pvc/data-lone-0", "/shop/workload/lone"]
    );
    // What was read says otherwise.
    let lies = [("pod", "postgres-0"), ("workload", "api"), ("workload_type", "deployment")];
    assert!(!found(&world, &on(&lies)).contains(&"/shop/workload/api".to_owned()));
}

#[test]
fn of_many_volumes_sixteen_things_are_known_and_an_owner_in_a_circle_ends() {
    let mut objects = vec![stateful("big")];
    objects.extend((0..40).flat_map(|n| [member("big", n), claim("shop", &format!("data-big-{n}"), "1Gi")]));
    let all = found(&World::of(objects), &on(&[(CLAIM, "data-big-7")]));
    assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (16, "/shop/k8s_pvc/data-big-7", "/shop/workload/big"));
    let circle = World::of([
        owned(bare("a-0"), "StatefulSet", "a"),
        owned(workload("StatefulSet", "shop", "a", 1, 1), "Deployment", "b"),
        owned(workload("Deployment", "shop", "b", 1, 1), "StatefulSet", "a"),
    ]);
    assert!(found(&circle, &on(&[("pod", "a-0")])).len() <= 16);
}
