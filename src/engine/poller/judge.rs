//! What a poll means; pure.

use crate::domain::{Digest, SreEvent};
use crate::sources::alertmanager::api::Standing;
use crate::store::Noted;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An Alertmanager that has just started knows of no alert until Prometheus has told it again, which by
/// default is a minute. What it does not tell within this time may fire still. It counts from when it was first
/// seen, by our clock.
pub const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// Longest wait after the first poll that failed; each further one waits twice as long, up to the interval.
const AGAIN: Duration = Duration::from_secs(5);
/// Most Alertmanagers that one address has had, and that are remembered: one after the other, or several replicas.
const SIGHTED: usize = 8;

/// One alert of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its delivery key.
    pub delivery: Digest,
    /// How it stands there.
    pub standing: Standing,
    /// Its severity is asked for.
    pub is_wanted: bool,
}

/// An answer, and the circumstances.
#[derive(Debug)]
pub struct Poll<'a> {
    /// All alerts that could be read.
    pub seen: &'a [Seen],
    /// None is missing: nothing was cut off, and everything could be read.
    pub is_complete: bool,
    /// What was asked, and whom.
    pub question: &'a Digest,
    /// Since when the Alertmanager that told runs, where it says so.
    pub server: Option<Timestamp>,
    /// It was asked since when it runs, and failed to answer.
    pub is_server_lost: bool,
    /// When that one was seen first.
    pub sighted: Timestamp,
    /// The present moment.
    pub now: Timestamp,
}

/// What follows from an answer.
#[derive(Debug, Default, PartialEq)]
pub struct Judged {
    /// To be noted as told.
    pub note: Vec<Digest>,
    /// To be taken in, by their places in the answer: they fire, are asked for, and are not known.
    pub take: Vec<usize>,
    /// Over: told by an earlier poll, and not any more.
    pub over: Vec<SreEvent>,
    /// To be noted no more.
    pub forget: Vec<Digest>,
    /// Not told any more, by an Alertmanager that has just started.
    pub waiting: usize,
    /// It is not known whether the one that told is the one that told before: nothing is over.
    pub is_doubtful: bool,
}

/// The Alertmanagers that answered, by their starts, and when each was seen first. Kept in memory: after our own
/// restart, one that differs from the noted one is given its time anew.
#[derive(Debug, Default)]
pub struct Sightings(BTreeMap<Timestamp, Timestamp>);

impl Sightings {
    /// When the one that runs since `server` was seen first; `now` if never before.
    pub fn of(&mut self, server: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let Some(server) = server else { return now };
        let first = *self.0.entry(server).or_insert(now);
        while self.0.len() > SIGHTED {
            let oldest = self.0.iter().filter(|(other, _)| **other != server).min_by_key(|(_, first)| **first);
            let Some(oldest) = oldest.map(|(other, _)| *other) else { break };
            self.0.remove(&oldest);
        }
        first
    }
}

impl Poll<'_> {
    /// Compares the answer with what was noted before.
    pub fn judge(&self, noted: &[Noted]) -> Judged {
        let before: BTreeMap<&Digest, &Noted> = noted.iter().map(|noted| (&noted.delivery, noted)).collect();
        let told: BTreeSet<&Digest> = self.seen.iter().map(|seen| &seen.delivery).collect();
        let mut judged = Judged::default();
        for (place, seen) in self.seen.iter().enumerate() {
            let known = before.get(&seen.delivery);
            let fires = seen.standing == Standing::Active && seen.is_wanted;
            // Who does not say who he is leaves the note of who it was.
            let is_same = |noted: &Noted| self.server.is_none() || noted.server == self.server;
            let is_old_news = |noted: &&Noted| noted.question == *self.question && is_same(noted);
            // What is silenced meanwhile is told still.
            if (fires || known.is_some()) && !known.is_some_and(is_old_news) {
                judged.note.push(seen.delivery.clone());
            }
            // What a poll ended, and is told still, was ended wrongly: Alertmanager had not heard of it for a while.
            if fires && !known.is_some_and(|noted| noted.is_kept && !noted.ended_by_poll) {
                judged.take.push(place);
            }
        }
        judged.is_doubtful = self.is_server_lost && noted.iter().any(|noted| noted.server.is_some());
        if !self.is_complete || judged.is_doubtful {
            return judged;
        }
        for gone in noted.iter().filter(|noted| !told.contains(&noted.delivery)) {
            // Another question says nothing of it.
            let was_asked = gone.question == *self.question;
            if was_asked && self.has_just_started(gone) {
                judged.waiting += 1;
                continue;
            }
            judged.forget.push(gone.delivery.clone());
            if was_asked && !gone.told_to_others {
                judged.over.extend(gone.firing.clone());
            }
        }
        judged
    }

    /// The one that told of it has ended, and the one that tells now is young.
    fn has_just_started(&self, gone: &Noted) -> bool {
        let is_another = self.server.is_some_and(|server| gone.server != Some(server));
        is_another && self.sighted.saturating_add(GRACE).is_ok_and(|grown| self.now < grown)
    }
}

