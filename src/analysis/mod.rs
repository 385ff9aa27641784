//! L2: what follows from what was seen. Pure: no I/O, no clock, no tools.
