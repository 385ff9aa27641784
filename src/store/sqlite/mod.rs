//! SQLite: one file, one writer, group commit.
//!
//! - [`writer`]: the only connection that writes; drains its queue into one transaction
//! - [`admit`]: which investigation an alert belongs to
//! - [`append`]: compare-and-append, as one script
//! - [`claim`]: who is worked on next
//! - [`chain`]: leases, the system chain, signals
//! - [`read`]: everything that only reads, on a pool of its own
//! - [`approvals`]: questions to people
//! - [`deeds`]: changes that were begun
//! - [`letters`]: what could not be read
//! - [`past`]: what happened before, as policy counts it
//! - [`polled`]: what pollers were told
//! - [`log`]: the log over all chains, its checkpoints, and what retention deletes
//! - [`usage`]: what was spent, counted from entries as they are written

mod admit;
mod append;
mod approvals;
mod chain;
mod claim;
mod deeds;
mod letters;
mod lock;
mod log;
mod past;
mod polled;
mod read;
mod usage;
mod writer;

#[cfg(test)]
mod tests;

use super::{Admitted, Journal};
use super::{Append, Arrival, DeadLetter, Lease, RoutePlaces, Signal, StoreError, StormCap, Waiting};
use crate::domain::{Entropy, EventId, InvestigationId};
use crate::journal::{Draft, Entry, Head};
use crate::store::Blob;
use admit::Delivered;
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use writer::{Command, Writer};

/// Corruption of the write-ahead log was mended in this version; older ones are refused.
const SQLITE_AT_LEAST: (u32, u32, u32) = (3, 51, 3);
/// Readers that fall further behind than this read again from the store.
const WATCH_CAPACITY: usize = 4096;
const READERS: u32 = 4;

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    readers: SqlitePool,
    writer: Option<Writer>,
    watch: broadcast::Sender<(String, u64)>,
    work: std::sync::Arc<Notify>,
    hmac_key: Vec<u8>,
    lock: Option<lock::InstanceLock>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).field("writes", &self.writer.is_some()).finish()
    }
}

/// What the database said, in our words.
pub(super) fn unavailable(place: &Path, doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    let place = place.display().to_string();
    move |source| StoreError::Unavailable { doing, place: place.clone(), source: Box::new(source) }
}

/// Alerts, transcripts and the key that vouches for them are for the user that runs firewarden.
fn private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// SQLite gives its log the rights of the database, so the database is made here.
fn private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

