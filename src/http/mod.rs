//! L7: webhook, API, live view.
