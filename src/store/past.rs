//! What happened before, as policy counts it: over all investigations and all replicas, and a restart
//! forgets none of it.

use jiff::{SignedDuration, Timestamp};

/// What fires within this time of a change may be what the change itself stirred up.
pub(crate) const AFTERMATH: SignedDuration = SignedDuration::from_mins(5);
/// What fires again within this time of a change was not mended by it.
pub(crate) const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How far back changes are told of.
pub(crate) const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Episodes that one count looks at, the newest: many more than any threshold.
pub(crate) const MOST_EPISODES: u32 = 500;

/// What happened to one thing. The alert that asks is among it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Past {
    /// Episodes of alerts in the last hour.
    pub firings_1h: u64,
    /// Episodes of alerts in the last day.
    pub firings_24h: u64,
    /// How often it went down within the window.
    pub down_events: u64,
    /// Investigations with alerts of the last day.
    pub investigations_24h: u64,
    /// Changes that those began in the last day to mend it.
    pub actions_24h: u64,
    /// Those of them that did not hold: they were seen to fail, or it went down again within a day.
    pub failed_actions_24h: u64,
    /// When the last one was begun.
    pub last_action: Option<Timestamp>,
}

/// How changes fared against alerts of one name in the last 90 days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fared {
    /// They were watched and held, and it did not go down again within a day.
    pub verified: u64,
    /// They did not hold.
    pub recurred: u64,
    /// A person refused them.
    pub rejected: u64,
}

/// One time that an alert said that something is down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Episode {
    /// Whose: source and fingerprint.
    pub(crate) alert: String,
    /// When it was received, in microseconds.
    pub(crate) began_us: i64,
    /// When its end was.
    pub(crate) ended_us: Option<i64>,
}

/// How often a thing went down, by its episodes in the order of their beginnings. Alerts that overlap tell
/// of the same time. One alert that comes again was over in between, whoever else still fires.
pub(crate) fn times_down(episodes: &[Episode]) -> u64 {
    let (mut apart, mut most) = (0, 0);
    let mut down_until = i64::MIN;
    for (n, episode) in episodes.iter().enumerate() {
        let again = || episodes.iter().skip(n + 1).filter(|later| later.alert == episode.alert);
        let next = again().next().map_or(i64::MAX, |later| later.began_us);
        apart += u64::from(episode.began_us >= down_until);
        down_until = down_until.max(episode.ended_us.unwrap_or(i64::MAX).min(next));
        most = most.max(1 + again().count() as u64);
    }
    most.max(apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_is_once_and_what_comes_again_is_twice() {
        type Told<'a> = (&'a str, i64, Option<i64>);
        let table: &[(&[Told<'_>], u64)] = &[
            (&[], 0),
            (&[("a", 0, None)], 1),
            // Several alerts tell of one time.
            (&[("a", 0, Some(9)), ("b", 1, Some(8)), ("c", 2, None)], 1),
            (&[("a", 5, None), ("b", 5, None)], 1),
            // Other Pods of the same workload, one after the other.
            (&[("a", 0, Some(3)), ("b", 4, Some(6)), ("c", 7, None)], 3),
            // Nobody said that it was over, and it came again.
            (&[("a", 0, None), ("a", 10, None), ("a", 20, None)], 3),
            // Something else fires all the time.
            (&[("x", 0, None), ("a", 1, Some(2)), ("a", 3, Some(4)), ("a", 5, Some(6))], 3),
            (&[("x", 0, None), ("a", 1, Some(2)), ("b", 3, Some(4))], 1),
        ];
        for (told, expected) in table {
            let episode = |(alert, began_us, ended_us): &Told<'_>| Episode {
                alert: (*alert).to_owned(),
                began_us: *began_us,
                ended_us: *ended_us,
            };
            let episodes: Vec<Episode> = told.iter().map(episode).collect();
            assert_eq!(times_down(&episodes), *expected, "{told:?}");
        }
    }
}
