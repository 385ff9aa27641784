//! Alertmanager: its version, and how many silences stand. Nothing is silenced to try it.

use super::{Finding, judge};
use crate::app;
use crate::config::Config;

const OF: &str = "alertmanager";

pub(super) async fn alertmanager(config: &Config) -> Vec<Finding> {
    let (settings, reader) = match (&config.alertmanager, app::alertmanager(config)) {
        (Some(settings), Ok(Some(reader))) => (settings, reader),
        (_, Err(error)) => return vec![judge::failed(OF, "server", &error, "correct tools.alertmanager")],
        (_, Ok(_)) => return vec![Finding::ok(OF, "configured", "no: there are no tools for silences")],
    };
    let (version, silences) = tokio::join!(reader.version(), reader.silences(&[]));
    let server = match version {
        Ok(version) => Finding::ok(OF, "server", format!("{} {version}", reader.address())),
        Err(error) => {
            let help = "check tools.alertmanager.url, bearer or basic";
            return vec![judge::failed(OF, "server", &error, help)];
        }
    };
    let silences = match silences {
        Ok(held) => {
            let standing = held.iter().filter(|held| held.stands()).count();
            let may = match settings.write {
                true => format!("alerts may be silenced for {} s at most", settings.longest_silence.as_secs()),
                false => "nothing is silenced from here (tools.alertmanager.write)".to_owned(),
            };
            Finding::ok(OF, "silences", format!("{standing} silences stand; {may}"))
        }
        Err(error) => judge::failed(OF, "silences", &error, "it answers, and does not let us look at silences"),
    };
    vec![server, silences]
}
