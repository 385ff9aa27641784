//! What goes wrong at a door of the process.

/// Most bytes of a peer's own words in an error.
const WORDS: usize = 600;

/// What kind of failure it was; decides whether another try can help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EdgeErrorKind {
    /// No connection: refused, unknown host, TLS, broken off.
    Unreachable,
    /// The peer did not answer in time.
    Timeout,
    /// The peer answered with an error.
    Status {
        /// The HTTP status.
        code: u16,
        /// The peer's own machine-readable word for it: a Kubernetes `reason`, a Prometheus `errorType`.
        reason: String,
    },
    /// The thing that was asked for does not exist.
    NotFound,
    /// The peer has no such API at all: an extension is not installed, or the version is another.
    Unserved,
    /// We may not: 401 or 403.
    Denied,
    /// The answer is larger than we take.
    TooLarge,
    /// The answer is not what this peer answers.
    BadBody,
    /// The question cannot be put: the caller has to change it.
    Invalid,
}

/// A failed exchange with a peer: what failed, at which peer, and what to do. Never holds a secret:
/// credentials are not part of any address or message that is put in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{peer}: {text}")]
pub struct EdgeError {
    peer: String,
    kind: EdgeErrorKind,
    text: String,
}

impl EdgeError {
    /// An error of `peer`. `text` is cut to a size that fits a message.
    pub fn new(peer: impl Into<String>, kind: EdgeErrorKind, text: impl AsRef<str>) -> Self {
        Self { peer: peer.into(), kind, text: shorten(text.as_ref(), WORDS).into_owned() }
    }

    /// The peer's name, `kubernetes` for instance.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> &EdgeErrorKind {
        &self.kind
    }

    /// What happened and what to do, without the peer's name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same failure, told with more context.
    #[must_use]
    pub fn because(self, text: impl AsRef<str>) -> Self {
        Self::new(self.peer, self.kind, text)
    }

    /// Whether the same question may get an answer later.
    pub fn is_transient(&self) -> bool {
        match &self.kind {
            EdgeErrorKind::Unreachable | EdgeErrorKind::Timeout => true,
            EdgeErrorKind::Status { code, .. } => matches!(code, 408 | 425 | 429 | 500 | 502..=599),
            EdgeErrorKind::NotFound
            | EdgeErrorKind::Unserved
            | EdgeErrorKind::Denied
            | EdgeErrorKind::TooLarge
            | EdgeErrorKind::BadBody
            | EdgeErrorKind::Invalid => false,
        }
    }
}

/// `text` in at most `bytes` bytes, with a mark where it was cut. It is cut between words: the head of a
/// secret is none that would be known for one later.
pub fn shorten(text: &str, bytes: usize) -> std::borrow::Cow<'_, str> {
    let text = text.trim();
    if text.len() <= bytes {
        return text.into();
    }
    let end = text.floor_char_boundary(bytes.saturating_sub('…'.len_utf8()));
    let between = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '(' | ')' | '`');
    // What stands right behind the cut may end a word there.
    let whole = text[end..].starts_with(between);
    let end = if whole { end } else { text[..end].rfind(between).map_or(0, |at| text.ceil_char_boundary(at + 1)) };
    format!("{}…", text[..end].trim_end()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_time_can_mend_is_transient() {
        let status = |code| EdgeErrorKind::Status { code, reason: String::new() };
        for (kind, transient) in [
            (EdgeErrorKind::Unreachable, true),
            (EdgeErrorKind::Timeout, true),
            (status(429), true),
            (status(503), true),
            (status(501), false),
            (status(400), false),
            (status(422), false),
            (EdgeErrorKind::Denied, false),
            (EdgeErrorKind::TooLarge, false),
            (EdgeErrorKind::Invalid, false),
        ] {
            assert_eq!(EdgeError::new("p", kind.clone(), "x").is_transient(), transient, "{kind:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_shortened_text_fits(text in ".{0,200}", bytes in 3usize..80) {
            proptest::prop_assert!(shorten(&text, bytes).len() <= bytes);
        }

        #[test]
        fn no_part_of_a_word_is_kept(before in "[a-z \"]{0,40}", bytes in 3usize..80) {
            let text = format!("{before} \"s3cr3t-value\" rest of it all");
            let short = shorten(&text, bytes);
            proptest::prop_assert!(!short.contains("s3") || short.contains("s3cr3t-value"), "{}", short);
        }
    }
}
