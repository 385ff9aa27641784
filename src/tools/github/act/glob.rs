//! Which paths a pattern means: `*` and `?` within a folder, `**` across folders.

/// Whether `pattern` means `path`.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    // Reached: how much of the path the pattern so far can mean.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in pattern {
        let mut next = vec![false; path.len() + 1];
        for at in 0..=path.len() {
            next[at] = match part {
                "**" => reached[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && reached[at - 1] && within(part, path[at - 1]),
            };
        }
        reached = next;
    }
    reached[path.len()]
}

/// Whether a pattern without slashes means a name without slashes.
fn within(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for part in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match part {
                '*' => reached[at] || (at > 0 && next[at - 1]),
                '?' => at > 0 && reached[at - 1],
                part => at > 0 && reached[at - 1] && name[at - 1] == part,
            };
        }
        reached = next;
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_paths_as_in_a_shell() {
        for (pattern, path, expected) in [
            ("clusters/**", "clusters/prod/app.yaml", true),
            ("clusters/**", "clusters", true),
            ("clusters/**", "clusters2/app.yaml", false),
            ("clusters/*", "clusters/prod/app.yaml", false),
            ("clusters/*/app.yaml", "clusters/prod/app.yaml", true),
            ("**/values*.yaml", "charts/a/values-prod.yaml", true),
            ("**/values*.yaml", "values.yaml", true),
            ("**", "a/b/c", true),
            ("*", "a/b", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("Clusters/**", "clusters/a", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
        let hostile = "**/".repeat(300) + "x";
        assert!(!matches(&hostile, &"a/".repeat(300)), "and in little time");
    }
}
