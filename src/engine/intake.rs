//! What comes in, becomes durable, and only then is answered.
