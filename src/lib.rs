//! **firewarden**: an alert arrives, a root cause and a fix leave, and nothing happens that policy
//! did not allow.
//!
//! The modules stand in layer order. Each imports only from lower layers, and siblings of L2 and
//! of L5 never import each other; `tests/it/layers.rs` holds the line.

pub mod analysis; // L2  findings, topology, ranking, report; pure
pub mod app; // L8  the only place that names concrete adapters
pub mod audit; // L2  checkpoints, proofs, what is exported; pure
pub mod cli; // L9  one file per command
pub mod config; // L8  firewarden.yaml
pub mod doctor; // L8  is everything there
pub mod domain; // L0  pure types
pub mod edge; // L4  the only doors out of the process
pub mod engine; // L6  from alert to report
pub mod gate; // L3  no call without a ruling
pub mod health; // L6  self-checks
pub mod http; // L7  webhook, API, live view
pub mod journal; // L1  entries, chain, fold, next step; pure
pub mod model; // L5  language models
pub mod policy; // L2  Rego: what is allowed
pub mod scenario; // L8  recorded worlds
pub mod sources; // L2  senders' formats
pub mod store; // L2  what survives a crash
pub mod telemetry; // L1  spans and metric names
pub mod template; // L2  prompts
pub mod tools; // L5  what may be called
