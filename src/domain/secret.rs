//! Secrets have no way out: no `Serialize`, no `Display`, a `Debug` that says nothing.

use secrecy::{ExposeSecret, SecretString};

/// A resolved secret. Where it came from may be shown; what it is may not.
#[derive(Clone)]
pub struct Secret {
    value: SecretString,
    origin: String,
}

impl Secret {
    /// Takes `value`, which came from `origin` (`env:GITHUB_TOKEN`, `file:token`).
    pub fn new(value: impl Into<String>, origin: impl Into<String>) -> Self {
        Self { value: SecretString::from(value.into()), origin: origin.into() }
    }

    /// The value, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    /// Where it came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_where_it_came_from_and_nothing_else() {
        let secret = Secret::new("hunter2", "env:TOKEN");
        assert_eq!(format!("{secret:?}"), "Secret(env:TOKEN)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
