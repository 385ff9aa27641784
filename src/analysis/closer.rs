//! A closer look at what runs out, once people agreed to it: longer windows, who takes most, how fast it
//! grows. It goes on top of the usual survey and only reads.

use super::need::{Case, Need};
use super::plan::{escape, working_set};
use super::snapshot::{Series, Snapshot};
use super::text::{bytes, clip, figure, hours, percent, some_of};
use crate::domain::{Detail, Entity};

/// A day and a week, in minutes.
const WINDOWS: [(u32, &str); 2] = [(1_440, "day"), (10_080, "week")];
/// Things that one closer look names.
const MOST: usize = 3;
/// Names in one line.
const SHOWN: usize = 5;
/// Most lines.
const LINES: usize = 24;

/// What of a thing is looked at over time, and how it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    Bytes,
    Cores,
    Part,
}

impl Measure {
    fn told(self, value: f64) -> String {
        match self {
            Self::Bytes => bytes(value),
            Self::Cores => format!("{} cores", figure(value)),
            Self::Part => percent(value),
        }
    }
}

/// A question over time about one thing.
struct Course {
    what: String,
    promql: String,
    measure: Measure,
}

/// A question for those who take most.
struct Takers {
    what: String,
    promql: String,
    label: &'static str,
    measure: Measure,
}

/// In words, what a closer look at `entity` reads: for whoever is asked whether it may be.
pub fn closer_look(entity: &Entity) -> Vec<String> {
    let courses =
        courses(entity).into_iter().map(|course| format!("{} over the last day and the last week", course.what));
    let takers = takers(entity).into_iter().map(|takers| takers.what);
    courses.chain(takers).collect()
}

/// What is to be asked beside the usual.
pub(super) fn needs(case: &Case<'_>) -> Vec<Need> {
    let mut needs = Vec::new();
    for entity in case.closer.iter().take(MOST) {
        for course in courses(entity) {
            let range = |(minutes, _): &(u32, &str)| Need::Range { promql: course.promql.clone(), minutes: *minutes };
            needs.extend(WINDOWS.iter().map(range));
        }
        needs.extend(takers(entity).into_iter().map(|takers| Need::Query { promql: takers.promql }));
    }
    needs
}

/// What it showed, a line for each question; what was not measured is told, too.
pub(super) fn details(case: &Case<'_>, snapshot: &Snapshot) -> Vec<Detail> {
    let mut lines = Vec::new();
    for entity in case.closer.iter().take(MOST) {
        for course in courses(entity) {
            let told: Vec<Detail> =
                WINDOWS.iter().filter_map(|(minutes, window)| over_time(snapshot, &course, *minutes, window)).collect();
            match told.is_empty() {
                true => lines.push(unmeasured(&course.what)),
                false => lines.extend(told),
            }
        }
        for takers in takers(entity) {
            lines.push(most(snapshot, &takers).unwrap_or_else(|| unmeasured(&takers.what)));
        }
    }
    lines.truncate(LINES);
    lines
}

fn courses(entity: &Entity) -> Vec<Course> {
    let (namespace, name) = (escape(&entity.namespace), escape(&entity.name));
    let course = |what: String, promql: String, measure| Course { what, promql, measure };
    match entity.kind.as_str() {
        "PersistentVolumeClaim" => {
            let of = format!("{{namespace=\"{namespace}\",persistentvolumeclaim=\"{name}\"}}");
            let inodes = format!("kubelet_volume_stats_inodes_used{of} / kubelet_volume_stats_inodes{of}");
            vec![
                course(format!("what {entity} holds"), format!("kubelet_volume_stats_used_bytes{of}"), Measure::Bytes),
                course(format!("the inodes of {entity}"), inodes, Measure::Part),
            ]
        }
        "Pod" => {
            let of = format!("namespace=\"{namespace}\",pod=\"{name}\",container!=\"\"");
            vec![
                course(format!("the memory of {entity}"), format!("sum({})", working_set(entity)), Measure::Bytes),
                course(
                    format!("the CPU of {entity}"),
                    format!("sum(rate(container_cpu_usage_seconds_total{{{of}}}[5m]))"),
                    Measure::Cores,
                ),
            ]
        }
        "Deployment" | "StatefulSet" | "DaemonSet" => {
            let of = format!(
                "namespace=\"{namespace}\",pod=~\"{}-.*\",container!=\"\"",
                escape(&regex_escape(&entity.name))
            );
            vec![
                course(
                    format!("the memory of {entity}"),
                    format!("sum(container_memory_working_set_bytes{{{of}}})"),
                    Measure::Bytes,
                ),
                course(
                    format!("the CPU of {entity}"),
                    format!("sum(rate(container_cpu_usage_seconds_total{{{of}}}[5m]))"),
                    Measure::Cores,
                ),
            ]
        }
        "Node" => {
            let of = format!("node=\"{name}\",container!=\"\"");
            vec![
                course(
                    format!("the memory of the Pods on {entity}"),
                    format!("sum(container_memory_working_set_bytes{{{of}}})"),
                    Measure::Bytes,
                ),
                course(
                    format!("the CPU of the Pods on {entity}"),
                    format!("sum(rate(container_cpu_usage_seconds_total{{{of}}}[5m]))"),
                    Measure::Cores,
                ),
            ]
        }
        "Host" => {
            let of = host(&entity.name);
            let memory = format!("1 - node_memory_MemAvailable_bytes{{{of}}} / node_memory_MemTotal_bytes{{{of}}}");
            let busy = format!("sum(rate(node_cpu_seconds_total{{{of},mode!=\"idle\"}}[5m]))");
            vec![
                course(format!("the used memory of {entity}"), memory, Measure::Part),
                course(format!("the CPU of {entity}"), busy, Measure::Cores),
            ]
        }
        _ => vec![],
    }
}

