//! Which route an alert takes.
