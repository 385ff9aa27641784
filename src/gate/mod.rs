//! L3: no call without a ruling.
