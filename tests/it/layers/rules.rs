//! The rules: each reads sources and names what breaks it, one line for each place.

use super::source::Source;
use std::collections::BTreeMap;

/// A crate or path that only some files may name.
pub struct Confined {
    /// As it stands in the code.
    pub name: &'static str,
    /// Where it may stand: files, or folders with `/` behind them.
    pub to: &'static [&'static str],
}

/// Rule 2 of `docs/architecture.md`.
pub const CONFINED: &[Confined] = &[
    Confined { name: "sqlx", to: &["src/store/"] },
    Confined { name: "regorus", to: &["src/policy/"] },
    Confined { name: "minijinja", to: &["src/template/"] },
    Confined { name: "kube", to: &["src/edge/"] },
    Confined { name: "k8s_openapi", to: &["src/edge/"] },
    Confined { name: "octocrab", to: &["src/edge/"] },
    Confined { name: "tokio::process", to: &["src/edge/"] },
    Confined { name: "std::process::Command", to: &["src/edge/"] },
    Confined { name: "landlock", to: &["src/edge/"] },
    Confined { name: "reqwest", to: &["src/edge/", "src/model/"] },
    Confined { name: "hyper", to: &["src/edge/"] },
    Confined { name: "tokio_rustls", to: &["src/edge/"] },
    Confined { name: "reqwest012", to: &["src/model/"] },
    Confined { name: "async_openai", to: &["src/model/"] },
    Confined { name: "ollama_rs", to: &["src/model/"] },
    Confined { name: "axum", to: &["src/http/", "src/scenario/"] },
    Confined { name: "rmcp", to: &["src/edge/mcp/", "src/edge/mcp.rs", "src/mcp.rs"] },
    Confined { name: "jsonschema", to: &["src/tools/", "src/engine/propose/", "src/policy/"] },
    Confined { name: "anyhow", to: &["src/cli/", "src/main.rs"] },
    Confined { name: "chrono", to: &[] },
];

/// Modules that are synchronous and take time as an argument.
const PURE: &[&str] = &["domain", "journal", "analysis", "audit"];

/// What a pure module may not say.
const IMPURE: &[&str] = &[
    "async",
    "await",
    "tokio",
    "futures",
    "Timestamp::now",
    "Zoned::now",
    "SystemTime::now",
    "Instant::now",
    "Uuid::now_v7",
    "Uuid::new_v4",
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
];

/// What the program talks to its surroundings through. Whatever implements one is a concrete adapter.
const PORTS: &[&str] = &["Journal", "Blobs", "Events", "StoreReader", "ModelProvider", "Policy"];

/// Lines of one file, tests not counted.
const MOST_LINES: usize = 500;

/// The layer of each module, from `pub mod x; // L2  …` in `src/lib.rs`.
pub fn layers(lib: &str) -> Result<BTreeMap<String, u32>, String> {
    let mut found = BTreeMap::new();
    for line in lib.lines() {
        let Some(rest) = line.trim().strip_prefix("pub mod ").or_else(|| line.trim().strip_prefix("mod ")) else {
            continue;
        };
        let (name, after) = rest.split_once(';').ok_or_else(|| format!("src/lib.rs: `{line}` has a body"))?;
        let number = after.split_once("// L").and_then(|(_, text)| text.split(' ').next()?.parse().ok());
        let number =
            number.ok_or_else(|| format!("src/lib.rs: module `{name}` has no layer: write `// L2  …` behind it"))?;
        found.insert(name.to_owned(), number);
    }
    match found.len() {
        0 => Err("src/lib.rs declares no module".into()),
        _ => Ok(found),
    }
}

/// Rule 1: only from lower layers; siblings of L2 and of L5 never import each other.
pub fn import_upwards(sources: &[Source], layers: &BTreeMap<String, u32>) -> Vec<String> {
    let mut broken = vec![];
    for source in sources.iter().filter(|s| !matches!(s.module(), "lib" | "main")) {
        let Some(own) = layers.get(source.module()) else {
            broken.push(format!("{}: belongs to no module of src/lib.rs", source.path));
            continue;
        };
        for (line, name) in source.imports() {
            let Some(other) = layers.get(&name).filter(|_| name != source.module()) else { continue };
            let at = format!("{}:{line}: {} (L{own}) imports {name} (L{other})", source.path, source.module());
            if other > own {
                broken.push(format!("{at}, which is higher"));
            } else if other == own && matches!(own, 2 | 5) {
                broken.push(format!("{at}, its sibling"));
            }
        }
    }
    broken
}

/// Rule 2: crates stay where they belong.
pub fn unconfined(sources: &[Source]) -> Vec<String> {
    let mut broken = vec![];
    for source in sources {
        for Confined { name, to } in CONFINED {
            if to.iter().any(|place| source.path == *place || (place.ends_with('/') && source.path.starts_with(place)))
            {
                continue;
            }
            for line in says(source, name) {
                let places = if to.is_empty() { "nowhere".to_owned() } else { to.join(", ") };
                broken.push(format!("{}:{line}: `{name}` belongs to {places}", source.path));
            }
        }
    }
    broken
}

/// Rule 3: pure modules are synchronous and read neither clock nor world.
pub fn impure(sources: &[Source]) -> Vec<String> {
    let mut broken = vec![];
    for source in sources.iter().filter(|s| PURE.contains(&s.module())) {
        for word in IMPURE {
            for line in says(source, word) {
                broken.push(format!("{}:{line}: `{word}` in a pure module", source.path));
            }
        }
    }
    broken
}

