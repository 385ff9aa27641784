//! A change at a peer that speaks JSON: one request, with a [`Permit`] that names what it changes, whose
//! answer is a yes, a no, or a doubt.

use super::error::{EdgeError, shorten};
use super::http::{HttpAnswer, HttpPeer, Limits, Unanswered, Verb};
use crate::domain::Target;
use crate::gate::Permit;
use jiff::Timestamp;
use serde_json::Value;

/// Most bytes of what an error says.
const WORDS: usize = 500;

/// What an answer says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// It was made.
    Made,
    /// It was not, and will not be.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// What the HTTP status of an answer says of a change, whoever answers. Of 408 and 499 nobody knows, for
/// somebody gave up waiting; nor of 425, which a copy is told that came too early, nor of a redirect that
/// may lead to what was made.
pub const fn certainty(status: u16) -> Certainty {
    match status {
        200..=299 => Certainty::Made,
        408 | 425 | 499 => Certainty::Unknown,
        301 | 307 | 308 | 400..=498 => Certainty::Refused,
        _ => Certainty::Unknown,
    }
}

/// Why a change was not made, or may have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {text}")]
pub struct Unmade {
    peer: &'static str,
    kind: UnmadeKind,
    text: String,
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnmadeKind {
    /// Nothing was sent: no permit, or nobody there.
    Unsent,
    /// The peer said no, with this status: nothing happened.
    Refused(u16),
    /// No clear answer: it may have happened.
    Unknown,
}

impl Unmade {
    /// Nothing was sent to `peer`.
    pub fn unsent(peer: &'static str, text: &str) -> Self {
        Self::new(peer, UnmadeKind::Unsent, text)
    }

    /// It may have happened at `peer`.
    pub fn unknown(peer: &'static str, text: &str) -> Self {
        Self::new(peer, UnmadeKind::Unknown, text)
    }

    /// It is refused with this status, as `peer` would.
    pub fn refused(peer: &'static str, status: u16, text: &str) -> Self {
        Self::new(peer, UnmadeKind::Refused(status), text)
    }

    fn new(peer: &'static str, kind: UnmadeKind, text: &str) -> Self {
        Self { peer, kind, text: shorten(text, WORDS).into_owned() }
    }

    /// Which kind.
    pub fn kind(&self) -> UnmadeKind {
        self.kind
    }
}

/// One change before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'s> {
    /// The leave.
    pub permit: &'s Permit,
    /// What is touched, which the leave has to name.
    pub target: &'s Target,
    /// The present moment.
    pub now: Timestamp,
    /// How.
    pub verb: Verb,
    /// Where, below the peer's address.
    pub path: &'s str,
    /// With what.
    pub body: Option<&'s Value>,
    /// Time, and size of the answer.
    pub limits: Limits,
}

impl HttpPeer {
    /// Sends one change to the peer that texts call `peer`. `refused` words an answer that is no yes.
    ///
    /// # Errors
    /// Whether nothing happened, or something may have.
    pub async fn change(
        &self,
        peer: &'static str,
        sending: Sending<'_>,
        refused: impl Fn(&HttpAnswer) -> EdgeError,
    ) -> Result<HttpAnswer, Unmade> {
        let Sending { permit, target, now, verb, path, body, limits } = sending;
        permit.covers(target, now).map_err(|refused| Unmade::unsent(peer, &refused.to_string()))?;
        let answer = self.json(verb, path, &[], body, limits).await;
        let answer = answer.map_err(|Unanswered { error, may_have_arrived }| match may_have_arrived {
            true => Unmade::unknown(peer, error.text()),
            false => Unmade::unsent(peer, error.text()),
        })?;
        match certainty(answer.status) {
            Certainty::Made => Ok(answer),
            Certainty::Refused => Err(Unmade::refused(peer, answer.status, refused(&answer).text())),
            Certainty::Unknown => Err(Unmade::unknown(peer, refused(&answer).text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_says_what_a_status_means() {
        use Certainty::{Made, Refused, Unknown};
        for (status, expected) in [
            (100, Unknown),
            (200, Made),
            (204, Made),
            (301, Refused),
            (302, Unknown),
            (303, Unknown),
            (308, Refused),
            (400, Refused),
            (404, Refused),
            (408, Unknown),
            (409, Refused),
            (425, Unknown),
            (429, Refused),
            (499, Unknown),
            (500, Unknown),
            (503, Unknown),
            (999, Unknown),
        ] {
            assert_eq!(certainty(status), expected, "{status}");
        }
    }
}