/// How long to wait for the next poll, after so many that failed in a row. `dice` spreads pollers that began
/// together, a tenth of the time to either side.
pub fn pause(every: Duration, failures: u32, dice: u16) -> Duration {
    let base = match failures.checked_sub(1) {
        None => every,
        Some(before) => every.min(AGAIN.saturating_mul(2_u32.saturating_pow(before.min(20)))),
    };
    base.mul_f64(0.9 + 0.2 * f64::from(dice) / f64::from(u16::MAX))
}

/// Whether a poll went as the one before; each change is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fared {
    /// It was complete.
    Well,
    /// It was not: what was told was taken in, and nothing is over.
    Partly {
        /// There were too many.
        is_cut: bool,
        /// Some made no sense.
        is_unreadable: bool,
        /// It was not known who told.
        is_doubtful: bool,
    },
    /// It failed. The kind of the failure, not its words.
    Badly(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::routes::tests::event;
    use proptest::prelude::*;

    const START: i64 = 1_800_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn key(name: &str) -> Digest {
        Digest::of(name)
    }

    fn question() -> Digest {
        Digest::of("question")
    }

    fn seen(name: &str, standing: Standing) -> Seen {
        Seen { delivery: key(name), standing, is_wanted: true }
    }

    /// Told under the usual question by a server that runs since the beginning, and firing.
    fn noted(name: &str) -> Noted {
        Noted {
            delivery: key(name),
            question: question(),
            server: Some(at(0)),
            is_kept: true,
            firing: Some(SreEvent { name: name.into(), ..event(&[]) }),
            ended_by_poll: false,
            told_to_others: false,
        }
    }

    /// One that is seen first when it starts.
    fn judged(seen: &[Seen], is_complete: bool, server: Option<i64>, now: i64, noted: &[Noted]) -> Judged {
        let (question, server) = (question(), server.map(at));
        let sighted = server.unwrap_or(at(now));
        let (question, is_server_lost, now) = (&question, false, at(now));
        Poll { seen, is_complete, question, server, is_server_lost, sighted, now }.judge(noted)
    }

    fn names(over: &[SreEvent]) -> Vec<&str> {
        over.iter().map(|event| event.name.as_str()).collect()
    }

    #[test]
    fn what_is_new_and_fires_is_noted_and_taken_in_and_nothing_else_is() {
        let told = [
            seen("new", Standing::Active),
            seen("old", Standing::Active),
            seen("silenced", Standing::Held),
            Seen { is_wanted: false, ..seen("quiet", Standing::Active) },
            seen("lost", Standing::Active),
        ];
        // Noted, and then the process died before it was taken in.
        let lost = Noted { is_kept: false, firing: None, ..noted("lost") };
        let found = judged(&told, true, Some(0), 900, &[noted("old"), lost]);
        assert_eq!((found.note, found.take), (vec![key("new")], vec![0, 4]));
        assert_eq!((found.over, found.forget, found.waiting), (vec![], vec![], 0));
    }

    #[test]
    fn what_a_poll_ended_and_is_told_still_is_taken_in_again_and_what_its_sender_ended_is_not() {
        for (is_kept, fires, ended_by_poll, standing, is_taken) in [
            (true, false, true, Standing::Active, true),
            (true, false, true, Standing::Held, false),
            (true, false, false, Standing::Active, false),
            (true, true, false, Standing::Active, false),
            (false, false, false, Standing::Active, true),
        ] {
            let before = noted("a");
            let firing = before.firing.clone().filter(|_| fires);
            let before = Noted { is_kept, firing, ended_by_poll, ..before };
            let found = judged(&[seen("a", standing)], true, Some(0), 900, &[before]);
            assert_eq!(found.take.len(), usize::from(is_taken), "{is_kept} {fires} {ended_by_poll} {standing:?}");
            assert_eq!((found.note, found.over, found.forget), (vec![], vec![], vec![]));
        }
    }

    #[test]
    fn who_does_not_say_who_he_is_ends_nothing_that_a_known_one_told() {
        let (question, now) = (question(), at(900));
        let lost = |is_server_lost, seen: &[Seen], before: &[Noted]| {
            let question = &question;
            Poll { seen, is_complete: true, question, server: None, is_server_lost, sighted: now, now }.judge(before)
        };
        let unsaid = Noted { server: None, ..noted("unsaid") };
        let found = lost(true, &[], &[noted("a"), unsaid.clone()]);
        assert_eq!((found.over, found.forget, found.is_doubtful), (vec![], vec![], true));
        // What it tells is taken in, and the note of who told before stays.
        let told = [seen("a", Standing::Active), seen("new", Standing::Active)];
        let found = lost(true, &told, &[noted("a")]);
        assert_eq!((found.note, found.take), (vec![key("new")], vec![1]));
        // None ever said so, or this one says nothing of it: it is taken at its word.
        assert_eq!(names(&lost(true, &[], std::slice::from_ref(&unsaid)).over), ["unsaid"]);
        assert_eq!(names(&lost(false, &[], &[noted("a")]).over), ["a"]);
    }

    #[test]
    fn each_alertmanager_is_seen_first_once_and_few_are_remembered() {
        let mut sightings = Sightings::default();
        assert_eq!(sightings.of(Some(at(0)), at(10)), at(10));
        assert_eq!(sightings.of(Some(at(5)), at(20)), at(20));
        assert_eq!(sightings.of(Some(at(0)), at(30)), at(10));
        assert_eq!(sightings.of(None, at(40)), at(40));
        for n in 0..100 {
            assert_eq!(sightings.of(Some(at(1000 + n)), at(100 + n)), at(100 + n));
            assert!(sightings.0.len() <= SIGHTED);
        }
    }

    #[test]
    fn what_is_not_told_any_more_is_over_and_what_is_silenced_is_not() {
        let before = [noted("gone"), noted("silenced"), noted("still")];
        let told = [seen("silenced", Standing::Held), seen("still", Standing::Active)];
        let found = judged(&told, true, Some(0), 900, &before);
        assert_eq!((names(&found.over), &found.forget), (vec!["gone"], &vec![key("gone")]));
        assert_eq!((&found.note, &found.take), (&vec![], &vec![]));
        // Nothing is told at all: all is over.
        assert_eq!(names(&judged(&[], true, Some(0), 900, &before).over), ["gone", "silenced", "still"]);
        // Something is missing in the answer: nothing is over, and nothing is forgotten.
        let found = judged(&[], false, Some(0), 900, &before);
        assert_eq!((found.over, found.forget), (vec![], vec![]));
    }

    #[test]
    fn over_is_only_what_this_question_had_told_and_nobody_tells_still() {
        let over = Noted { firing: None, ..noted("over already") };
        let other = Noted { question: Digest::of("other matchers"), ..noted("asked for no more") };
        let both = Noted { told_to_others: true, ..noted("told to another poller") };
        let found = judged(&[], true, Some(0), 900, &[over, other, both]);
        assert_eq!((found.over, found.forget.len()), (vec![], 3));
        // What is told under another question is noted under this one.
        let other = Noted { question: Digest::of("other matchers"), ..noted("a") };
        let found = judged(&[seen("a", Standing::Active)], true, Some(0), 900, &[other]);
        assert_eq!((found.note, found.take, found.forget), (vec![key("a")], vec![], vec![]));
    }

    #[test]
    fn an_alertmanager_that_has_just_started_ends_nothing_that_it_never_knew() {
        let grace = GRACE.as_secs();
        for (server, sighted, now, is_over) in [
            // It runs since before the alert was told.
            (Some(0), 1, 1, true),
            // It started at 1000.
            (Some(1000), 1000, 1001, false),
            (Some(1000), 1000, 1000 + grace - 1, false),
            (Some(1000), 1000, 1000 + grace, true),
            // It is seen late.
            (Some(1000), 2000, 2000, false),
            (Some(1000), 2000, 2000 + grace, true),
            // Its clock is ahead of ours, or behind it.
            (Some(9000), 990, 990, false),
            (Some(9000), 990, 990 + grace, true),
            (Some(-9000), 990, 990, false),
            // It does not say.
            (None, 1, 1, true),
        ] {
            let (question, server, sighted) = (question(), server.map(at), at(sighted));
            let (question, is_server_lost) = (&question, false);
            let poll = Poll { seen: &[], is_complete: true, question, server, is_server_lost, sighted, now: at(now) };
            let found = poll.judge(&[noted("a")]);
            assert_eq!((found.over.len(), found.forget.len()), (usize::from(is_over), usize::from(is_over)));
            assert_eq!(found.waiting, usize::from(!is_over), "{server:?} {now}");
        }
        // Told again by the new one, it is noted as told by that, and its end counts at once.
        let found = judged(&[seen("a", Standing::Active)], true, Some(1000), 1001, &[noted("a")]);
        assert_eq!((found.note, found.take), (vec![key("a")], vec![]));
        let again = Noted { server: Some(at(1000)), ..noted("a") };
        assert_eq!(judged(&[], true, Some(1000), 1002, &[again]).over.len(), 1);
    }

    #[test]
    fn polls_keep_their_interval_and_failed_ones_come_again_sooner() {
        let (minute, middle) = (Duration::from_secs(60), u16::MAX / 2);
        let close = |pause: Duration, seconds: f64| (pause.as_secs_f64() - seconds).abs() < 0.01;
        for (failures, seconds) in [(0, 60.0), (1, 5.0), (2, 10.0), (3, 20.0), (4, 40.0), (5, 60.0), (u32::MAX, 60.0)] {
            assert!(close(pause(minute, failures, middle), seconds), "{failures}");
        }
        assert!(close(pause(Duration::from_secs(1), 3, middle), 1.0));
        assert!(close(pause(minute, 0, 0), 54.0) && close(pause(minute, 0, u16::MAX), 66.0));
    }

    fn any_noted() -> impl Strategy<Value = Vec<Noted>> {
        let one = (0..12_u8, any::<bool>(), any::<bool>(), any::<bool>(), prop::option::of(0..2_i64));
        prop::collection::vec(one, 0..12).prop_map(|all| {
            let all: BTreeMap<u8, _> = all.into_iter().map(|one| (one.0, one)).collect();
            all.into_values()
                .map(|(name, same, fires, others, server)| {
                    let noted = noted(&name.to_string());
                    Noted {
                        question: if same { question() } else { Digest::of("other") },
                        firing: noted.firing.filter(|_| fires),
                        told_to_others: others,
                        server: server.map(|n| at(n * 1000)),
                        ..noted
                    }
                })
                .collect()
        })
    }

    fn any_seen() -> impl Strategy<Value = Vec<Seen>> {
        let standing = prop::sample::select(vec![Standing::Active, Standing::Held]);
        prop::collection::vec((0..12_u8, standing, any::<bool>()), 0..12).prop_map(|all| {
            let all: BTreeMap<u8, _> = all.into_iter().map(|one| (one.0, one)).collect();
            all.into_values()
                .map(|(name, standing, is_wanted)| Seen { is_wanted, ..seen(&name.to_string(), standing) })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn nothing_that_is_told_is_ever_over_or_forgotten(
            told in any_seen(), before in any_noted(), complete in any::<bool>(), server in prop::option::of(0..2_i64),
        ) {
            let found = judged(&told, complete, server.map(|n| n * 1000), 1100, &before);
            let keys: BTreeSet<&Digest> = told.iter().map(|seen| &seen.delivery).collect();
            prop_assert!(found.forget.iter().all(|key| !keys.contains(key)));
            prop_assert!(found.over.iter().all(|event| !keys.contains(&key(&event.name))));
            prop_assert!(complete || found.over.is_empty() && found.forget.is_empty());
            prop_assert!(found.over.len() <= found.forget.len());
            // Each noted alert is told, forgotten, or waited for; without a whole answer it stays.
            let told_again = before.iter().filter(|noted| keys.contains(&noted.delivery)).count();
            if complete {
                prop_assert_eq!(told_again + found.forget.len() + found.waiting, before.len());
            }
            // Whatever is taken in was noted, now or before: its end will be known.
            let known: BTreeSet<&Digest> = before.iter().map(|noted| &noted.delivery).chain(&found.note).collect();
            prop_assert!(found.take.iter().all(|place| known.contains(&told[*place].delivery)));
        }
    }
}
