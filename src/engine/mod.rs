//! L6: from alert to report.
pub mod propose;
