//! Who is worked on next.
//!
//! For each route that has work, each level of urgency is asked for the one that waits longest; of those
//! few the next one is chosen. So a claim costs the same however many wait: some routes, four levels.
//!
//! A route may be full. What was looked at and stands in line for it is then passed over. What nobody has
//! looked at since something arrived is claimed all the same, without a place: it may be CRITICAL, and
//! then people must hear of it now.

use super::chain::{micros, parse};
use super::{StoreError, unavailable};
use crate::store::{LONGEST_PARK, Lease, RoutePlaces};
use jiff::{SignedDuration, Timestamp};
use sqlx::SqliteConnection;
use std::path::Path;

/// What is one level less urgent goes first when it has waited so much longer: nothing waits for ever.
const AGING: SignedDuration = SignedDuration::from_mins(10);

/// The one that is next, with its route. `?1` to `?2`: when it is due; `?3`: now; `?4`: routes that are
/// full, as JSON; `?5`: [`AGING`] in microseconds.
pub(super) const NEXT: &str = "WITH RECURSIVE \
  routes (route) AS ( \
    SELECT min(route) FROM investigations WHERE wants_work = 1 \
    UNION ALL \
    SELECT (SELECT min(route) FROM investigations WHERE wants_work = 1 AND route > routes.route) \
      FROM routes WHERE routes.route IS NOT NULL), \
  lanes (in_line, urgency) AS (VALUES (0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)), \
  oldest (id) AS ( \
    SELECT (SELECT id FROM investigations WHERE wants_work = 1 AND route = routes.route \
              AND in_line = lanes.in_line AND urgency = lanes.urgency AND due_us BETWEEN ?1 AND ?2 \
              AND (lease_until_us IS NULL OR lease_until_us < ?3) ORDER BY due_us, id LIMIT 1) \
      FROM routes CROSS JOIN lanes WHERE routes.route IS NOT NULL \
        AND (lanes.in_line = 0 OR routes.route NOT IN (SELECT value FROM json_each(?4)))) \
  SELECT i.id, i.route FROM oldest JOIN investigations AS i ON i.id = oldest.id \
    ORDER BY i.due_us + i.urgency * ?5, i.id LIMIT 1";

/// Takes it for `owner` until `until`.
pub(super) async fn claim(
    tx: &mut SqliteConnection,
    path: &Path,
    places: &RoutePlaces,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let failed = unavailable(path, "claim work");
    let now_us = now.as_microsecond();
    let too_late_us = now_us.saturating_add(micros(LONGEST_PARK));
    // What is to be looked at, and what a clock that went back would leave waiting.
    let looks =
        "UPDATE investigations SET in_line = 0, look_us = NULL WHERE in_line = 1 AND (look_us <= ? OR look_us > ?)";
    sqlx::query(looks).bind(now_us).bind(too_late_us).execute(&mut *tx).await.map_err(&failed)?;
    let full = full(tx, path, places, now_us).await?;
    let full_json = serde_json::Value::from(full.clone()).to_string();
    let mut next: Option<(String, String)> = None;
    // First what is due, then what a clock that went back would leave waiting.
    for (from, to) in [(0, now_us), (too_late_us.saturating_add(1), i64::MAX)] {
        next = sqlx::query_as(NEXT)
            .bind(from)
            .bind(to)
            .bind(now_us)
            .bind(&full_json)
            .bind(micros(AGING))
            .fetch_optional(&mut *tx)
            .await
            .map_err(&failed)?;
        if next.is_some() {
            break;
        }
    }
    let Some((id, route)) = next else { return Ok(None) };
    let has_place = !full.contains(&route);
    let (epoch, attempts): (i64, i64) = sqlx::query_as(
        "UPDATE investigations SET owner = ?1, epoch = epoch + 1, attempts = attempts + 1, lease_until_us = ?2, \
           placed = ?4 WHERE id = ?3 RETURNING epoch, attempts",
    )
    .bind(owner)
    .bind(until.as_microsecond())
    .bind(&id)
    .bind(has_place)
    .fetch_one(tx)
    .await
    .map_err(&failed)?;
    let investigation = parse(path, "an investigation's id", &id)?;
    Ok(Some(Lease { investigation, epoch, attempts, has_place }))
}

/// The routes on which as many are worked on as may be. What is parked holds no lease and does not count, nor does
/// what is only looked at.
async fn full(
    tx: &mut SqliteConnection,
    path: &Path,
    places: &RoutePlaces,
    now_us: i64,
) -> Result<Vec<String>, StoreError> {
    if places.is_empty() {
        return Ok(vec![]);
    }
    let worked_on: Vec<(String, i64)> = sqlx::query_as(
        "SELECT route, count(*) FROM investigations WHERE lease_until_us IS NOT NULL AND lease_until_us >= ? \
           AND placed = 1 GROUP BY route",
    )
    .bind(now_us)
    .fetch_all(tx)
    .await
    .map_err(unavailable(path, "count what is worked on"))?;
    let is_full = |(route, count): &(String, i64)| places.get(route).is_some_and(|most| *count >= i64::from(*most));
    Ok(worked_on.into_iter().filter(is_full).map(|(route, _)| route).collect())
}
