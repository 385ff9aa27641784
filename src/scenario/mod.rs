//! L8: recorded worlds, served over HTTP to the unchanged tools.
