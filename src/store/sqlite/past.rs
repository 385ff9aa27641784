//! What happened before, counted by the indexes over alerts and changes.

use super::{SqliteStore, StoreError, unavailable};
use crate::store::past::{AFTERMATH, Episode, Fared, HOLDS_FOR, MOST_EPISODES, Past, REMEMBERED, times_down};
use jiff::{SignedDuration, Timestamp};

/// Changes that tried to mend something and were not refused.
const MENDING: &str = "effect IN ('write', 'destroy') AND made IS NOT 0";
/// Alerts that fired; what was known as ended from the beginning never did.
const FIRED: &str = "fate IN ('opened', 'merged')";
/// A change `d` was made, and what it was made against went down again: `?4` and `?5` bound the time.
const WENT_DOWN_AGAIN: &str = "(d.made = 1 AND EXISTS (SELECT 1 FROM events e WHERE e.thing = d.thing AND e.down = 1 \
     AND e.fate IN ('opened', 'merged') AND e.received_us > d.started_us + ?4 AND e.received_us <= d.started_us + ?5))";

fn ago(now: Timestamp, time: SignedDuration) -> i64 {
    now.checked_sub(time).unwrap_or(Timestamp::MIN).as_microsecond()
}

fn micros(time: SignedDuration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

impl SqliteStore {
    pub(super) async fn read_past(
        &self,
        thing: &str,
        window: SignedDuration,
        now: Timestamp,
    ) -> Result<Past, StoreError> {
        let failed = unavailable(&self.path, "count what happened before");
        let (hour, day) = (SignedDuration::from_hours(1), SignedDuration::from_hours(24));
        let sql = format!(
            "SELECT \
               (SELECT count(*) FROM events WHERE thing = ?1 AND received_us > ?2 AND {FIRED}), \
               (SELECT count(*) FROM events WHERE thing = ?1 AND received_us > ?3 AND {FIRED}), \
               (SELECT count(DISTINCT investigation) FROM events WHERE thing = ?1 AND received_us > ?3 AND {FIRED}), \
               (SELECT count(*) FROM deeds WHERE thing = ?1 AND started_us > ?3 AND {MENDING}), \
               (SELECT count(*) FROM deeds d WHERE thing = ?1 AND started_us > ?3 AND {MENDING} \
                  AND (d.helped = 0 OR {WENT_DOWN_AGAIN})), \
               (SELECT max(started_us) FROM deeds WHERE thing = ?1 AND {MENDING})"
        );
        let row: (i64, i64, i64, i64, i64, Option<i64>) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(thing)
            .bind(ago(now, hour))
            .bind(ago(now, day))
            .bind(micros(AFTERMATH))
            .bind(micros(HOLDS_FOR))
            .fetch_one(&self.readers)
            .await
            .map_err(&failed)?;
        let sql = format!(
            "SELECT source || '/' || fingerprint, received_us, ended_us FROM events \
             WHERE thing = ? AND received_us > ? AND down = 1 AND {FIRED} ORDER BY received_us DESC LIMIT ?"
        );
        let told: Vec<(String, i64, Option<i64>)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(thing)
            .bind(ago(now, window))
            .bind(i64::from(MOST_EPISODES))
            .fetch_all(&self.readers)
            .await
            .map_err(&failed)?;
        let episode = |(alert, began_us, ended_us)| Episode { alert, began_us, ended_us };
        let episodes: Vec<Episode> = told.into_iter().rev().map(episode).collect();
        Ok(Past {
            firings_1h: count(row.0),
            firings_24h: count(row.1),
            down_events: times_down(&episodes),
            investigations_24h: count(row.2),
            actions_24h: count(row.3),
            failed_actions_24h: count(row.4),
            last_action: row.5.and_then(|us| Timestamp::from_microsecond(us).ok()),
        })
    }

    pub(super) async fn read_fared(&self, alert: &str, now: Timestamp) -> Result<Fared, StoreError> {
        let sql = format!(
            "SELECT \
               (SELECT count(*) FROM deeds d WHERE alert = ?1 AND started_us > ?2 AND started_us <= ?3 AND {MENDING} \
                  AND d.helped = 1 AND NOT {WENT_DOWN_AGAIN}), \
               (SELECT count(*) FROM deeds d WHERE alert = ?1 AND started_us > ?2 AND started_us <= ?3 AND {MENDING} \
                  AND (d.helped = 0 OR {WENT_DOWN_AGAIN})), \
               (SELECT count(*) FROM approvals a JOIN investigations i ON i.id = a.investigation \
                 WHERE a.state = 'denied' AND a.requested_us > ?2 AND i.alert = ?1)"
        );
        let row: (i64, i64, i64) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(alert)
            .bind(ago(now, REMEMBERED))
            .bind(now.as_microsecond())
            .bind(micros(AFTERMATH))
            .bind(micros(HOLDS_FOR))
            .fetch_one(&self.readers)
            .await
            .map_err(unavailable(&self.path, "count how changes fared"))?;
        Ok(Fared { verified: count(row.0), recurred: count(row.1), rejected: count(row.2) })
    }
}
