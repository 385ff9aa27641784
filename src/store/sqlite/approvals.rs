//! Questions to people: one row each, written with the entries that tell of it.

use super::append::Script;
use super::chain::{from_json, to_json};
use super::read::page;
use super::{SqliteStore, StoreError, unavailable};
use crate::domain::{ApprovalId, ApprovalState};
use crate::journal::ApprovalView;
use crate::store::{ApprovalFilter, Page};
use sqlx::SqliteConnection;
use std::path::Path;

/// Adds to a script what writes the questions as they are now.
pub(super) fn push(script: &mut Script, path: &Path, approvals: &[ApprovalView]) -> Result<(), StoreError> {
    for approval in approvals {
        let view = to_json(path, "a question", approval)?;
        script.push("INSERT INTO approvals (id, investigation, state, requested_us, expires_us, view) VALUES (");
        script.push_bind(approval.id.to_string()).push(", ").push_bind(approval.investigation.to_string());
        script.push(", ").push_bind(approval.state.as_str());
        script.push(", ").push_bind(approval.requested_at.as_microsecond());
        script.push(", ").push_bind(approval.expires_at.as_microsecond()).push(", ").push_bind(view);
        script.push(
            ") ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires_us = excluded.expires_us, \
             view = excluded.view; ",
        );
    }
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
    if ended.is_empty() {
        return Ok(());
    }
    let mut script = Script::new("");
    push(&mut script, path, &ended)?;
    script.build().execute(&mut *tx).await.map(drop).map_err(unavailable(path, "write questions"))
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
