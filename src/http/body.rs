//! Bodies are read within bounds of size, time and number.

use super::Problem;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Largest body of a webhook.
pub(crate) const MAX_BODY: usize = 32 << 20;
/// What one unit of the gate for bodies stands for.
pub(crate) const UNIT_BYTES: usize = 64 << 10;
/// Units of the gate: 128 MiB of bodies at once, or 2,048 small ones.
pub(crate) const UNITS: usize = 2_048;
/// A body must be there by then.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// So much of a body that is too large is read on, so that its sender gets to read the answer.
const DRAIN: usize = 64 << 20;

/// A place for a body of the announced size; of the largest, when none is announced.
///
/// # Errors
/// When it announces too much, or there is no room right now.
pub(super) fn place<'g>(gate: &'g Semaphore, headers: &HeaderMap) -> Result<SemaphorePermit<'g>, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let units = announced.unwrap_or(MAX_BODY).min(MAX_BODY).div_ceil(UNIT_BYTES).max(1);
    gate.try_acquire_many(u32::try_from(units).unwrap_or(u32::MAX)).map_err(|_| {
        Problem::overloaded("Too many bodies are being handled at once; nothing of this one was taken. Send it again.")
    })
}

/// The whole body.
///
/// # Errors
/// When it is larger than `max`, does not come in time, or breaks off.
pub(super) async fn read(body: Body, max: usize) -> Result<Vec<u8>, Problem> {
    let reading = async {
        let mut bytes = vec![];
        let mut seen = 0_usize;
        let mut stream = body.into_data_stream();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| Problem::bad_request("The body broke off. Send it again."))?;
            seen = seen.saturating_add(part.len());
            match seen <= max {
                true => bytes.extend_from_slice(&part),
                false if seen > max.saturating_add(DRAIN) => break,
                false => bytes = vec![],
            }
        }
        match seen <= max {
            true => Ok(bytes),
            false => Err(Problem::too_large(format!(
                "The body is larger than {} KiB. Set `max_alerts` at the receiver, or group by more labels.",
                max >> 10
            ))),
        }
    };
    tokio::time::timeout(READ_WITHIN, reading).await.unwrap_or_else(|_| {
        let detail = format!("The body was not there within {} s. Send it again.", READ_WITHIN.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body came too slowly", detail))
    })
}