impl SqliteStore {
    /// Opens the file for reading and writing, alone: takes the instance lock, brings the schema up
    /// to date and voids the leases of earlier processes.
    ///
    /// # Errors
    /// When another process holds it, it was written by a newer program, or it cannot be written.
    pub async fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            private_folder(folder).map_err(|error| StoreError::Unusable {
                place: path.display().to_string(),
                why: format!("its folder cannot be made: {error}"),
            })?;
        }
        let lock = lock::InstanceLock::take(path)?;
        private_file(path).map_err(|error| StoreError::Unusable {
            place: path.display().to_string(),
            why: format!("it cannot be made: {error}"),
        })?;
        let mut connection = Self::writing_connection(path).await?;
        Self::migrate(path, &mut connection).await?;
        usage::count_the_past(&mut connection, path).await?;
        let failed = unavailable(path, "prepare the database");
        sqlx::query("UPDATE investigations SET owner = NULL, lease_until_us = NULL WHERE owner IS NOT NULL")
            .execute(&mut connection)
            .await
            .map_err(&failed)?;
        let fresh: Vec<u8> = [entropy.salt(), entropy.salt()].concat();
        sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES ('hmac_key', ?)")
            .bind(fresh)
            .execute(&mut connection)
            .await
            .map_err(&failed)?;
        let readers = Self::reading_pool(path).await?;
        let hmac_key = Self::hmac_key_of(path, &readers).await?;
        let (watch, _) = broadcast::channel(WATCH_CAPACITY);
        let work = std::sync::Arc::new(Notify::new());
        let writer = Writer::start(connection, path.to_owned(), watch.clone(), work.clone());
        Ok(Self { path: path.to_owned(), readers, writer: Some(writer), watch, work, hmac_key, lock: Some(lock) })
    }

    /// Opens the file for reading, beside a process that writes it.
    ///
    /// # Errors
    /// When there is no such file or it is no database of ours.
    pub async fn open_to_read(path: &Path) -> Result<Self, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Unusable {
                place: path.display().to_string(),
                why: "there is no such file; nothing was ever stored there".into(),
            });
        }
        let readers = Self::reading_pool(path).await?;
        let hmac_key = Self::hmac_key_of(path, &readers).await?;
        let (watch, _) = broadcast::channel(1);
        let work = std::sync::Arc::new(Notify::new());
        Ok(Self { path: path.to_owned(), readers, writer: None, watch, work, hmac_key, lock: None })
    }

    /// Commits without a change, alone, and tells the versions of SQLite and of the schema, which stays
    /// as it is. `None` when there is no such file.
    ///
    /// # Errors
    /// When another process holds it, it is no database of ours, or it cannot be written.
    pub async fn probe(path: &Path) -> Result<Option<String>, StoreError> {
        if !path.is_file() {
            return Ok(None);
        }
        let _lock = lock::InstanceLock::take(path)?;
        let mut connection = Self::writing_connection(path).await?;
        let foreign = |error: sqlx::Error| StoreError::Unusable {
            place: path.display().to_string(),
            why: format!("it is no database of firewarden, or it cannot be written ({error})"),
        };
        sqlx::query("UPDATE meta SET value = value WHERE key = 'hmac_key'")
            .execute(&mut connection)
            .await
            .map_err(foreign)?;
        let (sqlite, schema): (String, i64) =
            sqlx::query_as("SELECT sqlite_version(), (SELECT max(version) FROM _sqlx_migrations)")
                .fetch_one(&mut connection)
                .await
                .map_err(foreign)?;
        Ok(Some(format!("SQLite {sqlite}, schema {schema}")))
    }

    /// The key under which the original bytes of deliveries are vouched for.
    pub fn hmac_key(&self) -> &[u8] {
        &self.hmac_key
    }

    /// Writes the server's address beside the lock, so that commands find the server that holds it.
    pub fn announce(&self, address: &str) {
        if let Some(lock) = &self.lock {
            lock.announce(address);
        }
    }

    /// The address that the holder of `path`'s lock announced, if somebody holds it.
    pub fn holder(path: &Path) -> Option<String> {
        lock::InstanceLock::holder(path)
    }

    async fn writing_connection(path: &Path) -> Result<SqliteConnection, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(128)
            .pragma("mmap_size", "0")
            // Alerts and payloads are found by digests, so a write touches pages all over their indices. In KiB.
            .pragma("cache_size", "-16384")
            .foreign_keys(true);
        let mut connection =
            SqliteConnection::connect_with(&options).await.map_err(unavailable(path, "open the database"))?;
        let (version,): (String,) = sqlx::query_as("SELECT sqlite_version()")
            .fetch_one(&mut connection)
            .await
            .map_err(unavailable(path, "ask for the version of SQLite"))?;
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < SQLITE_AT_LEAST {
            return Err(StoreError::Unusable {
                place: path.display().to_string(),
                why: format!("SQLite {version} can corrupt its log; 3.51.3 or newer is needed (the bundled one is)"),
            });
        }
        Ok(connection)
    }

    async fn reading_pool(path: &Path) -> Result<SqlitePool, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(Duration::from_secs(5))
            .pragma("query_only", "1");
        SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(1)
            .connect_with(options)
            .await
            .map_err(unavailable(path, "open the database to read"))
    }

    async fn hmac_key_of(path: &Path, readers: &SqlitePool) -> Result<Vec<u8>, StoreError> {
        let row: Result<(Vec<u8>,), sqlx::Error> =
            sqlx::query_as("SELECT value FROM meta WHERE key = 'hmac_key'").fetch_one(readers).await;
        row.map(|(key,)| key).map_err(|error| StoreError::Unusable {
            place: path.display().to_string(),
            why: format!("it is no database of firewarden ({error})"),
        })
    }

    async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let migration = |version, name: &'static str, sql: &'static str| {
            Migration::new(version, name.into(), MigrationType::Simple, sqlx::SqlSafeStr::into_sql_str(sql), false)
        };
        let migrations = vec![
            migration(1, "journal", include_str!("../../../migrations/sqlite/0001_journal.sql")),
            migration(2, "usage", include_str!("../../../migrations/sqlite/0002_usage.sql")),
            migration(3, "parked", include_str!("../../../migrations/sqlite/0003_parked.sql")),
            migration(4, "approvals", include_str!("../../../migrations/sqlite/0004_approvals.sql")),
            migration(5, "deeds", include_str!("../../../migrations/sqlite/0005_deeds.sql")),
            migration(6, "attempts", include_str!("../../../migrations/sqlite/0006_attempts.sql")),
            migration(7, "log", include_str!("../../../migrations/sqlite/0007_log.sql")),
            migration(8, "past", include_str!("../../../migrations/sqlite/0008_past.sql")),
            migration(9, "claims", include_str!("../../../migrations/sqlite/0009_claims.sql")),
            migration(11, "storm", include_str!("../../../migrations/sqlite/0011_storm.sql")),
            migration(12, "polled", include_str!("../../../migrations/sqlite/0012_polled.sql")),
            migration(13, "things", include_str!("../../../migrations/sqlite/0013_things.sql")),
            migration(14, "joined", include_str!("../../../migrations/sqlite/0014_joined.sql")),
        ];
        Migrator::with_migrations(migrations).run_direct(None, connection, false).await.map_err(|error| {
            StoreError::Unusable {
                place: path.display().to_string(),
                why: match error {
                    sqlx::migrate::MigrateError::VersionMissing(version) => format!(
                        "it was written by a newer firewarden (schema {version}); use that one, or restore a backup"
                    ),
                    error => format!("its schema cannot be brought up to date: {error}"),
                },
            }
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        command: impl FnOnce(writer::Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::Unusable {
                place: self.path.display().to_string(),
                why: "it was opened to read only".into(),
            });
        };
        writer.run(doing, &self.path, command).await
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn admit(
        &self,
        arrivals: Vec<Arrival>,
        cap: Option<StormCap>,
        now: Timestamp,
    ) -> Result<Vec<Admitted>, StoreError> {
        self.write("take in alerts", |reply| Command::Admit { delivered: Delivered { arrivals, cap, now }, reply })
            .await
    }

    async fn claim_within(
        &self,
        places: &RoutePlaces,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let (places, owner) = (places.clone(), owner.to_owned());
        self.write("claim work", |reply| Command::Claim { places, owner, now, until, reply }).await
    }

    async fn line_up(&self, lease: &Lease, look_at: Option<Timestamp>) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write("line up an investigation", |reply| Command::LineUp { lease, look_at, reply }).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write("renew a lease", |reply| Command::Renew { lease, until, reply }).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write("release a lease", |reply| Command::Release { lease, reply }).await
    }

    async fn park(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write("park an investigation", |reply| Command::Park { lease, now, until, reply }).await
    }

    async fn abandon(&self, lease: &Lease, reason: String, now: Timestamp) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.write("give up an investigation", |reply| Command::Abandon { lease, reason, now, reply }).await
    }

    async fn append(&self, lease: &Lease, head: &Head, append: Append) -> Result<bool, StoreError> {
        let (lease, head, append) = (lease.clone(), head.clone(), Box::new(append));
        self.write("append to the journal", |reply| Command::Append { lease, head, append, reply }).await
    }

    async fn append_system(&self, drafts: Vec<Draft>, blobs: Vec<Blob>, now: Timestamp) -> Result<(), StoreError> {
        self.write("append to the system chain", |reply| Command::System { drafts, blobs, now, reply }).await
    }

    async fn entries(&self, chain: &str, after: u64, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.read_entries(chain, after, limit).await
    }

    async fn signals(&self, investigation: InvestigationId) -> Result<Vec<Waiting>, StoreError> {
        self.read_signals(investigation).await
    }

    async fn signal(
        &self,
        investigation: InvestigationId,
        from: &str,
        signal: Signal,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let from = from.to_owned();
        self.write("leave a signal", |reply| Command::Signal { investigation, from, signal, now, reply }).await
    }

    fn watch(&self) -> broadcast::Receiver<(String, u64)> {
        self.watch.subscribe()
    }

    fn work(&self) -> &Notify {
        &self.work
    }
}

impl SqliteStore {
    pub(super) async fn write_letters(&self, letters: Vec<DeadLetter>) -> Result<Vec<EventId>, StoreError> {
        self.write("keep what could not be read", |reply| Command::Letters { letters, reply }).await
    }

    pub(super) async fn note_replayed(&self, letter: EventId, became: Value) -> Result<(), StoreError> {
        self.write("note what became of a letter", |reply| Command::Replayed { letter, became, reply }).await
    }

    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        self.write("commit", |reply| Command::Ping { reply }).await
    }
}
