//! What kind of incident it is, as far as an alert's own words and its rhythm say.

use super::event::{Severity, SreEvent};
use super::risk::words;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

words! {
    /// The kind of an incident: each has its playbook. In the order of how little may be done about it.
    Class:
    /// Something does not work.
    ServiceDown = "service_down",
    /// It comes and goes: whatever is done to it feeds the flap.
    ServiceFlapping = "service_flapping",
    /// Something runs out.
    ResourcePressure = "resource_pressure",
}

/// So many times down within the window is flapping.
pub const FLAPS: usize = 3;
/// Alerts that count; more say the same.
const MOST: usize = 100;
/// The window of flapping.
pub const FLAP_WINDOW: SignedDuration = SignedDuration::from_mins(30);

/// Words of what runs out. Neighbouring words stand together, plurals count.
const PRESSURE: [&[&str]; 17] = [
    &["disk"],
    &["filesystem"],
    &["memory"],
    &["oom"],
    &["oomkilled"],
    &["cpu"],
    &["load", "average"],
    &["inode"],
    &["swap"],
    &["volume", "full"],
    &["volume", "filling"],
    &["volume", "usage"],
    &["pvc", "usage"],
    &["pvc", "full"],
    &["pvc", "filling"],
    &["no", "space"],
    &["quota"],
];

/// The class of an incident with these alerts, the opening one first. Nothing when its words say
/// nothing and its severity is below error.
pub fn classify(events: &[SreEvent]) -> Option<Class> {
    let opening = events.first()?;
    let events = &events[..events.len().min(MOST)];
    // What runs out does not flap.
    if events.iter().any(speaks_of_pressure) {
        return Some(Class::ResourcePressure);
    }
    if is_flapping(events) {
        return Some(Class::ServiceFlapping);
    }
    (opening.severity >= Severity::Error).then_some(Class::ServiceDown)
}

/// The alert says that something does not work: it is more than a hint, and nothing only runs out.
pub fn is_down(event: &SreEvent) -> bool {
    event.severity > Severity::Info && !speaks_of_pressure(event)
}

/// The alert says in so many words that something does not run, which its objects would show.
pub fn says_down(event: &SreEvent) -> bool {
    const WORDS: [&str; 9] =
        ["down", "stopped", "exited", "dead", "offline", "unavailable", "unreachable", "crashed", "died"];
    const BEFORE: [&str; 7] = ["is", "are", "was", "were", "has", "have", "went"];
    let is_said = |text: &str| {
        let words = words_of(text);
        let is = |at: usize| words.get(at).is_some_and(|word| WORDS.contains(&word.as_str()));
        let behind = |at: usize| words.get(at).is_some_and(|word| BEFORE.contains(&word.as_str()));
        // Elsewhere in a text it may be about anything: a queue of dead letters grows.
        let stands = (0..words.len()).any(|at| is(at) && (at + 1 == words.len() || (at > 0 && behind(at - 1))));
        // As Uptime Kuma has it.
        stands || text.contains("[DOWN]")
    };
    [event.name.as_str(), &event.title, &event.description].into_iter().any(is_said)
}

/// One alert began often within the window.
fn is_flapping(events: &[SreEvent]) -> bool {
    events.iter().any(|event| {
        let same = events.iter().filter(|other| other.fingerprint == event.fingerprint && other.source == event.source);
        let starts: BTreeSet<_> = same.map(|other| other.starts_at).filter(|at| *at >= event.starts_at).collect();
        let within = starts.iter().filter(|at| at.duration_since(event.starts_at) <= FLAP_WINDOW).count();
        within >= FLAPS
    })
}

/// Whether an alert that begins at `starts_at` comes and goes, where it began at `earlier` before: three
/// times within the window, and never quiet for a window since.
pub fn flaps(earlier: &[Timestamp], starts_at: Timestamp) -> bool {
    let mut starts: Vec<Timestamp> = earlier.iter().copied().filter(|at| *at < starts_at).collect();
    starts.push(starts_at);
    starts.sort_unstable();
    starts.dedup();
    let quiet = starts.windows(2).rposition(|pair| pair[1].duration_since(pair[0]) > FLAP_WINDOW);
    let run = starts.get(quiet.map_or(0, |before| before + 1)..).unwrap_or_default();
    run.windows(FLAPS).any(|run| run[FLAPS - 1].duration_since(run[0]) <= FLAP_WINDOW)
}

fn speaks_of_pressure(event: &SreEvent) -> bool {
    let texts = [event.name.as_str(), &event.title, &event.description];
    texts.into_iter().any(|text| {
        let words = words_of(text);
        PRESSURE.iter().any(|marker| {
            let fits = |window: &[String]| window.iter().zip(*marker).all(|(word, wanted)| is_word(word, wanted));
            words.windows(marker.len()).any(fits)
        })
    })
}

/// The word itself or its plural.
fn is_word(word: &str, wanted: &str) -> bool {
    word == wanted || word.strip_suffix('s') == Some(wanted)
}

