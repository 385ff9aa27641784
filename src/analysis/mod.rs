//! L2: what follows from what was seen. Pure: no I/O, no clock, no tools.
//!
//! The deterministic investigator. [`plan`] says what to look at next ([`Need`]), somebody above
//! looks, and [`conclude`] turns all that was seen ([`Seen`]) into ranked causes.
//!
//! ```text
//! need        what can be asked of the world, and what came back
//! plan        alert -> what to look at, in at most four rounds
//! snapshot/   typed, tolerant view of the answers
//! lookup      where the things that alerts name are
//! topology    who can affect whom, in hops
//! analyzers/  one family of faults per file: snapshot -> findings
//! causal      which finding explains which
//! closer      a longer look at what runs out
//! expression  what an alert's own rule says now
//! rank        score, confidence, verdict
//! conclude    all of it in order; chain, timeline, impact, open questions
//! owners      what is one workload with the thing that the alert names
//! facts       the subject in the policy's words
//! report      rca_report/v1; markdown: the same for people
//! ```

mod analyzers;
mod causal;
mod closer;
mod conclude;
mod expression;
mod facts;
mod json;
mod lookup;
mod markdown;
mod need;
mod owners;
mod plan;
mod questions;
mod rank;
mod report;
mod scene;
mod snapshot;
mod storm;
mod text;
mod topology;

pub use closer::closer_look;
pub use conclude::{conclude, unanswered};
pub use markdown::markdown;
pub use need::{Case, Need, Seen};
pub use owners::things;
pub use plan::plan;
pub use rank::verdict;
pub use report::{ReportFrame, report};
pub use storm::{as_flapping, as_storm, in_words, together};

#[cfg(test)]
mod tests;
