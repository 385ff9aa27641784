//! What the disk can do: the floor under every durable answer.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends of 4 KiB with fdatasync, per second, one after the other.
pub fn rate(folder: &Path, time: Duration) -> f64 {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let page = [7_u8; 4096];
    let begun = Instant::now();
    let mut writes = 0_u32;
    while begun.elapsed() < time {
        file.write_all(&page).unwrap();
        file.sync_data().unwrap();
        writes += 1;
    }
    f64::from(writes) / begun.elapsed().as_secs_f64()
}
