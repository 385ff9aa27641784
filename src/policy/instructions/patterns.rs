//! What instructions look like, in texts without disguise.

use super::Written;
use regex::{Regex, RegexSet};
use std::sync::LazyLock;

/// Instructions in characters that nobody sees.
pub(super) const HIDDEN: &str = "hidden";
/// Advice to change something.
const REMEDY: &str = "remedy";

/// The kinds, and what each is known by. Texts are folded: lower case, one space between words.
pub(super) const KINDS: [(&str, &[&str]); 7] = [
    // Forget what you were told.
    (
        "override",
        &[
            r"\b(?:ignore|disregard|forget|override|bypass|overlook|neglect|discard|(?:do not|don't|never|stop) (?:follow|following|obey|obeying)) (?:[a-z'-]+ ){0,3}(?:all|any|your|the|these|those|previous|prior|above|earlier|my|every|system|preceding|former|existing)(?: [a-z'-]+){0,3}? (?:instructions?|prompts?|rules|polic(?:y|ies)|guidelines?|directives?|guardrails?|restrictions?|orders|safeguards?)\b",
            r"(?:ignore|disregard|forget|override)(?:all|any|of|the|your|my|previous|prior|above|earlier|system|preceding)+(?:instructions|prompts?|rules|guidelines)",
            r"\bignorieren? (?:sie )?(?:[a-zäöüß]+ ){0,3}(?:anweisungen|regeln|vorgaben|instruktionen|richtlinien)",
            r"\b(?:ignore|ignorez|oublie|oubliez) (?:[a-zà-ÿ']+ ){0,3}(?:instructions|consignes|règles|regles)",
            r"\b(?:ignora|ignore|olvida) (?:[a-zà-ÿ]+ ){0,3}(?:instrucciones|reglas|istruzioni|instruções|regras)",
            r"\bnegeer (?:[a-z]+ ){0,3}(?:instructies|regels)",
            r"\bzignoruj (?:[a-ząćęłńóśźż]+ ){0,3}(?:instrukcje|polecenia|zasady)",
        ],
    ),
    // Be somebody else.
    (
        "role",
        &[
            r"\byou are now (?:an? |the |in |my |free|no longer|root|admin|acting|unrestricted|operating|authori[sz]ed)",
            r"\bfrom now on,? you\b",
            r"\bact as (?:an? |the )?(?:ai|admin|administrator|root|system|developer|unrestricted|cluster-admin|operator|sre|different)\b",
            r"\bpretend (?:to be|you are|that you)\b",
            r"\b(?:new|updated|revised|real|actual) (?:instructions?|directives?|orders|task|objective|goal) ?[:=]",
            r"\byour (?:new |real |actual |only |next )(?:task|goal|role|objective|mission|instructions?)\b",
            r"\b(?:reveal|print|show|repeat|leak|output) (?:[a-z]+ )?(?:system|hidden|initial) prompt\b",
            r"(?:youarenow|fromnowonyou|newinstructions|yournewtask)",
        ],
    ),
    // Nobody needs to be asked.
    (
        "approval",
        &[
            r"\b(?:approved|authori[sz]ed|signed off|cleared) by (?:the |our |your )?(?:oncall|on-call|on call|sre|human|operator|admin|administrator|team lead|lead|security|manager|management|cto|ciso|owner|incident commander)\b",
            r"\b(?:this|the|these|all|any|following) (?:action|change|remediation|restart|deletion|fix|command|operation|write)s? (?:is|are|was|were|has|have) (?:already |been |fully |pre-? ?)*(?:approved|authori[sz]ed|cleared|signed off)\b",
            r"\bno (?:further |human |manual |additional |explicit )*(?:approval|confirmation|authori[sz]ation|sign-?off|permission) (?:is |was )?(?:needed|required|necessary)\b",
            r"\bwithout (?:further |any |human |manual |asking for |waiting for |requesting )+(?:approval|confirmation|authori[sz]ation|permission)\b",
            r"\b(?:do not|don't|never|no need to|need not|without) (?:ask|asking|wait|waiting) for (?:the |any |an? |human |further )*(?:approval|confirmation|permission|operator|human|oncall|on-call|user)\b",
            r"\b(?:skip|bypass|disable|circumvent) (?:the |any |all |every |your )*(?:approvals?|confirmations?|approval (?:gate|step|process)|policy (?:checks?|gate|engine)|human review|safety checks?)\b",
            r"\bapproval[ _-](?:id|token|code|granted|reference|ref) ?[:=]",
            r"\b(?:action|change|request|remediation) pre-?(?:approved|authori[sz]ed)\b",
            r"(?:approvedbyon|approvedbythe|approvedbyadmin|noapprovalneeded|noapprovalrequired|donotaskfor)",
        ],
    ),
    // Call this.
    (
        "tool",
        &[
            r"\b(?:call|invoke|use|run|execute|trigger) (?:the )?(?:tool |function )?[`\x22']?(?:kubernetes_(?:rollout_restart|rollout_undo|scale|delete|delete_pod|apply|cordon|uncordon|expand_volume|run_cronjob)|github_(?:comment|create_issue|open_pull_request)|jira_(?:comment|create_issue|transition|link)|alertmanager_(?:silence|expire_silence)|submit_report|evidence_read)\b",
            r"\b(?:kubernetes_(?:rollout_restart|rollout_undo|scale|delete|delete_pod|apply|cordon|expand_volume|run_cronjob)|github_open_pull_request) ?[({]",
            r"\b(?:call|invoke|use) (?:the )?[a-z_.-]+ (?:tool|function) (?:with|to|and|now|immediately)\b",
        ],
    ),
    // Tell nobody.
    (
        "secrecy",
        &[
            r"\b(?:do not|don't|never|without) (?:tell|telling|mention|mentioning|report|reporting|reveal|revealing|inform|informing|notify|notifying|disclose|disclosing) (?:this |it |that |anything )?(?:about this )?(?:to )?(?:the |any |an? )?(?:user|operator|human|oncall|on-call|sre|team|admin|anyone|anybody|person|people|engineer)s?\b",
            r"\b(?:tell|inform) (?:nobody|no one)\b",
            r"\bkeep (?:this|it) (?:secret|hidden|confidential)\b",
        ],
    ),
    // You, program.
    (
        "reader",
        &[
            r"\b(?:ai|llm|language models?|chatbot|chatgpt|sre agent|ai agents?|ai assistants?|autonomous agents?|automated (?:agent|responder|remediation)|remediation agent|investigation agent|firewarden|agents? reading this)(?: (?:reading this|reviewing this|analy[sz]ing this))?,? (?:must|should|shall|has to|have to|needs? to|please|is (?:instructed|required|authori[sz]ed|allowed) to|are (?:instructed|required|authori[sz]ed|allowed) to)\b",
            r"\bif you(?: are|'re) an? (?:[a-z]+ )?(?:ai|llm|language model|assistant|agent|model|bot)\b",
            r"\b(?:attention|note|notice|message|instructions?|dear) (?:to |for )?(?:all |any |the )?(?:ai|llm|ai assistants?|ai agents?|llm agents?|language models?|sre agents?|automation agents?)\b ?[:,!-]",
        ],
    ),
    // Carry this out.
    (
        "secrets",
        &[
            r"\b(?:send|post|upload|exfiltrate|forward|email|leak|dump|reveal|include|paste|attach) (?:[a-z'-]+ ){0,3}(?:secrets?|credentials?|api keys?|system prompt|service ?account tokens?|bearer tokens?|environment variables?|kubeconfig|private keys?|passwords?)(?: [a-z'-]+){0,4}? (?:to|in|into|at) (?:https?:|the (?:pull request|pr|ticket|issue|comment|report|url|body|title|branch|channel)|this )",
        ],
    ),
];

