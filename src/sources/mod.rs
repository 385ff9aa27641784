//! L2: one file per sender, from its JSON to our events.
