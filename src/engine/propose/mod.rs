//! What to do next, proposed by a model; nothing here decides.
