//! Connections: so many at once, a first request that comes in time, none that sleeps for ever.

use super::{Web, router};
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at once; later ones wait in the kernel's queue.
const CONNECTIONS: usize = 1_024;
/// The header of a connection's first request must be there by then.
const HEADER_WITHIN: Duration = Duration::from_secs(10);
/// A connection on which nothing moves is closed. Longer than the longest `?wait`.
const IDLE: Duration = Duration::from_secs(330);
/// Requests under way when the server is to stop may take so long.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves `web` on `listener` until `stop` ends; then live streams end, and requests under way are
/// finished within ten seconds.
///
/// # Errors
/// When the listener fails for good, or others than this machine could reach an API without tokens.
pub async fn serve(
    listener: TcpListener,
    web: Arc<Web>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && web.access.load().tokens.is_empty() {
        return Err(io::Error::other(format!(
            "refusing to serve {address}: other machines can reach it, and there are no `access.tokens`. Configure \
             tokens, or listen on 127.0.0.1."
        )));
    }
    let mut stopping = web.gates.stopping.subscribe();
    let signal = web.clone();
    let graceful = async move {
        stop.await;
        signal.gates.stopping.send_replace(true);
    };
    let bounded = Bounded { listener, places: Arc::new(Semaphore::new(CONNECTIONS)), header_within: HEADER_WITHIN };
    let serving = axum::serve(bounded, router(web)).with_graceful_shutdown(graceful);
    let overdue = async move {
        if stopping.wait_for(|stopping| *stopping).await.is_ok() {
            sleep(DRAIN).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = async { serving.await } => served,
        () = overdue => {
            tracing::warn!("requests were cut off: they were not finished within {} s", DRAIN.as_secs());
            Ok(())
        }
    }
}

struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    header_within: Duration,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.ok();
        // The framework's own accept logs and rides out what passes, a lack of descriptors for instance.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are written at once.
        let _ = stream.set_nodelay(true);
        let timer = Box::pin(sleep(self.header_within));
        (Connection { stream, header: Some(0), timer, moved: Instant::now(), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with a timer: first for its first header, then for idleness.
struct Connection {
    stream: TcpStream,
    /// How much of the blank line behind the first header was seen; `None` behind it.
    header: Option<usize>,
    timer: Pin<Box<Sleep>>,
    /// When something last moved; the timer learns of it when it runs out, not each time.
    moved: Instant,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Ready when nothing came in time.
    fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let until = self.moved + IDLE;
            if self.header.is_some() || until <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }

    fn look(&mut self, bytes: &[u8]) {
        const BLANK_LINE: &[u8] = b"\r\n\r\n";
        let Some(mut seen) = self.header else { return };
        for byte in bytes {
            seen = match BLANK_LINE.get(seen) {
                Some(expected) if expected == byte => seen + 1,
                _ => usize::from(*byte == b'\r'),
            };
            if seen == BLANK_LINE.len() {
                self.header = None;
                return;
            }
        }
        self.header = Some(seen);
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let new = buf.filled().get(before..).unwrap_or_default();
                self.look(new);
                self.moved();
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.poll_overdue(cx));
                Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.moved();
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, parts));
        self.moved();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn pair(within: Duration) -> (TcpStream, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let mut bounded = Bounded { listener, places: Arc::new(Semaphore::new(1)), header_within: within };
        (client, bounded.accept().await.0)
    }

    #[tokio::test]
    async fn a_header_that_does_not_end_in_time_ends_the_connection() {
        let (mut client, mut connection) = pair(Duration::from_millis(50)).await;
        client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        let mut all = vec![];
        let error = connection.read_to_end(&mut all).await.unwrap_err();
        assert_eq!((error.kind(), all.len()), (io::ErrorKind::TimedOut, 26));
    }

    #[tokio::test]
    async fn behind_the_first_header_there_is_time() {
        let (mut client, mut connection) = pair(Duration::from_millis(50)).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r").await.unwrap();
        let mut first = [0; 26];
        connection.read_exact(&mut first).await.unwrap();
        client.write_all(b"\n").await.unwrap();
        connection.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(connection.header, None);
        sleep(Duration::from_millis(120)).await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 1);
    }
}
