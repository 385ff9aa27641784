//! When a step of a causal chain happened, as far as the evidence says; a cause comes first.

use super::figures::Figures;
use super::names::occurs;
use super::submit::ModelStep;
use crate::domain::{Analysis, Entity};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// Two stated times differ by this much in one moment: minutes are written, seconds left out.
const STATED_S: i64 = 60;
/// Times of events and of sampled states differ by about this much, as in the deterministic chain.
const SEEN_S: i64 = 300;

/// Between these two moments, in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Onset {
    earliest: i64,
    latest: i64,
    /// The step itself says the time, and the evidence holds it.
    stated: bool,
}

impl Onset {
    /// When `step` happened: the times that its sentence names, else what our findings and our
    /// timeline say of its entity in the evidence that it cites. `cited` is that evidence.
    pub fn of(step: &ModelStep, cited: &[&Figures], ours: &Analysis) -> Option<Self> {
        let around = |times: Vec<i64>, stated| {
            let (earliest, latest) = (*times.iter().min()?, *times.iter().max()?);
            Some(Self { earliest, latest, stated })
        };
        let rests = |ids: &[String]| ids.iter().any(|id| step.evidence_ids.contains(id));
        let explained = ours.hypotheses.iter().flat_map(|h| std::iter::once(&h.finding).chain(&h.explains));
        let findings = ours.findings.iter().chain(explained);
        let found = findings.filter(|f| same(&f.entity, &step.entity) && rests(&f.evidence)).filter_map(|f| f.onset);
        let noted = ours.timeline.iter().filter(|item| {
            rests(std::slice::from_ref(&item.evidence_id)) && occurs(&item.text.to_lowercase(), &step.entity.name)
        });
        around(stated(&step.event, cited), true)
            .or_else(|| around(found.map(|at| at.as_second()).collect(), false))
            .or_else(|| around(noted.map(|item| item.at.as_second()).collect(), false))
    }

    /// When it began, at the earliest that the evidence says.
    pub fn moment(self) -> Option<Timestamp> {
        Timestamp::from_second(self.earliest).ok()
    }

    /// Whether this certainly began before `cause` did.
    pub fn precedes(self, cause: Self) -> bool {
        let tolerance = if self.stated && cause.stated { STATED_S } else { SEEN_S };
        self.latest.saturating_add(tolerance) < cause.earliest
    }

    /// The later of two, by their earliest moments.
    pub fn later(self, other: Self) -> Self {
        if other.earliest > self.earliest { other } else { self }
    }
}

fn same(a: &Entity, b: &Entity) -> bool {
    let place = a.namespace.is_empty() || b.namespace.is_empty() || a.namespace == b.namespace;
    a.name.eq_ignore_ascii_case(&b.name) && place
}

/// The moments that `sentence` names. A time without a date is looked up in `cited`.
fn stated(sentence: &str, cited: &[&Figures]) -> Vec<i64> {
    let sentence = sentence.to_lowercase();
    let mut times: Vec<i64> = moments(&sentence).into_iter().map(|moment| moment.unix).collect();
    if times.is_empty() {
        let clock = times_of_day(&sentence);
        let seen = cited.iter().flat_map(|text| moments(text.text()));
        times.extend(seen.filter(|moment| clock.contains(&moment.clock)).map(|moment| moment.unix));
    }
    times
}

/// A moment and its hour and minute as written.
struct Moment {
    unix: i64,
    clock: (i8, i8),
}

/// Dates with times in `text` (lower case); UTC unless an offset follows.
fn moments(text: &str) -> Vec<Moment> {
    let bytes = text.as_bytes();
    let number = |from: usize, length: usize| -> Option<i16> {
        let part = bytes.get(from..from + length)?;
        part.iter().all(u8::is_ascii_digit).then(|| part.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0')))
    };
    let small = |from: usize| number(from, 2).and_then(|n| i8::try_from(n).ok());
    let is = |at: usize, any: &[u8]| bytes.get(at).is_some_and(|b| any.contains(b));
    let mut found = vec![];
    let mut at = 0;
    while at + 16 <= bytes.len() {
        let shaped = is(at + 4, b"-") && is(at + 7, b"-") && is(at + 10, b"t ") && is(at + 13, b":");
        let starts = shaped && (at == 0 || !bytes[at - 1].is_ascii_digit());
        let read = || -> Option<(Moment, usize)> {
            let (hour, minute) = (small(at + 11)?, small(at + 14)?);
            let second = if is(at + 16, b":") { small(at + 17) } else { None };
            let date =
                DateTime::new(number(at, 4)?, small(at + 5)?, small(at + 8)?, hour, minute, second.unwrap_or(0), 0);
            let mut end = if second.is_some() { at + 19 } else { at + 16 };
            if is(end, b".") {
                end += 1 + bytes[end + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
            }
            let offset = match is(end, b"+-") && is(end + 3, b":") {
                true => {
                    let seconds = i32::from(small(end + 1)?) * 3_600 + i32::from(small(end + 4)?) * 60;
                    Offset::from_seconds(if is(end, b"-") { -seconds } else { seconds }).ok()?
                }
                false => Offset::UTC,
            };
            let zoned = date.ok()?.to_zoned(TimeZone::fixed(offset)).ok()?;
            Some((Moment { unix: zoned.timestamp().as_second(), clock: (hour, minute) }, end))
        };
        match starts.then(read).flatten() {
            Some((moment, end)) => {
                found.push(moment);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// Hours and minutes in `sentence`.
fn times_of_day(sentence: &str) -> Vec<(i8, i8)> {
    let words = sentence.split(|c: char| !(c.is_ascii_digit() || c == ':'));
    let clock = words.filter_map(|word| {
        let mut parts = word.split(':');
        let (hour, minute) = (parts.next()?, parts.next()?);
        let fits = matches!(hour.len(), 1 | 2) && minute.len() == 2;
        fits.then(|| Some((hour.parse().ok()?, minute.parse().ok()?))).flatten()
    });
    clock.filter(|(hour, minute): &(i8, i8)| *hour < 24 && *minute < 60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_utc() {
        let unix = |text: &str| moments(&text.to_lowercase()).iter().map(|m| m.unix).collect::<Vec<_>>();
        let at: i64 = "2025-11-20T10:42:13Z".parse::<jiff::Timestamp>().unwrap().as_second();
        for (text, times) in [
            ("at 2025-11-20T10:42:13Z", vec![at]),
            ("at 2025-11-20 10:42:13 UTC", vec![at]),
            ("\"2025-11-20T12:42:13.123+02:00\"", vec![at]),
            ("2025-11-20T10:42", vec![at - 13]),
            ("2025-13-40T10:42:13Z", vec![]),
            ("2025-11-20", vec![]),
            ("äöü 2025-11-20T10:42:13Z and 2025-11-20T10:42:14Z", vec![at, at + 1]),
        ] {
            assert_eq!(unix(text), times, "{text}");
        }
        assert_eq!(times_of_day("at 10:42 UTC, 9:05:07, 25:00, 1:234"), [(10, 42), (9, 5)]);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let _ = (moments(&text), times_of_day(&text));
        }
    }
}
