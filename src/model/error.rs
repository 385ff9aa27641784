//! Why a model gave no usable answer.

use std::time::Duration;

/// Why a model gave no usable answer. No text here ever contains a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The configuration cannot work.
    #[error("model `{model}`: {what}. Correct the entry under `models` in the configuration.")]
    Settings {
        /// The configured name.
        model: String,
        /// What is wrong with it.
        what: String,
    },
    /// Nobody answers there: no connection was made, so nothing was sent.
    #[error("model `{model}`: cannot reach {base_url}: {why}. Check `base_url` and that the server runs.")]
    Unreachable {
        /// The configured name.
        model: String,
        /// Where.
        base_url: String,
        /// What the network said.
        why: String,
    },
    /// The connection broke after the request had begun to leave: it may have been worked on.
    #[error(
        "model `{model}`: the connection to {base_url} broke ({why}); nothing of the answer was used. Look at the server and what stands before it."
    )]
    Broken {
        /// The configured name.
        model: String,
        /// Where.
        base_url: String,
        /// What the network said.
        why: String,
    },
    /// The answer took too long.
    #[error("model `{model}`: no answer within {after:?}. Raise its `timeout` or choose a faster model.")]
    Timeout {
        /// The configured name.
        model: String,
        /// The limit that was reached.
        after: Duration,
    },
    /// The answer began, and then nothing more came.
    #[error(
        "model `{model}`: the answer stopped in the middle, nothing came for {after:?}; it was dropped. Look at the server."
    )]
    Stalled {
        /// The configured name.
        model: String,
        /// The silence that was waited through.
        after: Duration,
    },
    /// The server wants fewer requests.
    #[error("model `{model}`: rate limited ({message}). Wait{}, or raise the quota at the provider.", wait(.retry_after))]
    RateLimited {
        /// The configured name.
        model: String,
        /// When to come back, if the server said.
        retry_after: Option<Duration>,
        /// What the server said.
        message: String,
    },
    /// The server is in trouble (5xx), also after repeating.
    #[error(
        "model `{model}`: the server failed with {status}: {message}. Look at the server; the report without a model is kept."
    )]
    Unavailable {
        /// The configured name.
        model: String,
        /// HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The server does not want this request; repeating it changes nothing.
    #[error("model `{model}`: the server refused with {status}: {message}. {}", remedy(*.status))]
    Rejected {
        /// The configured name.
        model: String,
        /// HTTP status.
        status: u16,
        /// What the server said.
        message: String,
    },
    /// The conversation does not fit into the model's context.
    #[error(
        "model `{model}`: the conversation is longer than its context ({message}). Choose a model with a larger context or lower the budgets."
    )]
    TooLong {
        /// The configured name.
        model: String,
        /// What the server said.
        message: String,
    },
    /// The answer passed the size limit and was not read further.
    #[error(
        "model `{model}`: the answer is larger than {limit} bytes and was dropped. Check what answers at `base_url`."
    )]
    TooLarge {
        /// The configured name.
        model: String,
        /// The limit.
        limit: usize,
    },
    /// Ollama does not have the model.
    #[error("model `{model}`: {host} does not have `{wanted}`. Run `ollama pull {wanted}` there, or set `pull: true`.")]
    NotPulled {
        /// The configured name.
        model: String,
        /// Where.
        host: String,
        /// What was asked for.
        wanted: String,
    },
    /// The model, or the machine under it, cannot do what is needed.
    #[error("model `{model}`: {what}. {remedy}")]
    Unable {
        /// The configured name.
        model: String,
        /// What it cannot do.
        what: String,
        /// What helps.
        remedy: &'static str,
    },
    /// Another model answered than the pinned one; its answer is dropped.
    #[error(
        "model `{model}`: `{answered}` answered, and `pin` admits only `{pinned}`. Find out who changed it, then set `pin` or `model` anew."
    )]
    NotPinned {
        /// The configured name.
        model: String,
        /// What `pin` says.
        pinned: String,
        /// What the answer calls itself; empty when it does not say.
        answered: String,
    },
    /// A recorded conversation and this one differ.
    #[error("model `{model}`: {what}. Record the investigation again, or leave `strict` out.")]
    NotRecorded {
        /// The configured name.
        model: String,
        /// What differs.
        what: String,
    },
    /// The answer is not one.
    #[error("model `{model}`: unusable answer: {what}. Check that `base_url` ends where `/chat/completions` begins.")]
    Malformed {
        /// The configured name.
        model: String,
        /// What is wrong with it.
        what: String,
    },
}

impl ModelError {
    /// Whether the same request may succeed later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::Timeout { .. }
            | Self::Stalled { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. } => true,
            Self::Settings { .. }
            | Self::Rejected { .. }
            | Self::TooLong { .. }
            | Self::TooLarge { .. }
            | Self::NotPulled { .. }
            | Self::Unable { .. }
            | Self::NotPinned { .. }
            | Self::NotRecorded { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether the server does not speak the protocol: three times in a row, and the next models get
    /// the questions for a while.
    pub const fn is_misshapen(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::TooLarge { .. })
    }
}

fn wait(retry_after: &Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |after| format!(" {} s", after.as_secs()))
}

const fn remedy(status: u16) -> &'static str {
    match status {
        401 | 403 => "Check `api_key` and what it may use.",
        402 => "Check the account's balance.",
        404 => "Check `base_url` (it usually ends in /v1) and `model`.",
        300..=399 => "Redirects are not followed; put the final address into `base_url`.",
        _ => "Check `model` and whether the server supports tool calls.",
    }
}
