//! Which tools a model is offered: the ones that every incident needs, then those for this kind of
//! alert, as many as the head of the conversation has room for. Fewer tools cost fewer tokens, and
//! small models choose better among them.

use super::submit::submit_offer;
use crate::domain::{SreEvent, ToolOffer};

/// Most tools that look, beside `submit_report`.
const MOST: usize = 12;
/// Most tools that change something.
const MOST_ACTING: usize = 4;
/// Characters of the head: the `system` prompt and all tools that look. About 3,500 tokens.
const HEAD_CHARS: usize = 14_000;
/// Characters of the tools that change something, where there are any. They have room of their own:
/// nobody proposes well what they could not look at.
const ACTING_CHARS: usize = 3_200;
/// Tools that no investigation goes without, most useful first.
const ALWAYS: [&str; 8] = [
    "kubernetes_get",
    "kubernetes_list",
    "kubernetes_logs",
    "kubernetes_events",
    "prometheus_query",
    "prometheus_query_range",
    "evidence_read",
    "kubernetes_describe",
];

/// A tool that could be offered.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// As it would be offered.
    pub offer: ToolOffer,
    /// The words that its manifest gives it.
    pub tags: Vec<String>,
    /// It changes something.
    pub acts: bool,
}

/// Families of alerts, by words of the alert's name; each is a tag of tools.
const FAMILIES: [(&str, &[&str]); 8] = [
    ("storage", &["volume", "pvc", "disk", "filesystem", "storage", "inode", "ceph", "longhorn"]),
    ("node", &["node", "kubelet", "memorypressure", "cordon", "clock"]),
    ("target", &["targetdown", "target", "scrape", "absent", "probe", "endpointdown", "blackbox"]),
    ("network", &["dns", "network", "ingress", "gateway", "certificate", "cert", "tls", "http", "5xx"]),
    ("latency", &["latency", "slow", "errorrate", "errorbudget", "burn", "slo", "5xx", "highrequest", "apdex"]),
    ("batch", &["job", "cron", "backup"]),
    ("capacity", &["hpa", "quota", "throttl", "cpu", "memory", "oom", "replicasmax", "saturation", "connections"]),
    (
        "workload",
        &[
            "pod",
            "crash",
            "deployment",
            "statefulset",
            "daemonset",
            "container",
            "replica",
            "rollout",
            "restart",
            "image",
        ],
    ),
];

/// The families that an alert belongs to.
pub fn families(event: &SreEvent) -> Vec<&'static str> {
    let name: String = event.name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let labelled = |label: &str| event.labels.contains_key(label);
    let by_label = |family: &str| match family {
        "storage" => labelled("persistentvolumeclaim"),
        "workload" => labelled("pod") || labelled("deployment") || labelled("statefulset") || labelled("daemonset"),
        "batch" => labelled("job_name") || labelled("cronjob"),
        "capacity" => labelled("horizontalpodautoscaler"),
        _ => false,
    };
    FAMILIES
        .iter()
        .filter(|(family, words)| by_label(family) || words.iter().any(|word| name.contains(word)))
        .map(|(family, _)| *family)
        .collect()
}

/// The tools for an alert of `families`, sorted by name; all of them where they fit. `named` holds the
/// tools that the route names itself: they come before the others. What changes something
/// takes no room from what looks.
pub fn choose(candidates: &[Candidate], families: &[&str], named: &[String], system_chars: usize) -> Vec<ToolOffer> {
    let rank = |candidate: &Candidate| {
        let name = candidate.offer.name.as_str();
        let always = ALWAYS.iter().position(|always| *always == name);
        let of_family = candidate.tags.iter().any(|tag| families.contains(&tag.as_str()));
        match (named.iter().any(|n| n == name), always) {
            (true, _) => (0, 0),
            (false, Some(at)) => (1, at),
            // Writing it down is no part of finding out, and what has to be written down is anyway; a
            // silence mends nothing.
            (false, None) if candidate.tags.iter().any(|tag| matches!(tag.as_str(), "jira" | "alertmanager")) => (4, 0),
            (false, None) if of_family => (2, 0),
            (false, None) => (3, 0),
        }
    };
    let mut ranked: Vec<&Candidate> = candidates.iter().collect();
    ranked.sort_by_key(|candidate| (rank(candidate), &candidate.offer.name));
    let left = HEAD_CHARS.saturating_sub(system_chars).saturating_sub(size(&submit_offer()));
    let (mut looking, mut acting, mut chosen) = ((MOST, left), (MOST_ACTING, ACTING_CHARS), vec![]);
    for candidate in ranked {
        let cost = size(&candidate.offer);
        let (more, left) = if candidate.acts { &mut acting } else { &mut looking };
        if *more > 0 && cost <= *left {
            *left -= cost;
            *more -= 1;
            chosen.push(candidate.offer.clone());
        }
    }
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen
}

