//! Stores of others: beside a server that writes, or before one is begun.

use crate::store::StoreError;
use crate::store::sqlite::SqliteStore;
use std::path::Path;

/// Opens a store for reading, beside whoever writes it.
///
/// # Errors
/// When there is none.
pub async fn reader(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open_to_read(path).await
}

/// The address of the server that holds the store, if one does.
pub fn holder(path: &Path) -> Option<String> {
    SqliteStore::holder(path)
}

/// Tries whether the store at `path` can commit, and tells the versions of database and schema. The
/// schema stays as it is; `None` when there is no store yet.
///
/// # Errors
/// When it cannot be used, or somebody else holds it.
pub async fn probe_store(path: &Path) -> Result<Option<String>, StoreError> {
    SqliteStore::probe(path).await
}
