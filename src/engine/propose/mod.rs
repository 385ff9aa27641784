//! What to do next, proposed by a model; nothing here decides.
//!
//! All of it is pure: the driver asks, performs and appends. One turn goes through
//!
//! 1. [`case`]: what the first message is rendered from;
//! 2. [`conversation`]: the request, append-only from turn to turn;
//! 3. [`interpret`](mod@interpret): what the answer wants: calls ([`calls`], strictly read by [`strict_json`], also where
//!    a weak model only wrote them down: [`spoken`]), or a report ([`submit`]), or nothing usable;
//! 4. [`verify`](mod@verify): which claims of a report the evidence carries ([`figures`] compares numbers, [`names`]
//!    names and quotations, [`onset`] times, and [`deeds`] hears what claims to have acted);
//! 5. [`merge`](mod@merge): the deterministic report and the model's, as one.
//!
//! Where there is no model, [`playbooks`] propose changes from what was found.

pub mod calls;
pub mod case;
pub mod choice;
pub mod conversation;
pub mod deeds;
pub mod figures;
pub mod interpret;
pub mod merge;
pub mod names;
pub mod onset;
pub mod playbooks;
pub mod room;
pub mod spoken;
pub mod strict_json;
pub mod submit;
pub mod verify;

pub use calls::{MAX_CALLS_PER_TURN, PastCall, call_id};
pub use case::{Case, PastChange, incident_slug};
pub use conversation::{CallResult, Conversation, Opening, Turn};
pub use interpret::{Interpretation, Reading, interpret};
pub use merge::merge;
pub use room::Room;
pub use submit::{ModelReport, SUBMIT_REPORT, submit_offer};
pub use verify::{Cited, verify};

#[cfg(test)]
mod tests;
