//! An investigation as it happens: its entries as server-sent events, each once it is on disk. While
//! a model is awaited, events of kind `progress` tell how far its answer is; they have no id and are
//! in no journal.

use super::{Problem, Viewer, Web, api};
use crate::domain::InvestigationId;
use crate::engine::live::Awaited;
use crate::journal::{Body, Entry};
use crate::store::StoreError;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// The store is asked so often even when nobody calls.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// While a model is awaited, that is told so often.
const TELL_PROGRESS: Duration = Duration::from_secs(2);
const PAGE: u32 = 200;

/// What is sent.
enum News {
    Entry(Box<Entry>),
    Awaited(Awaited),
}

struct Follower {
    web: Arc<Web>,
    id: InvestigationId,
    chain: String,
    after: u64,
    ready: VecDeque<Entry>,
    closed: bool,
    /// Whether what is awaited was told since the last entry.
    told: bool,
    news: Receiver<(String, u64)>,
    stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

/// `GET /api/v1/investigations/{id}/stream`. Goes on behind `Last-Event-ID`; ends after `Closed`. A
/// browser that comes back behind the end gets 204, which tells it not to come again.
pub(super) async fn stream(
    State(web): State<Arc<Web>>,
    Viewer(_): Viewer,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = api::parse_id(&id)?;
    // Subscribed before anything is read, so that nothing falls between.
    let news = web.store.watch();
    let view = api::view(&web, id).await?;
    let after = match headers.get("last-event-id") {
        None => 0,
        Some(value) => value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
            Problem::bad_request("`Last-Event-ID` is no number. Give the id of the last event that you have.")
        })?,
    };
    if after >= view.entries && view.outcome.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = web.gates.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::overloaded("Too many live streams at once. Read /journal instead."))?;
    let follower = Follower {
        chain: id.to_string(),
        id,
        after,
        ready: VecDeque::new(),
        closed: false,
        told: false,
        news,
        stopping: web.gates.stopping.subscribe(),
        web,
        _place: place,
    };
    let events = futures::stream::unfold(follower, |mut follower| async move {
        let event = match follower.next().await? {
            News::Entry(entry) => {
                serde_json::to_string(&entry).map(|json| Event::default().id(entry.seq.to_string()).data(json))
            }
            News::Awaited(awaited) => {
                serde_json::to_string(&awaited).map(|json| Event::default().event("progress").data(json))
            }
        };
        Some((event, follower))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("waiting")).into_response())
}

impl Follower {
    /// The next entry, or what is awaited meanwhile; `None` at the end.
    async fn next(&mut self) -> Option<News> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.after = entry.seq;
                self.told = false;
                self.closed = match entry.body {
                    Body::Closed { .. } => true,
                    Body::Reopened { .. } => false,
                    _ => self.closed,
                };
                return Some(News::Entry(Box::new(entry)));
            }
            match self.read().await {
                Ok(true) => {}
                Ok(false) if self.closed || *self.stopping.borrow() => return None,
                Ok(false) => {
                    if let Some(awaited) = self.wait().await {
                        return Some(News::Awaited(awaited));
                    }
                }
                Err(error) => {
                    // The client comes back with `Last-Event-ID`.
                    tracing::warn!(chain = self.chain, %error, "a live stream ends early");
                    return None;
                }
            }
        }
    }

    /// Reads on; `false` when there is nothing new.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let store = &self.web.store;
        self.ready.extend(store.entries(&self.chain, self.after, PAGE).await?);
        if self.ready.is_empty() && !self.closed {
            // Resumed behind the entry that closed it.
            let view = store.investigation(self.id).await?;
            self.closed = view.is_none_or(|view| view.outcome.is_some() && view.entries <= self.after);
        }
        Ok(!self.ready.is_empty())
    }

    /// Waits for news; answers what is awaited when there are none for a while.
    async fn wait(&mut self) -> Option<Awaited> {
        let web = self.web.clone();
        let awaited = || web.live.of(&self.chain, web.clock.now());
        let patience = match awaited() {
            Some(_) if self.told => TELL_PROGRESS,
            Some(first) => {
                self.told = true;
                return Some(first);
            }
            None => LOOK_AGAIN,
        };
        let called = async {
            loop {
                match self.news.recv().await {
                    Ok((chain, _)) if chain == self.chain => return,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = called => None,
            _ = self.stopping.changed() => None,
            () = tokio::time::sleep(patience) => awaited(),
        }
    }
}
