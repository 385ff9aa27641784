//! The authority to make one change, as a value that somebody holds.

use crate::domain::{Action, Digest, Marker, Target};
use jiff::Timestamp;

/// The authority to make exactly one planned change, once, until a moment. Only the gate makes one,
/// after the intent is durable; it cannot be copied, stored or built elsewhere:
///
/// ```compile_fail
/// fn copy(warrant: firewarden::gate::Warrant) -> (firewarden::gate::Warrant, firewarden::gate::Warrant) {
///     (warrant.clone(), warrant)
/// }
/// ```
/// ```compile_fail
/// let forged: firewarden::gate::Warrant = serde_json::from_str("{}").unwrap();
/// ```
/// ```compile_fail
/// # fn f(action: firewarden::domain::Action, marker: firewarden::domain::Marker) {
/// use firewarden::gate::Warrant;
/// let forged = Warrant { action, marker, digest: todo!(), not_after: todo!() };
/// # }
/// ```
/// ```compile_fail
/// # async fn twice(tool: &dyn firewarden::tools::ActTool, warrant: firewarden::gate::Warrant) {
/// let now = jiff::Timestamp::UNIX_EPOCH;
/// let first = tool.execute(warrant, now).await;
/// let second = tool.execute(warrant, now).await;
/// # }
/// ```
#[derive(Debug)]
pub struct Warrant {
    action: Action,
    marker: Marker,
    digest: Digest,
    not_after: Timestamp,
}

/// Why a warrant or permit is not honoured. Nothing has been sent then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is for another tool.
    #[error("the permission is for the tool {granted}, not for {wanted}")]
    Tool {
        /// What it is for.
        granted: String,
        /// What it was shown to.
        wanted: String,
    },
    /// It came too late.
    #[error("the permission ended at {not_after}; the change is judged again before it is made")]
    Late {
        /// When it ended.
        not_after: Timestamp,
    },
    /// It is for other objects.
    #[error("the permission does not name {wanted}")]
    Target {
        /// What was about to be touched.
        wanted: String,
    },
    /// The intent is not on disk, or is another one.
    #[error("the intent to do it is not in the journal: {why}")]
    NoIntent {
        /// What was found in its place.
        why: String,
    },
}

/// What the edge asks for before it touches anything: which objects, and until when. It lives as long
/// as one execution:
///
/// ```compile_fail
/// fn copy(permit: firewarden::gate::Permit) -> (firewarden::gate::Permit, firewarden::gate::Permit) {
///     (permit.clone(), permit)
/// }
/// ```
/// ```compile_fail
/// let forged = firewarden::gate::Permit { targets: vec![], not_after: jiff::Timestamp::MAX };
/// ```
#[derive(Debug)]
pub struct Permit {
    targets: Vec<Target>,
    marker: Marker,
    not_after: Timestamp,
}

impl Warrant {
    pub(super) fn mint(action: Action, marker: Marker, digest: Digest, not_after: Timestamp) -> Self {
        Self { action, marker, digest, not_after }
    }

    /// A warrant as tests of edge and tools need it.
    #[cfg(test)]
    pub(crate) fn for_test(action: Action, marker: Marker, not_after: Timestamp) -> Self {
        Self { action, marker, digest: Digest::of("test"), not_after }
    }

    /// What is to be done.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// What exactly was decided about.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Gives up the warrant for the permit and the action, for `tool` at `now`.
    ///
    /// # Errors
    /// When it is for another tool, or too late.
    pub fn redeem(self, tool: &str, now: Timestamp) -> Result<(Permit, Action), Refused> {
        if self.action.tool != tool {
            return Err(Refused::Tool { granted: self.action.tool, wanted: tool.to_owned() });
        }
        if now > self.not_after {
            return Err(Refused::Late { not_after: self.not_after });
        }
        let permit = Permit { targets: self.action.targets.clone(), marker: self.marker, not_after: self.not_after };
        Ok((permit, self.action))
    }
}

impl Permit {
    /// Whether `target` may be touched at `now`; the edge asks right before it sends.
    ///
    /// # Errors
    /// When the permit does not name it, or came too late.
    pub fn covers(&self, target: &Target, now: Timestamp) -> Result<(), Refused> {
        if now > self.not_after {
            return Err(Refused::Late { not_after: self.not_after });
        }
        match self.targets.iter().any(|granted| granted.is_same(target)) {
            true => Ok(()),
            false => Err(Refused::Target { wanted: target.label() }),
        }
    }

    /// What the change carries into the world.
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// No byte leaves later than this.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
}
