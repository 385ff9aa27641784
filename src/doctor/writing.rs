//! Who changes the cluster, and whether they may.

use super::judge::{self, CHANGES};
use super::{Cause, Finding};
use crate::app;
use crate::config::Config;
use crate::edge::KubeReader;
use crate::edge::kube::Right;
use futures::future::join_all;

const OF: &str = "kubernetes";

/// Looks at the rights to change something, of the reader, who needs none, and of the writer.
pub(super) async fn kubernetes(config: &Config, reader: &KubeReader) -> Vec<Finding> {
    let configured = config.kubernetes.as_ref().and_then(|cluster| cluster.write.as_ref());
    let is_the_reader = configured.is_some_and(|writer| writer.is_the_reader());
    let mut found = vec![];
    if !is_the_reader {
        let may = join_all(CHANGES.iter().map(|right| async { (*right, reader.may(*right).await == Ok(true)) })).await;
        found.extend(judge::reader_may_change(OF, &may));
    }
    if configured.is_none() {
        return found;
    }
    let writer = match app::kubernetes_writer(config.kubernetes.as_ref()).await {
        Ok(Some(writer)) => writer,
        Ok(None) => {
            let about = "changes are configured, but there are no credentials for them";
            let help = "set tools.kubernetes.writer.kubeconfig";
            found.push(Finding::fail(OF, "writer", Cause::DoesNotLoad, about, help));
            return found;
        }
        Err(error) => {
            found.push(judge::failed(OF, "writer", &error, "correct tools.kubernetes.writer"));
            return found;
        }
    };
    let name = writer.who_am_i().await.unwrap_or_else(|_| "a name that the server does not tell".to_owned());
    found.push(judge::writer(OF, &name, is_the_reader));
    let mut answers: Vec<(Right, bool)> = vec![];
    for right in CHANGES {
        match writer.may(right).await {
            Ok(may) => answers.push((right, may)),
            Err(error) => {
                let help = "access reviews are open to everybody";
                found.push(judge::failed(OF, "writer rights", &error, help));
                return found;
            }
        }
    }
    found.push(judge::writer_rights(OF, &answers));
    if !is_the_reader {
        let (reader, writer) = tokio::join!(reader.cluster_uid(), writer.cluster_uid());
        found.push(judge::one_cluster(OF, reader, writer));
    }
    found
}
