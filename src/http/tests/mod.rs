//! The router as a client sees it, over a real store.

mod approvals;
mod intake;
mod policies;
mod reading;
mod stage;
mod usage;
