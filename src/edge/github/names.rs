//! Repositories, paths and refs, checked before they become a part of an address.

use std::fmt;

/// Longest path of a file and longest name of a branch, in bytes.
const LONGEST: usize = 1024;

/// A repository, `owner/name`. GitHub does not tell upper from lower case in these, and neither does
/// this.
#[derive(Debug, Clone)]
pub struct Repo {
    owner: String,
    name: String,
}

impl Repo {
    /// Reads `owner/name`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (owner, name) = text.trim().split_once('/').ok_or("is no repository: write `owner/name`")?;
        let plain = |part: &str, more: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
                && !matches!(part, "." | "..")
        };
        match plain(owner, "-_") && plain(name, "-_.") {
            true => Ok(Self { owner: owner.to_owned(), name: name.to_owned() }),
            false => Err("is no repository: write `owner/name`, without address and `.git`"),
        }
    }

    /// Whom it belongs to.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name alone.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl PartialEq for Repo {
    fn eq(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for Repo {}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The path of a file or folder within a repository, without slashes at its ends; empty is the root.
///
/// # Errors
/// What is wrong with it.
pub fn path(text: &str) -> Result<&str, &'static str> {
    let path = text.trim_matches('/');
    let odd = |part: &str| part.is_empty() || matches!(part, "." | "..");
    if path.len() > LONGEST || path.chars().any(char::is_control) {
        return Err("is no path: too long, or with characters that cannot be seen");
    }
    match !path.is_empty() && path.split('/').any(odd) {
        true => Err("is no path: write it from the root of the repository, without `.`, `..` and `//`"),
        false => Ok(path),
    }
}

/// The name of a branch or tag, or the SHA of a commit.
///
/// # Errors
/// What is wrong with it.
pub fn reference(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let parts = || text.split('/');
    let wrong = text.is_empty()
        || text.len() > LONGEST
        || text.chars().any(odd)
        || text.contains("..")
        || text.contains("@{")
        || parts().any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"))
        || text.starts_with('-')
        || text.ends_with('.');
    if wrong { Err("is no ref: write a branch, a tag or the SHA of a commit") } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_an_owner_and_a_name() {
        assert_eq!(Repo::parse(" acme/Platform.v2 ").unwrap().to_string(), "acme/Platform.v2");
        assert_eq!(Repo::parse("ACME/platform").unwrap(), Repo::parse("acme/Platform").unwrap());
        assert_ne!(Repo::parse("acme/platform").unwrap(), Repo::parse("acme/platform2").unwrap());
        for wrong in
            ["", "acme", "/x", "a/", "a/b/c", "a/..", "a/b?c", "a b/c", "../x", "a/ä", "https://github.com/a/b"]
        {
            assert!(Repo::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn paths_stay_within_the_repository() {
        for (text, expected) in
            [("/clusters/prod/", "clusters/prod"), ("", ""), ("/", ""), ("a b/ö.yaml", "a b/ö.yaml")]
        {
            assert_eq!(path(text), Ok(expected), "{text}");
        }
        for wrong in ["a/../b", "..", "a//b", "./a", "a\nb", &"x".repeat(1025)] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn refs_are_names_and_no_expressions() {
        for text in ["main", "release/1.2", "v1.0.0", "0123456789abcdef0123456789abcdef01234567", "refs/heads/x"] {
            assert_eq!(reference(text), Ok(text));
        }
        for wrong in ["", "main~1", "a..b", "HEAD^", "a:b", "a b", "-x", "a//b", ".hidden", "x.lock", "a@{1}", "x."] {
            assert!(reference(wrong).is_err(), "{wrong}");
        }
    }
}