/// `PVCUsageHigh` is `pvc usage high`.
fn words_of(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().take(2_000).collect();
    let mut words: Vec<String> = vec![];
    let mut word = String::new();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let humps = c.is_uppercase()
            && (before.is_some_and(|b| b.is_lowercase())
                || (before.is_some_and(|b| b.is_uppercase()) && after.is_some_and(|a| a.is_lowercase())));
        if (humps || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlertStatus, BlobRef, EventId, Resource, ResourceType};
    use uuid::Uuid;

    fn event(name: &str, text: &str, severity: Severity, start: i64) -> SreEvent {
        SreEvent {
            id: EventId::new(Uuid::from_u128(1)),
            source: "alertmanager".into(),
            fingerprint: name.into(),
            group_key: None,
            status: AlertStatus::Firing,
            severity,
            name: name.into(),
            subject: "s".into(),
            resource: Resource { kind: ResourceType::Unknown, id: String::new(), namespace: None, cluster: None },
            title: name.into(),
            description: text.into(),
            labels: Default::default(),
            annotations: Default::default(),
            starts_at: Timestamp::from_second(start).unwrap(),
            ends_at: None,
            received_at: Timestamp::UNIX_EPOCH,
            links: vec![],
            raw: BlobRef::commit(&[0; 16], b""),
            raw_hmac: String::new(),
            via: None,
            ended_by: None,
        }
    }

    #[test]
    fn words_and_severity_give_the_class() {
        use {Class::*, Severity::*};
        for (name, text, severity, expected) in [
            ("PVCUsageHigh", "", Warning, Some(ResourcePressure)),
            ("KubePersistentVolumeFillingUp", "", Critical, Some(ResourcePressure)),
            ("NodeFilesystemAlmostOutOfSpace", "", Warning, Some(ResourcePressure)),
            ("HighCPU", "", Info, Some(ResourcePressure)),
            ("X", "no space left on device", Error, Some(ResourcePressure)),
            ("X", "the load average is 40", Warning, Some(ResourcePressure)),
            ("X", "2 inodes left", Warning, Some(ResourcePressure)),
            ("X", "diskette drive", Critical, Some(ServiceDown)),
            ("X", "in memoriam", Error, Some(ServiceDown)),
            ("KubePodCrashLooping", "", Warning, None),
            ("TargetDown", "", Critical, Some(ServiceDown)),
        ] {
            assert_eq!(classify(&[event(name, text, severity, 0)]), expected, "{name} {text}");
        }
        assert_eq!(classify(&[]), None);
    }

    #[test]
    fn three_times_down_within_the_window_is_flapping() {
        let at = |starts: &[i64]| {
            let events: Vec<_> = starts.iter().map(|s| event("TargetDown", "", Severity::Critical, *s)).collect();
            classify(&events)
        };
        assert_eq!(at(&[0, 600, 1800]), Some(Class::ServiceFlapping));
        assert_eq!(at(&[0, 600, 1801]), Some(Class::ServiceDown));
        assert_eq!(at(&[0, 600, 600]), Some(Class::ServiceDown), "a repeat is no further time");
        assert_eq!(at(&[0, 3600, 3700, 3800]), Some(Class::ServiceFlapping));
        let mut other = event("TargetDown", "", Severity::Critical, 900);
        other.fingerprint = "another".into();
        let events =
            [event("TargetDown", "", Severity::Critical, 0), event("TargetDown", "", Severity::Critical, 600), other];
        assert_eq!(classify(&events), Some(Class::ServiceDown), "two things, not one");
        let full: Vec<_> = [0, 600, 1200].iter().map(|s| event("DiskFull", "", Severity::Critical, *s)).collect();
        assert_eq!(classify(&full), Some(Class::ResourcePressure), "what runs out does not flap");
    }

    #[test]
    fn a05_flapping_begins_at_the_third_time_and_ends_with_a_quiet_window() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        for (earlier, starts_at, expected) in [
            (&[][..], 0, false),
            (&[0], 600, false),
            (&[0, 600], 1_200, true),
            (&[0, 600], 1_801, false),
            // Once it flaps, it does until nothing began for half an hour.
            (&[0, 600, 1_200], 2_900, true),
            (&[0, 600, 1_200], 3_001, false),
            // Every half hour is a rhythm, but no flapping.
            (&[0, 1_800, 3_600, 5_400], 7_200, false),
            // In whatever order they are known; what begins later counts for later ones.
            (&[600, 9_000, 0], 1_200, true),
            (&[600, 600, 600], 1_200, false),
        ] {
            let earlier: Vec<Timestamp> = earlier.iter().map(|second| at(*second)).collect();
            assert_eq!(flaps(&earlier, at(starts_at)), expected, "{earlier:?} {starts_at}");
        }
    }

    #[test]
    fn a_hint_and_what_runs_out_is_not_down() {
        use Severity::*;
        for (name, severity, down) in [
            ("KubePodCrashLooping", Warning, true),
            ("TargetDown", Critical, true),
            ("TargetDown", Info, false),
            ("NodeFilesystemAlmostOutOfSpace", Critical, false),
        ] {
            assert_eq!(is_down(&event(name, "", severity, 0)), down, "{name}");
        }
    }

    #[test]
    fn some_alerts_say_that_something_does_not_run() {
        for (name, text, says) in [
            ("caddy-mcp", "synthetic: caddy-mcp is down", true),
            ("vector-mcp", "[vector-mcp] [DOWN] connect ECONNREFUSED", true),
            ("TargetDown", "", true),
            ("HighErrorRate", "5 % of requests fail", false),
            ("Shutdowns", "", false),
            ("DeadLetterQueueGrowing", "the queue of dead letters has 9,000 messages", false),
            ("HighErrorRate", "unavailable payment provider slows checkout", false),
            ("Container", "api has exited with 137", true),
        ] {
            assert_eq!(says_down(&event(name, text, Severity::Critical, 0)), says, "{name}");
        }
    }

    #[test]
    fn names_are_split_at_their_humps() {
        assert_eq!(words_of("PVCUsageHigh"), ["pvc", "usage", "high"]);
        assert_eq!(words_of("kube_pod-OOMKilled 3x"), ["kube", "pod", "oom", "killed", "3x"]);
    }
}