/// Concrete adapters, `SqliteStore` for instance, and the module of each.
pub fn adapters(sources: &[Source]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in sources {
        for window in source.tokens().windows(4) {
            let [(_, "impl" | "::" | ">"), (_, port), (_, "for"), (_, name)] = window else { continue };
            // `impl<T: Journal> Store for T` names no type.
            if PORTS.contains(port) && name.len() > 1 && name.starts_with(char::is_uppercase) {
                found.insert((*name).to_owned(), source.module().to_owned());
            }
        }
    }
    found
}

/// Rule 4: only `app.rs` names concrete adapters.
pub fn concrete(sources: &[Source], adapters: &BTreeMap<String, String>) -> Vec<String> {
    let mut broken = vec![];
    for source in sources.iter().filter(|s| s.module() != "app") {
        let tokens = source.tokens();
        for (adapter, home) in adapters.iter().filter(|(_, home)| *home != source.module()) {
            for (at, (_, token)) in tokens.iter().enumerate() {
                if token != home || tokens.get(at + 1).is_none_or(|t| t.1 != "::") {
                    continue;
                }
                for (line, _) in path_tokens(&tokens[at + 1..]).iter().filter(|t| t.1 == adapter) {
                    broken.push(format!(
                        "{}:{line}: `{adapter}` is a concrete adapter: only src/app.rs names it",
                        source.path
                    ));
                }
            }
        }
    }
    broken
}

/// The rest of a path or use tree: `::sqlite::{SqliteStore, other}`.
fn path_tokens<'a, 'b>(tokens: &'b [(usize, &'a str)]) -> &'b [(usize, &'a str)] {
    let mut depth = 0_usize;
    let mut before = "";
    for (n, (_, token)) in tokens.iter().enumerate() {
        match *token {
            "{" if before == "::" || depth > 0 => depth += 1,
            "}" if depth > 0 => depth -= 1,
            "::" => {}
            _ if depth > 0 || before == "::" => {}
            _ => return &tokens[..n],
        }
        before = token;
    }
    tokens
}

/// Rule 5: a file reads in one sitting.
pub fn too_long(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().filter(|s| s.lines > MOST_LINES);
    long.map(|s| format!("{}: {} lines without tests, more than {MOST_LINES}: split it by idea", s.path, s.lines))
        .collect()
}

/// Rule 6: no unsafe code, by the manifest.
pub fn allows_unsafe(manifest: &str) -> Vec<String> {
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        if section == "[lints.rust]" && line.replace(' ', "") == "unsafe_code=\"forbid\"" {
            return vec![];
        }
    }
    vec!["Cargo.toml: [lints.rust] does not say unsafe_code = \"forbid\"".into()]
}

/// What needs more than cargo and a C compiler, in the output of `cargo tree --prefix none`.
pub fn foreign_builds(tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<String> = names
        .filter(|name| matches!(*name, "aws-lc-sys" | "aws-lc-rs" | "openssl-sys" | "native-tls" | "cmake"))
        .map(|name| format!("{name} is built: TLS has one provider, ring"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Texts of this machine in a file that others will read.
pub fn tells_of_machine(path: &str, text: &str, machine: &[String]) -> Vec<String> {
    let mut broken = vec![];
    for (number, line) in text.lines().enumerate() {
        for word in machine {
            if line.contains(word.as_str()) {
                broken.push(format!("{path}:{}: names `{word}`, which is of this machine alone", number + 1));
            }
        }
    }
    broken
}

/// Lines that say `word`: an identifier, or a path such as `tokio::process`.
fn says(source: &Source, word: &str) -> Vec<usize> {
    let wanted: Vec<&str> = word.split("::").flat_map(|part| ["::", part]).skip(1).collect();
    let tokens = source.tokens();
    let mut found = vec![];
    for (at, (line, _)) in tokens.iter().enumerate() {
        let Some(here) = tokens.get(at..at + wanted.len()) else { break };
        if !here.iter().map(|t| t.1).eq(wanted.iter().copied()) {
            continue;
        }
        let before = at.checked_sub(1).map_or("", |n| tokens[n].1);
        // A method, a field or a module of ours may have a crate's name; the root of a path may not.
        let after = tokens.get(at + wanted.len()).map_or("", |t| t.1);
        let is_root = !matches!(before, "::" | ".") && (after == "::" || before == "use");
        if matches!(word, "async" | "await") || wanted.len() > 1 || is_root {
            found.push(*line);
        }
    }
    found.extend(grouped(&tokens, &wanted));
    found.sort_unstable();
    found.dedup();
    found
}

/// `use tokio::{net, process::Command}` says `tokio::process`.
fn grouped(tokens: &[(usize, &str)], wanted: &[&str]) -> Vec<usize> {
    let [root, _, rest @ ..] = wanted else { return vec![] };
    let mut found = vec![];
    for at in 0..tokens.len().saturating_sub(2) {
        if tokens[at].1 != *root || tokens[at + 1].1 != "::" || tokens[at + 2].1 != "{" {
            continue;
        }
        let mut depth = 0_usize;
        for n in at + 2..tokens.len() {
            match tokens[n].1 {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            let here = tokens.get(n..n + rest.len()).is_some_and(|t| t.iter().map(|t| t.1).eq(rest.iter().copied()));
            if depth == 1 && here && matches!(tokens[n - 1].1, "{" | ",") {
                found.push(tokens[n].0);
            }
        }
    }
    found
}
