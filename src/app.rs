//! L8: the only place that names concrete adapters.