/// Series of one host, whichever port its exporter has.
fn host(name: &str) -> String {
    let bare = name.rsplit_once(':').map_or(name, |(bare, port)| if port.parse::<u16>().is_ok() { bare } else { name });
    format!("instance=~\"{}(:[0-9]+)?\"", escape(&regex_escape(bare)))
}

fn takers(entity: &Entity) -> Vec<Takers> {
    if entity.kind == "Host" {
        let of = host(&entity.name);
        let fullest = |what: &str, left: &str, all: &str| Takers {
            what: format!("the file systems of {entity} with the most used {what}"),
            promql: format!("topk(10, 1 - {left}{{{of}}} / {all}{{{of}}})"),
            label: "mountpoint",
            measure: Measure::Part,
        };
        return vec![
            fullest("room", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"),
            fullest("inodes", "node_filesystem_files_free", "node_filesystem_files"),
        ];
    }
    let (place, of) = match (entity.kind.as_str(), entity.namespace.as_str()) {
        ("Node", _) => (format!("on {entity}"), format!("node=\"{}\",container!=\"\"", escape(&entity.name))),
        (_, "") => return vec![],
        (_, namespace) => (format!("in {namespace}"), format!("namespace=\"{}\",container!=\"\"", escape(namespace))),
    };
    let pods = |what: &str, promql: String, measure| Takers {
        what: format!("the Pods {place} that take most {what}"),
        promql,
        label: "pod",
        measure,
    };
    let mut all = vec![
        pods("memory", format!("topk(10, sum by (pod) (container_memory_working_set_bytes{{{of}}}))"), Measure::Bytes),
        pods(
            "CPU",
            format!("topk(10, sum by (pod) (rate(container_cpu_usage_seconds_total{{{of}}}[5m])))"),
            Measure::Cores,
        ),
    ];
    if !entity.namespace.is_empty() {
        let of = format!("{{namespace=\"{}\"}}", escape(&entity.namespace));
        all.push(Takers {
            what: format!("the volumes {place} that hold most"),
            promql: format!("topk(10, kubelet_volume_stats_used_bytes{of})"),
            label: "persistentvolumeclaim",
            measure: Measure::Bytes,
        });
    }
    all
}

fn over_time(snapshot: &Snapshot, course: &Course, minutes: u32, window: &str) -> Option<Detail> {
    let series = snapshot.series.iter().find(|s| s.minutes == minutes && s.promql == course.promql)?;
    let (first, last) = (series.points.first()?, series.points.last()?);
    let covered_h = (last.0 - first.0) / 3_600.0;
    if covered_h <= 0.0 {
        return None;
    }
    let told = |value| course.measure.told(value);
    let grown = last.1 - first.1;
    let way = if grown >= 0.0 { "more" } else { "less" };
    let mut text =
        format!("{}: {} now, {} {way} than {} ago", course.what, told(last.1), told(grown.abs()), hours(covered_h));
    if let Some(slope) = series.slope_per_hour(covered_h).filter(|slope| slope.abs() > f64::EPSILON) {
        text.push_str(&format!("; over the last {window} {} an hour", signed(course.measure, slope)));
    }
    Some(detail(text, series))
}

fn signed(measure: Measure, slope: f64) -> String {
    let sign = if slope < 0.0 { "-" } else { "+" };
    format!("{sign}{}", measure.told(slope.abs()))
}

fn most(snapshot: &Snapshot, takers: &Takers) -> Option<Detail> {
    let mut found: Vec<&Series> =
        snapshot.series.iter().filter(|s| s.minutes == 0 && s.promql == takers.promql).collect();
    found.sort_by(|a, b| b.last().unwrap_or(0.0).total_cmp(&a.last().unwrap_or(0.0)));
    let first = *found.first()?;
    let name = |s: &&Series| {
        let label = s.labels.get(takers.label).map_or("unnamed", String::as_str);
        format!("{} {}", clip(label, 80), takers.measure.told(s.last().unwrap_or(0.0)))
    };
    let names: Vec<String> = found.iter().map(name).collect();
    Some(detail(format!("{}: {}", takers.what, some_of(&names, SHOWN)), first))
}

fn detail(text: String, series: &Series) -> Detail {
    Detail { text, evidence_ids: vec![series.evidence.clone()] }
}

fn unmeasured(what: &str) -> Detail {
    Detail { text: format!("{what}: not measured"), evidence_ids: vec![] }
}

/// Names of workloads have nothing but dots that a pattern would read otherwise.
fn regex_escape(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Seen;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    fn seen(id: &str, need: Need, data: Value) -> Seen {
        Seen { id: id.into(), need, at: Timestamp::from_second(1_800_000_000).unwrap(), outcome: Ok(data) }
    }

    fn claim() -> Entity {
        Entity::new("PersistentVolumeClaim", "lab", "data-graph-0")
    }

    #[test]
    fn growth_and_the_largest_are_told_with_their_evidence_and_so_is_what_is_missing() {
        let used = courses(&claim()).remove(0).promql;
        let gib = 1_073_741_824.0;
        let values: Vec<Value> = (0..=24)
            .map(|h| json!([1_800_000_000 + h * 3_600, ((10.0 + 0.25 * f64::from(h)) * gib).to_string()]))
            .collect();
        let range = json!({"result": [{"metric": {}, "values": values}]});
        let volumes = takers(&claim()).remove(2).promql;
        let top = json!({"result": [
            {"metric": {"persistentvolumeclaim": "small"}, "value": [1_800_000_000, "1073741824"]},
            {"metric": {"persistentvolumeclaim": "data-graph-0"}, "value": [1_800_000_000, (16.0 * gib).to_string()]},
        ]});
        let all = [
            seen("E7", Need::Range { promql: used, minutes: 1_440 }, range),
            seen("E8", Need::Query { promql: volumes }, top),
        ];
        let closer = [claim()];
        let case = Case {
            events: &[],
            now: Timestamp::UNIX_EPOCH,
            seen: &all,
            calls_left: 9,
            kubernetes: true,
            prometheus: true,
            runbook: None,
            closer: &closer,
        };
        let told = details(&case, &Snapshot::of(&all));
        let shown: Vec<String> = told.iter().map(|d| format!("{} {:?}", d.text, d.evidence_ids)).collect();
        insta::assert_snapshot!(shown.join("\n"));
        assert!(details(&Case { closer: &[], ..case }, &Snapshot::of(&all)).is_empty());
    }

    #[test]
    fn names_end_no_quotation_and_what_is_asked_is_bounded() {
        let evil = Entity::new("Deployment", "a\"} or vector(1) #", "b\".*");
        for need in needs(&Case {
            events: &[],
            now: Timestamp::UNIX_EPOCH,
            seen: &[],
            calls_left: 9,
            kubernetes: false,
            prometheus: true,
            runbook: None,
            closer: &[evil],
        }) {
            let (Need::Range { promql, .. } | Need::Query { promql }) = need else { panic!("only metrics") };
            assert!(promql_parser::parser::parse(&promql).is_ok(), "{promql}");
            assert!(!promql.contains("a\"}"), "{promql}");
        }
        for kind in ["PersistentVolumeClaim", "Pod", "Deployment", "Node", "Host"] {
            let look = closer_look(&Entity::new(kind, if matches!(kind, "Node" | "Host") { "" } else { "lab" }, "x"));
            assert!((2..=5).contains(&look.len()), "{kind}: {look:?}");
        }
    }
}
