//! Figures for a scraper.

use crate::telemetry;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// One recorder for the whole process; a second whole in the same process shares it.
pub(super) fn recorder() -> Option<PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let buckets = PrometheusBuilder::new().set_buckets(&telemetry::SECONDS).ok()?;
            let handle = buckets.install_recorder().ok();
            telemetry::describe();
            handle
        })
        .clone()
}
