//! Queries that cannot leave the projects that count.

/// Longest query that is sent.
const MOST_CHARS: usize = 4_000;

/// `jql` among `projects` alone, with its order at the end. The error says what to write instead.
///
/// # Errors
/// When brackets or quotation marks do not match, for then it could mean more than it says.
pub fn confined(jql: &str, projects: &[String]) -> Result<String, String> {
    if jql.chars().count() > MOST_CHARS {
        return Err(format!("the query is longer than {MOST_CHARS} characters"));
    }
    let (condition, order) = taken_apart(jql)?;
    let listed: Vec<String> = projects.iter().map(|project| quoted(project)).collect();
    let among = format!("project in ({})", listed.join(", "));
    let condition = match condition.trim() {
        "" => among,
        condition => format!("{among} AND ({condition})"),
    };
    Ok(match order.trim() {
        "" => format!("{condition} ORDER BY updated DESC"),
        order => format!("{condition} {order}"),
    })
}

/// `text` as one value of a query.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Condition and order of `jql`.
fn taken_apart(jql: &str) -> Result<(&str, &str), String> {
    let (mut depth, mut within, mut escaped) = (0_u32, None, false);
    let mut order = None;
    for (at, c) in jql.char_indices() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            return Err("the query holds a control character".into());
        }
        match (within, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(mark), c) if c == mark => within = None,
            (Some(_), _) => {}
            (None, '\\') => return Err("put what has a backslash between quotation marks".into()),
            (None, '"' | '\'') => within = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.checked_sub(1).ok_or("a closing bracket has no opening one")?,
            (None, 'o' | 'O') if depth == 0 && order.is_none() && begins_order(jql, at) => order = Some(at),
            (None, _) => {}
        }
    }
    if within.is_some() || depth > 0 {
        return Err("a quotation mark or bracket is not closed".into());
    }
    let (condition, order) = jql.split_at(order.unwrap_or(jql.len()));
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || ",_-.\"'[]".contains(c);
    match order.chars().all(plain) {
        true => Ok((condition, order)),
        false => Err("behind ORDER BY only fields, ASC and DESC may stand".into()),
    }
}

/// Whether the words ORDER BY stand at `at`.
fn begins_order(jql: &str, at: usize) -> bool {
    let before = jql[..at].chars().next_back();
    let mut words = jql[at..].split_whitespace();
    let is = |word: Option<&str>, wanted: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    before.is_none_or(|c| c.is_whitespace() || matches!(c, ')' | '"' | '\''))
        && is(words.next(), "order")
        && is(words.next(), "by")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stays_among_the_projects() {
        let projects = ["OPS".to_owned(), "WEB".to_owned()];
        let confined = |jql: &str| confined(jql, &projects);
        for (jql, expected) in [
            ("", "project in (\"OPS\", \"WEB\") ORDER BY updated DESC"),
            ("text ~ \"disk\"", "project in (\"OPS\", \"WEB\") AND (text ~ \"disk\") ORDER BY updated DESC"),
            ("status = Done order  by created", "project in (\"OPS\", \"WEB\") AND (status = Done) order  by created"),
            ("a = ')' OR b = 1", "project in (\"OPS\", \"WEB\") AND (a = ')' OR b = 1) ORDER BY updated DESC"),
            (
                "text ~ \"order by )\"",
                "project in (\"OPS\", \"WEB\") AND (text ~ \"order by )\") ORDER BY updated DESC",
            ),
            ("ORDER BY created DESC", "project in (\"OPS\", \"WEB\") ORDER BY created DESC"),
            ("border by = 1", "project in (\"OPS\", \"WEB\") AND (border by = 1) ORDER BY updated DESC"),
        ] {
            assert_eq!(confined(jql).as_deref(), Ok(expected), "{jql}");
        }
        for wrong in [
            "a = 1) OR (project = HR",
            "a = 1) OR project = HR OR (b = 1",
            "a = \"x",
            "a = \\\" ) OR (project = HR",
            "a = \"x\\\" ) OR (project = HR",
            "a = 1 ORDER BY created) OR (project = HR",
            "a = 1 ORDER BY created; project = HR",
            "(a = 1",
            "a = \u{0}",
        ] {
            assert!(confined(wrong).is_err(), "{wrong}");
        }
        assert!(confined(&"x".repeat(4_001)).is_err());
    }

    #[test]
    fn a_value_ends_where_its_marks_end() {
        assert_eq!(quoted("a\"b\\c\nd"), "\"a\\\"b\\\\c d\"");
    }

    proptest::proptest! {
        #[test]
        fn whatever_passes_has_its_condition_within_the_brackets(jql in "[ab()\"' \\\\]{0,12}") {
            if let Ok(found) = confined(&jql, &["OPS".to_owned()]) {
                let rest = found.strip_prefix("project in (\"OPS\")").unwrap_or_default();
                // Outside quotation marks no bracket closes more than was opened.
                let (mut depth, mut within, mut escaped) = (0_i32, None, false);
                for c in rest.chars() {
                    match (within, c) {
                        (Some(_), _) if escaped => escaped = false,
                        (Some(_), '\\') => escaped = true,
                        (Some(mark), c) if c == mark => within = None,
                        (None, '"' | '\'') => within = Some(c),
                        (None, '(') => depth += 1,
                        (None, ')') => depth -= 1,
                        _ => {}
                    }
                    proptest::prop_assert!(depth >= 0);
                }
                proptest::prop_assert!(depth == 0 && within.is_none());
            }
        }
    }
}
