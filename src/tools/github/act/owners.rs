//! Files that have owners of their own, by a CODEOWNERS file.

use super::glob;

/// Where GitHub looks for it; the first one counts.
pub(super) const PLACES: [&str; 3] = [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// Whether `path` has owners: of the rules that mean it, the last one counts.
pub(super) fn has(codeowners: &str, path: &str) -> bool {
    let rules = codeowners.lines().map(|line| line.split(" #").next().unwrap_or_default().trim());
    let rules = rules.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let of = |rule: &&str| rule.split_whitespace().next().is_some_and(|pattern| means(pattern, path));
    let last = rules.rev().find(of);
    last.is_some_and(|rule| rule.split_whitespace().nth(1).is_some())
}

fn means(pattern: &str, path: &str) -> bool {
    let body = pattern.trim_matches('/');
    let anchored = pattern.trim_end_matches('/').contains('/');
    let root = if anchored { String::new() } else { "**/".to_owned() };
    let itself = !pattern.ends_with('/') && glob::matches(&format!("{root}{body}"), path);
    // `docs/*` means what is right in `docs`, and nothing deeper.
    let below = !body.ends_with("/*") && glob::matches(&format!("{root}{body}/*/**"), path);
    itself || below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_means_a_file_tells_its_owners() {
        let file = "# who owns what\n*.go @acme/go\n/clusters/ @acme/ops # production\nclusters/dev/\napps/ @acme/apps\ndocs/* @acme/docs\n/build/logs/ @octo\n";
        for (path, owned) in [
            ("a/b.go", true),
            ("clusters/prod/app.yaml", true),
            ("clusters/dev/app.yaml", false),
            ("x/clusters/prod/app.yaml", false),
            ("x/apps/y/z.yaml", true),
            ("docs/a.md", true),
            ("docs/b/a.md", false),
            ("build/logs/a", true),
            ("README.md", false),
        ] {
            assert_eq!(has(file, path), owned, "{path}");
        }
        assert!(has("* @all", "any/where") && !has("", "a") && !has("* @all\n*.md", "b/a.md"));
    }
}
