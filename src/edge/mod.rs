//! L4: the only doors out of the process.
