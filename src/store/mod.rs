//! L2: what survives a crash.
