//! What a model thinks aloud before it answers.

/// `content` without the `<think>…</think>` that it begins with. A server that takes the opening mark
/// into its template leaves only the closing one. What is only thought is no answer.
pub(super) fn without_thoughts(content: String) -> String {
    let marks = [("<think>", "</think>"), ("<thinking>", "</thinking>")];
    for (open, close) in marks {
        let text = content.trim_start();
        let opened = text.starts_with(open);
        match text.split_once(close) {
            Some((thought, rest)) if opened || !thought.contains('<') && !thought.contains('{') => {
                return rest.trim_start().to_owned();
            }
            None if opened => return String::new(),
            Some(_) | None => {}
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_go_and_the_answer_stays() {
        for (said, left) in [
            ("<think>hm\n<b>?</think>\n\nThe disk is full.", "The disk is full."),
            ("\n <think></think>{\"a\":1}", "{\"a\":1}"),
            ("hm, let me see\n</think>\nDone.", "Done."),
            ("<thinking>a</thinking>b", "b"),
            ("<think>never closed", ""),
            ("The log says </think> twice", "twice"),
            ("Look at {\"line\":\"</think>\"}", "Look at {\"line\":\"</think>\"}"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(without_thoughts(said.to_owned()), left, "{said}");
        }
    }
}
