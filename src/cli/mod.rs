//! L9: one file per command.
