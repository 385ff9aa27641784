//! Changes that were begun: one row each, written with the entries that tell of it.

use super::append::Script;
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{ActionId, Target};
use crate::store::deeds::{BegunDeed, DeedCounts, kind_of, namespace_of, resource_of};
use jiff::{SignedDuration, Timestamp};

/// Adds to a script what writes the changes as they are now.
pub(super) fn push(script: &mut Script, deeds: &[BegunDeed]) {
    for deed in deeds {
        script.push(
            "INSERT INTO deeds (id, investigation, started_us, tool, resource, namespace, kind, thing, alert, effect, \
             made, helped) VALUES (",
        );
        script.push_bind(deed.id.to_string()).push(", ").push_bind(deed.investigation.to_string());
        script.push(", ").push_bind(deed.started_at.as_microsecond()).push(", ").push_bind(deed.tool.clone());
        script.push(", ").push_bind(resource_of(&deed.target)).push(", ").push_bind(namespace_of(&deed.target));
        script.push(", ").push_bind(kind_of(&deed.target)).push(", ").push_bind(deed.thing.clone());
        script.push(", ").push_bind(deed.alert.clone()).push(", ").push_bind(deed.effect.as_str());
        script.push(", ").push_bind(deed.made).push(", ").push_bind(deed.helped);
        script.push(") ON CONFLICT (id) DO UPDATE SET started_us = excluded.started_us, thing = excluded.thing, ");
        script
            .push("alert = excluded.alert, effect = excluded.effect, made = excluded.made, helped = excluded.helped; ");
    }
}

impl SqliteStore {
    pub(super) async fn count_deeds(
        &self,
        but: ActionId,
        tool: &str,
        target: &Target,
        now: Timestamp,
    ) -> Result<DeedCounts, StoreError> {
        let ago = |hours| now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN).as_microsecond();
        let row: (i64, i64, i64, i64, i64, i64) = sqlx::query_as(
            "SELECT \
               (SELECT count(*) FROM deeds WHERE resource = ?1 AND started_us > ?4 AND id <> ?7), \
               (SELECT count(*) FROM deeds WHERE resource = ?1 AND started_us > ?5 AND id <> ?7), \
               (SELECT count(*) FROM deeds WHERE namespace = ?2 AND started_us > ?4 AND id <> ?7), \
               (SELECT count(DISTINCT resource) FROM deeds WHERE kind = ?3 AND started_us > ?4 AND id <> ?7), \
               (SELECT count(*) FROM deeds WHERE resource = ?1 AND tool = ?6 AND started_us > ?4 AND id <> ?7), \
               (SELECT count(*) FROM deeds WHERE resource = ?1 AND tool = ?6 AND helped = 0 \
                  AND started_us > ?5 AND id <> ?7)",
        )
        .bind(resource_of(target))
        .bind(namespace_of(target))
        .bind(kind_of(target))
        .bind(ago(1))
        .bind(ago(24))
        .bind(tool)
        .bind(but.to_string())
        .fetch_one(&self.readers)
        .await
        .map_err(unavailable(&self.path, "count changes"))?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(DeedCounts {
            resource_1h: count(row.0),
            resource_24h: count(row.1),
            namespace_1h: count(row.2),
            targets_of_kind_1h: count(row.3),
            same_1h: count(row.4),
            same_failed_24h: count(row.5),
        })
    }
}
