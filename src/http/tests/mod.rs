//! The router as a client sees it, over a real store.

mod approvals;
mod audit;
mod breakable;
mod checks;
mod intake;
mod policies;
mod reading;
mod senders;
mod stage;
mod usage;
