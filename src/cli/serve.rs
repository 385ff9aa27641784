//! `firewarden serve`.

use super::session::Session;
use super::{Exit, Failure, logging};
use crate::app::App;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Receive alerts, investigate them, answer the API
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address to listen on, before the configured one
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Serve {
    /// Serves until it is asked to stop.
    ///
    /// # Errors
    /// When something does not load, the address is taken, or the store is somebody else's.
    pub async fn run(self, session: &Session) -> Result<Exit, Failure> {
        // Taken from the first moment on: SIGHUP asks to read credentials again, and never ends the process.
        let _hangup = signal(SignalKind::hangup())?;
        let mut sources = session.sources();
        if let Some(listen) = self.listen {
            sources.flags.push(("server.listen", "--listen", listen));
        }
        let loaded = sources.load()?;
        logging::begin(loaded.log(), logging::SERVER);
        let config = loaded.resolve()?;
        config.check_doors()?;
        let app = App::build(config).await?;
        let listener = app.listen().await?;
        let address = listener.local_addr()?;
        let stop = stop_on_signal()?;
        let peers = app.engine.tools.specs().len();
        tracing::info!(%address, tools = peers, models = app.engine.models.len(), "firewarden is listening");
        app.serve(listener, stop).await?;
        tracing::info!("firewarden has stopped");
        Ok(Exit::Fine)
    }
}

/// Turns true at the first SIGINT or SIGTERM; the second ends the process at once.
///
/// # Errors
/// When the system takes no handler.
pub(super) fn stop_on_signal() -> Result<watch::Receiver<bool>, Failure> {
    let (stop, stopped) = watch::channel(false);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut times = 0;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            times += 1;
            if times > 1 {
                // The journal is on disk: whatever was under way goes on at the next start.
                std::process::exit(130);
            }
            stop.send_replace(true);
        }
    });
    Ok(stopped)
}
