//! L6: from alert to report.

pub mod intake;
pub mod propose;
pub mod routes;
