//! The instance lock: one process writes a database. The operating system lets go of it when the
//! process dies, however it dies.

use super::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A held lock.
#[derive(Debug)]
pub(super) struct InstanceLock {
    file: File,
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn content(path: &Path) -> String {
    let mut text = String::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(200).read_to_string(&mut text);
    }
    text.trim().to_owned()
}

impl InstanceLock {
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database);
        let unusable = |error: std::io::Error| StoreError::Unusable {
            place: database.display().to_string(),
            why: format!("{} cannot be locked: {error}", path.display()),
        };
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(unusable)?;
        // Whoever only asks for the holder has the lock for a moment.
        let mut locked = file.try_lock();
        for _ in 0..5 {
            if !matches!(locked, Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => {
                let lock = Self { file };
                lock.announce("no server yet");
                Ok(lock)
            }
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::Locked { place: database.display().to_string(), holder: content(&path) })
            }
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Notes how to reach the holder. Best effort: the lock holds without it.
    pub(super) fn announce(&self, address: &str) {
        let mut file = &self.file;
        let _ = file.rewind().and_then(|()| file.set_len(0)).and_then(|()| writeln!(file, "{address}"));
    }

    /// What the holder announced; `None` when nobody holds it.
    pub(super) fn holder(database: &Path) -> Option<String> {
        let path = beside(database);
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(content(&path)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}
