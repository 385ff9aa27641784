//! Claims of having acted. What was done stands in the journal; a model's word adds nothing to it.

/// What a change is called once it is done.
const DEEDS: [&str; 46] = [
    "added",
    "applied",
    "approved",
    "changed",
    "cleaned",
    "closed",
    "cordoned",
    "created",
    "deleted",
    "deployed",
    "disabled",
    "drained",
    "edited",
    "enabled",
    "escalated",
    "evicted",
    "executed",
    "expanded",
    "extended",
    "fixed",
    "increased",
    "installed",
    "killed",
    "merged",
    "mitigated",
    "opened",
    "patched",
    "purged",
    "raised",
    "ran",
    "rebooted",
    "redeployed",
    "remediated",
    "removed",
    "resized",
    "resolved",
    "restarted",
    "restored",
    "reverted",
    "rolled",
    "scaled",
    "silenced",
    "stopped",
    "terminated",
    "updated",
    "upgraded",
];
/// Who claims it.
const SELVES: [&str; 7] = ["i", "we", "i've", "we've", "ive", "firewarden", "assistant"];
/// What may stand between the claimant and the deed.
const BETWEEN: [&str; 14] = [
    "already",
    "also",
    "and",
    "automatically",
    "had",
    "has",
    "have",
    "immediately",
    "just",
    "manually",
    "now",
    "safely",
    "successfully",
    "then",
];
/// What may stand between a deed and `by`.
const NEAR: usize = 4;

/// Put before a text that claims an action.
pub const MARK: &str = "[claims an action; what was done stands under actions] ";

/// The words with which `text` claims that its author changed something: `I have restarted`,
/// `was fixed by us`. What others did ("was scaled by kubectl") is evidence, not a claim.
pub fn claimed(text: &str) -> Option<String> {
    let text = text.replace('’', "'").to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !(c.is_alphanumeric() || c == '\'')).filter(|word| !word.is_empty()).collect();
    let phrase = |from: usize, to: usize| words[from..=to].join(" ");
    (0..words.len()).find_map(|at| {
        if SELVES.contains(&words[at]) {
            let next = at + 1 + words[at + 1..].iter().take_while(|word| BETWEEN.contains(word)).count();
            return words.get(next).filter(|word| DEEDS.contains(word)).map(|_| phrase(at, next));
        }
        if DEEDS.contains(&words[at]) {
            let by = (at + 1..words.len().min(at + 1 + NEAR)).find(|k| words[*k] == "by")?;
            let who = words.get(by + 1)?;
            let us = matches!(*who, "me" | "us" | "firewarden")
                || matches!((*who, words.get(by + 2)), ("the" | "this", Some(&"assistant")));
            return us.then(|| phrase(at, by + 1));
        }
        None
    })
}

/// As [`claimed`], for advice: it says what to do, so a deed at its beginning is a claim as well.
pub fn claimed_in_advice(text: &str) -> Option<String> {
    let first: String =
        text.trim_start().chars().take_while(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    claimed(text).or_else(|| DEEDS.contains(&first.as_str()).then_some(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_says_it_acted_is_heard() {
        for (text, words) in [
            ("I restarted the pod.", "i restarted"),
            ("The pod hung, so I have already restarted it.", "i have already restarted"),
            ("I’ve scaled the deployment", "i've scaled"),
            ("We then successfully rolled back", "we then successfully rolled"),
            ("firewarden has patched the deployment", "firewarden has patched"),
            ("The volume was expanded by us.", "expanded by us"),
            ("Was deleted just now by this assistant", "deleted just now by this"),
        ] {
            assert_eq!(claimed(text).as_deref(), Some(words), "{text}");
        }
        assert_eq!(claimed_in_advice("Restarted the pod, all is well.").as_deref(), Some("restarted"));
    }

    #[test]
    fn what_others_did_is_evidence() {
        for text in [
            "The deployment was scaled to 0 by kubectl.",
            "restarted 12 times",
            "I recommend that it is restarted.",
            "We see that the pod restarted.",
            "The operator deleted the claim.",
            "It was resolved by itself.",
            "",
        ] {
            assert_eq!(claimed(text), None, "{text}");
        }
        assert_eq!(claimed_in_advice("Restart the pod that was killed."), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text: String) {
            let _ = claimed_in_advice(&text);
        }
    }
}
