//! L1: spans, metric names, one emit function per event.
