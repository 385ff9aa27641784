//! The product from outside, and the house from inside.
//!
//! - [`layers`]: the rules of the house, read from the sources
//! - [`crash`]: SIGKILL after every entry of a whole investigation
//! - [`bad_input`]: what must not harm a running server
//! - [`peers`]: real Prometheus and Alertmanager; run by `./tests/run`
//! - [`support`]: the processes and servers that these need

mod layers;
