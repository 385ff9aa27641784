//! Questions to people: one row each, written with the entries that tell of it.

use super::chain::{from_json, number, to_json};
use super::read::page;
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{ApprovalId, ApprovalState};
use crate::journal::{ApprovalView, Head};
use crate::store::{ApprovalFilter, Lease, Page};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};
use std::path::Path;

/// Rows of one statement.
const ROWS: usize = 64;

/// Adds the questions as they are now to a script. With `held` they are written only while the chain
/// ends there under that lease: an append that is refused asks nobody, even one without an entry.
pub(super) fn push(
    script: &mut QueryBuilder<Sqlite>,
    path: &Path,
    approvals: &[ApprovalView],
    held: Option<(&Lease, &Head)>,
) -> Result<(), StoreError> {
    for approvals in approvals.chunks(ROWS) {
        let views: Vec<String> =
            approvals.iter().map(|view| to_json(path, "a question", view)).collect::<Result<_, _>>()?;
        script.push("INSERT INTO approvals (id, investigation, state, requested_us, expires_us, view) SELECT * FROM (");
        script.push_values(approvals.iter().zip(views), |mut row, (approval, view)| {
            row.push_bind(approval.id.to_string())
                .push_bind(approval.investigation.to_string())
                .push_bind(approval.state.as_str())
                .push_bind(approval.requested_at.as_microsecond())
                .push_bind(approval.expires_at.as_microsecond())
                .push_bind(view);
        });
        script.push(") WHERE true");
        if let Some((lease, head)) = held {
            script.push(" AND EXISTS (SELECT 1 FROM investigations WHERE id = ");
            script.push_bind(lease.investigation.to_string()).push(" AND epoch = ").push_bind(lease.epoch);
            script.push(" AND seq = ").push_bind(number(head.seq));
            script.push(" AND hash = ").push_bind(head.hash.as_str().to_owned()).push(")");
        }
        script.push(
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires_us = excluded.expires_us, \
              view = excluded.view; ",
        );
    }
    Ok(())
}

/// Writes the questions as they are now.
pub(super) async fn upsert(
    tx: &mut SqliteConnection,
    path: &Path,
    approvals: &[ApprovalView],
    held: Option<(&Lease, &Head)>,
) -> Result<(), StoreError> {
    if approvals.is_empty() {
        return Ok(());
    }
    let mut script = QueryBuilder::new("");
    push(&mut script, path, approvals, held)?;
    script.build().execute(tx).await.map_err(unavailable(path, "write questions"))?;
    Ok(())
}

/// Ends the open questions of an investigation that is given up: nobody would act on an answer, and of
/// a change that was under way nobody can tell.
pub(super) async fn give_up(
    tx: &mut SqliteConnection,
    path: &Path,
    investigation: &str,
    reason: &str,
) -> Result<(), StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as("SELECT view FROM approvals WHERE investigation = ?")
        .bind(investigation)
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable(path, "read questions"))?;
    let mut ended = vec![];
    for (view,) in rows {
        let mut view: ApprovalView = from_json(path, "a question", &view)?;
        view.state = match view.state {
            ApprovalState::Pending | ApprovalState::Approved => ApprovalState::Withdrawn,
            ApprovalState::Executing => ApprovalState::Unknown,
            _ => continue,
        };
        reason.clone_into(&mut view.reason);
        ended.push(view);
    }
    upsert(tx, path, &ended, None).await
}

impl SqliteStore {
    pub(super) async fn read_approval(&self, id: ApprovalId) -> Result<Option<ApprovalView>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("SELECT view FROM approvals WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(unavailable(&self.path, "read a question"))?;
        row.map(|(json,)| from_json(&self.path, "a question", &json)).transpose()
    }

    pub(super) async fn read_approvals(&self, filter: &ApprovalFilter) -> Result<Page<ApprovalView>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT view FROM approvals WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR investigation = ?2) \
               AND (?3 IS NULL OR id < ?3) ORDER BY id DESC LIMIT ?4",
        )
        .bind(filter.state.map(ApprovalState::as_str))
        .bind(filter.investigation.map(|id| id.to_string()))
        .bind(&filter.cursor)
        .bind(i64::from(filter.limit) + 1)
        .fetch_all(&self.readers)
        .await
        .map_err(unavailable(&self.path, "list questions"))?;
        let items =
            rows.iter().map(|(json,)| from_json(&self.path, "a question", json)).collect::<Result<Vec<_>, _>>()?;
        Ok(page(items, filter.limit, |item: &ApprovalView| item.id.to_string()))
    }
}
