//! The real clock and real chance.

use crate::domain::{Clock, Entropy};
use jiff::Timestamp;
use std::sync::Mutex;
use uuid::{ContextV7, Uuid, timestamp};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The system's random numbers.
#[derive(Debug, Default)]
pub struct SystemEntropy {
    /// Ids of one millisecond keep the order in which they were made.
    order: Mutex<ContextV7>,
}

impl Entropy for SystemEntropy {
    fn uuid(&self, now: Timestamp) -> Uuid {
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
        Uuid::new_v7(timestamp::Timestamp::from_unix(&self.order, seconds, nanoseconds))
    }

    fn salt(&self) -> [u8; 16] {
        Uuid::new_v4().into_bytes()
    }
}