/// Characters of a tool as it is sent.
pub fn size(offer: &ToolOffer) -> usize {
    const AROUND: usize = 80;
    AROUND + offer.name.len() + offer.description.len() + offer.parameters.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::routes::tests::event;
    use serde_json::json;

    fn candidate(name: &str, tags: &[&str], chars: usize) -> Candidate {
        let offer = ToolOffer { name: name.into(), description: "d".repeat(chars), parameters: json!({}) };
        Candidate { offer, tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), acts: false }
    }

    #[test]
    fn alerts_belong_to_families_by_name_and_label() {
        for (name, label, expected) in [
            ("KubePersistentVolumeFillingUp", "", vec!["storage"]),
            ("PVCUsageHigh", "persistentvolumeclaim", vec!["storage"]),
            ("KubePodCrashLooping", "pod", vec!["workload"]),
            ("KubeNodeNotReady", "", vec!["node"]),
            ("TargetDown", "", vec!["target"]),
            ("KubeJobFailed", "job_name", vec!["batch"]),
            ("CPUThrottlingHigh", "", vec!["capacity"]),
            ("SomethingElse", "", vec![]),
        ] {
            let mut alert = event(&[(label, "x")]);
            alert.name = name.to_owned();
            assert_eq!(families(&alert), expected, "{name}");
        }
    }

    #[test]
    fn few_tools_are_all_offered_and_many_by_use() {
        let few: Vec<_> = ["prometheus_query", "kubernetes_get", "x"].map(|n| candidate(n, &[], 100)).into();
        let names = |offers: Vec<ToolOffer>| offers.into_iter().map(|o| o.name).collect::<Vec<_>>();
        assert_eq!(names(choose(&few, &[], &[], 3_400)), ["kubernetes_get", "prometheus_query", "x"]);

        let mut many: Vec<_> = (0..20).map(|n| candidate(&format!("a_{n:02}"), &["node"], 200)).collect();
        many.extend(ALWAYS.map(|name| candidate(name, &[], 200)));
        many.push(candidate("kubernetes_volume", &["kubernetes", "storage"], 200));
        many.push(candidate("z_named", &[], 200));
        let chosen = names(choose(&many, &["storage"], &["z_named".into()], 3_400));
        assert_eq!(chosen.len(), MOST);
        assert!(ALWAYS.iter().all(|name| chosen.iter().any(|n| n == name)), "{chosen:?}");
        assert!(chosen.contains(&"kubernetes_volume".to_owned()) && chosen.contains(&"z_named".to_owned()));
    }

    #[test]
    fn what_changes_something_never_pushes_out_what_looks() {
        let manifests = crate::tools::Manifests::embedded().unwrap();
        let all: Vec<Candidate> = manifests
            .specs()
            .map(|(_, spec)| Candidate {
                offer: ToolOffer {
                    name: spec.name.clone(),
                    description: spec.summary.clone(),
                    parameters: spec.params.clone(),
                },
                tags: spec.tags.clone(),
                acts: spec.effect != crate::domain::Effect::Read,
            })
            .collect();
        let looking: Vec<Candidate> = all.iter().filter(|candidate| !candidate.acts).cloned().collect();
        for (family, tools) in [
            ("workload", &["kubernetes_rollout_restart", "kubernetes_rollout_undo", "kubernetes_scale"][..]),
            ("storage", &["kubernetes_expand_volume"]),
            ("node", &["kubernetes_cordon", "kubernetes_uncordon"]),
            ("batch", &["kubernetes_run_cronjob"]),
        ] {
            // The shipped prompts, and prompts that take all the room.
            for system_chars in [3_400, 6_000, 14_000] {
                let names = |from: &[Candidate]| -> Vec<String> {
                    choose(from, &[family], &[], system_chars).into_iter().map(|offer| offer.name).collect()
                };
                let (chosen, without) = (names(&all), names(&looking));
                for tool in tools.iter().copied().chain(without.iter().map(String::as_str)) {
                    assert!(chosen.iter().any(|name| name == tool), "{family}: no {tool} in {chosen:?}");
                }
                assert!(chosen.len() - without.len() <= MOST_ACTING, "{chosen:?}");
            }
        }
    }

    #[test]
    fn the_head_keeps_its_measure() {
        let big: Vec<_> = ALWAYS.map(|name| candidate(name, &[], 1_500)).into();
        let chosen = choose(&big, &[], &[], 3_400);
        let chars = 3_400 + size(&submit_offer()) + chosen.iter().map(size).sum::<usize>();
        assert!(chars <= HEAD_CHARS && chosen.len() >= 3, "{chars} for {}", chosen.len());
        assert!(chosen.iter().any(|offer| offer.name == "kubernetes_get"));
    }
}