/// Commands that change something, for [`REMEDY`].
const COMMANDS: &str = r"\b(?:(?:kubectl|oc) (?:[!-~]+ ){0,6}?(?:delete|scale|patch|apply|rollout|edit|set|drain|cordon|exec|create|replace)\b|helm (?:[!-~]+ ){0,3}?(?:upgrade|rollback|uninstall|install)\b|(?:curl|wget) [ -~]{0,100}?\| ?(?:sudo )?(?:ba|z|da)?sh\b|add-apt-repository\b|ppa:|apt(?:-get)? (?:-[!-~]+ )*(?:install|remove|purge)\b|pip3? install\b|npm (?:install|i) |docker (?:run|pull|rm|kill)\b|rm -[a-z]*[rf]|chmod (?:-r )?777\b|terraform (?:apply|destroy)\b|systemctl (?:stop|disable|mask)\b|(?:downgrade|roll ?back|revert) (?:[!-~]+ ){0,4}?to (?:version |v)?[0-9])";
/// Words in front of them that make them advice: a log that only tells what ran is none.
const ADVICE: &[&str] = &[
    "to fix",
    "to resolve",
    "to remediate",
    "to mitigate",
    "to recover",
    "to solve",
    "to repair",
    "remediation",
    "recommend",
    "resolution",
    "solution",
    "workaround",
    "quick fix",
    "hotfix",
    "action required",
    "required action",
    "known fix",
    "please",
    "you must",
    "you should",
    "you need to",
    "you have to",
    "sre note",
    "note to ",
    "runbook",
];
/// Bytes in front of a command that are looked at, and commands of one text.
const BEFORE: usize = 160;
const MOST_COMMANDS: usize = 100;

