//! Bodies are read within bounds of size, time and number.

use super::Problem;
use axum::body::Body;
use axum::http::StatusCode;
use futures::StreamExt;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Largest body of a webhook, unless configured.
pub(crate) const MAX_BODY: usize = 32 << 20;
/// What one unit of the gate for bodies stands for.
pub(crate) const UNIT_BYTES: usize = 64 << 10;
/// Units of the gate: 128 MiB of bodies at once, or 2,048 small ones.
pub(crate) const UNITS: usize = 2_048;
/// A body must be there by then.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// So much of a body beyond the largest is read on, so that its sender gets to read the answer.
const DRAIN: usize = 64 << 20;

/// The whole body, and the room that it takes up for as long as it is handled. The room grows with
/// what has come, not with what was announced.
///
/// # Errors
/// When there is no room right now, or as [`read`].
pub(super) async fn read_with_room(
    gate: &Semaphore,
    body: Body,
    max: usize,
) -> Result<(Vec<u8>, SemaphorePermit<'_>), Problem> {
    let no_room = || {
        Problem::overloaded("Too many bodies are being handled at once; nothing of this one was taken. Send it again.")
    };
    let mut room = gate.try_acquire().ok();
    let bytes = read_while(body, max, |size| {
        let held = room.as_mut().ok_or_else(no_room)?;
        let missing = size.div_ceil(UNIT_BYTES).saturating_sub(held.num_permits());
        if missing > 0 {
            held.merge(gate.try_acquire_many(u32::try_from(missing).unwrap_or(u32::MAX)).map_err(|_| no_room())?);
        }
        Ok(())
    })
    .await?;
    Ok((bytes, room.ok_or_else(no_room)?))
}

/// The whole body.
///
/// # Errors
/// When it is larger than `max`, does not come in time, or breaks off.
pub(super) async fn read(body: Body, max: usize) -> Result<Vec<u8>, Problem> {
    read_while(body, max, |_| Ok(())).await
}

/// The whole body, while `grows` allows the size that it has reached.
async fn read_while(
    body: Body,
    max: usize,
    mut grows: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::too_large(format!(
            "The body is larger than {} KiB. Set `max_alerts` at the receiver, or group by more labels.",
            max >> 10
        ))
    };
    let reading = async {
        let mut kept = Ok(vec![]);
        let mut seen = 0_usize;
        let mut stream = body.into_data_stream();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| Problem::bad_request("The body broke off. Send it again."))?;
            seen = seen.saturating_add(part.len());
            // What is not taken is read on, without being kept, so that its sender gets to read the answer.
            kept = kept.and_then(|mut bytes: Vec<u8>| {
                if seen > max {
                    return Err(too_large());
                }
                grows(seen)?;
                bytes.extend_from_slice(&part);
                Ok(bytes)
            });
            if seen > max.saturating_add(DRAIN) {
                break;
            }
        }
        kept
    };
    tokio::time::timeout(READ_WITHIN, reading).await.unwrap_or_else(|_| {
        let detail = format!("The body was not there within {} s. Send it again.", READ_WITHIN.as_secs());
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "The body came too slowly", detail))
    })
}