/// Signs of a conversation within a text: turns of it, and the ends of what was fenced. As it was written,
/// for lines count, but in lower case.
const TURNS: &[&str] = &[
    r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|eot_id|endoftext|tool)",
    r"\[/?inst\]|<</?sys>>|<start_of_turn>",
    r"</?(?:tool_call|tool_result|tool_response|tool_use|function_calls?|function_results?|assistant|system_prompt|system-reminder|system_message|untrusted)>",
    r"<system>\s*(?:you|ignore|new|override|important|the )",
    r"(?m)^\s*(?:human|assistant)\s*:\s",
    r"(?m)^\W*(?:system|developer|admin|administrator|operator|sre|security|firewarden)(?: (?:message|prompt|note|notice|instructions?|override|command|directive))?\s*[:>\]]+ *(?:you |ignore|disregard|please|override|call the|approve|proceed with|the (?:previous|approval|change|operator))",
    r#""role"\s*:\s*"(?:system|assistant|tool|developer)""#,
    r#""(?:tool_calls|function_call|tool_use)"\s*:"#,
    r"\[(?:end )?untrusted\b",
    r"\bend of (?:the )?(?:untrusted|tool|log) (?:data|output|result|text|section|excerpt)s?\b",
    r"(?m)^#{2,3} ?(?:assistant|human|system prompt)\b",
];

/// Orders in languages whose letters folding takes for Latin ones. As they were written, in lower case.
const FOREIGN: &[&str] = &[
    "(?:игнорируй|игнорируйте|забудь|забудьте|не следуй|не следуйте)[^\n]{0,40}(?:инструкци|правил|указани)",
    "ігноруй(?:те)?[^\n]{0,40}(?:інструкці|правил|вказівк)",
    "(?:忽略|无视|忽视|無視)[^\n]{0,12}(?:指令|指示|规则|規則|提示)",
    "(?:指示|命令|ルール)[^\n]{0,12}無視",
    "(?:지시|명령|규칙)[^\n]{0,10}무시",
    "(?:talimatları|yönergeleri|kuralları) (?:yok say|görmezden gel)",
    "تجاهل[^\n]{0,30}(?:التعليمات|الأوامر)",
    "निर्देश[^\n]{0,12}(?:अनदेखा|नज़रअंदाज़)",
];

/// Words end where ASCII ones do: the other rule makes the search slow in foreign texts.
fn quick(pattern: &str) -> String {
    pattern.replace(r"\b", r"(?-u:\b)")
}

static FOLDED: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(KINDS.iter().flat_map(|(_, patterns)| patterns.iter().map(|p| quick(p)))).ok());
static RAW_COMMANDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&quick(COMMANDS)).ok());
static RAW_TURNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&quick(&TURNS.join("|"))).ok());
static RAW_FOREIGN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&FOREIGN.join("|")).ok());

/// The kinds that one folded reading shows. Patterns that do not compile (a test says that they do) find
/// everything: nobody is let through by a mistake of ours.
pub(super) fn in_folded(reading: &str, written: Written) -> Vec<&'static str> {
    let kinds = KINDS.iter().flat_map(|(kind, patterns)| patterns.iter().map(|_| *kind));
    let Some(set) = &*FOLDED else { return KINDS.iter().map(|(kind, _)| *kind).collect() };
    let matched = set.matches(reading);
    let mut found: Vec<_> = kinds.enumerate().filter(|(n, _)| matched.matched(*n)).map(|(_, kind)| kind).collect();
    found.extend((written == Written::ByMachines && advises(reading)).then_some(REMEDY));
    found
}

/// Whether a command that changes something is recommended.
fn advises(reading: &str) -> bool {
    let Some(commands) = &*RAW_COMMANDS else { return true };
    commands.find_iter(reading).take(MOST_COMMANDS).any(|command| {
        let before = &reading[reading.ceil_char_boundary(command.start().saturating_sub(BEFORE))..command.start()];
        ADVICE.iter().any(|word| before.contains(word))
    })
}

/// The kinds that the text shows as it was written.
pub(super) fn in_raw(text: &str) -> Vec<&'static str> {
    let lower = text.to_lowercase();
    let finds = |regex: &Option<Regex>| regex.as_ref().is_none_or(|regex| regex.is_match(&lower));
    let mut found = vec![];
    found.extend(finds(&RAW_TURNS).then_some("turn"));
    found.extend(finds(&RAW_FOREIGN).then_some("override"));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        assert!(FOLDED.is_some() && RAW_COMMANDS.is_some() && RAW_TURNS.is_some() && RAW_FOREIGN.is_some());
    }
}
