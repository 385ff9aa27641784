//! The rules of the house (`docs/architecture.md`), read from the sources. Each rule is a function
//! from texts to complaints and is shown here to complain.

mod rules;
mod source;

use source::Source;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every shipped source, with its path below the root.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(read_sources);
    &SOURCES
}

fn read_sources() -> Vec<Source> {
    let mut waiting = vec![root().join("src")];
    let mut all = vec![];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                all.push(Source::read(&inside, &read(&path)));
            }
        }
    }
    let tests: BTreeSet<String> = all.iter().flat_map(|s| s.test_modules.clone()).collect();
    all.retain(|s| !tests.iter().any(|t| s.path == format!("{t}.rs") || s.path.starts_with(&format!("{t}/"))));
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn none(broken: &[String]) {
    assert!(broken.is_empty(), "{} places break a rule of the house:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn modules_import_only_from_lower_layers() {
    let layers = rules::layers(&read("src/lib.rs")).unwrap();
    let sources = sources();
    assert!(sources.iter().map(|s| s.imports().len()).sum::<usize>() > 20, "the reader sees no imports");
    none(&rules::import_upwards(sources, &layers));
}

#[test]
fn crates_stay_where_they_belong() {
    none(&rules::unconfined(sources()));
}

#[test]
fn pure_modules_are_pure() {
    none(&rules::impure(sources()));
}

#[test]
fn only_app_names_concrete_adapters() {
    let sources = sources();
    let adapters = rules::adapters(sources);
    for (known, home) in [("SqliteStore", "store"), ("OpenAi", "model"), ("RegoPolicy", "policy")] {
        assert_eq!(adapters.get(known).map(String::as_str), Some(home), "the reader sees only {adapters:?}");
    }
    none(&rules::concrete(sources, &adapters));
}

#[test]
fn files_read_in_one_sitting() {
    none(&rules::too_long(sources()));
}

#[test]
fn unsafe_code_is_forbidden() {
    none(&rules::allows_unsafe(&read("Cargo.toml")));
}

#[test]
fn cargo_and_a_c_compiler_build_it() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal,build,dev", "--prefix", "none"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    assert!(text.lines().any(|l| l.starts_with("ring v")), "the tree shows no TLS provider at all:\n{text}");
    none(&rules::foreign_builds(&text));
}

#[test]
fn no_file_tells_of_the_machine_it_was_written_on() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|o| o.status.success() && !o.stdout.is_empty()) else {
        // A source archive has no list; a checkout, where this is decided, has one.
        assert!(!root().join(".git").exists(), "git cannot list the tracked files");
        return;
    };
    let machine = this_machine();
    let mut broken = vec![];
    for path in String::from_utf8_lossy(&listed.stdout).split('\0').filter(|p| !p.is_empty()) {
        if let Ok(text) = std::fs::read_to_string(root().join(path)) {
            broken.extend(rules::tells_of_machine(path, &text, &machine));
        }
    }
    none(&broken);
}

/// Paths and hosts that mean something here and nowhere else: the checkout, what lies beside it,
/// and the package registries that cargo is told to use instead of the public one.
fn this_machine() -> Vec<String> {
    let mut words: Vec<String> = vec![root().display().to_string()];
    let shared = |folder: &Path| folder == std::env::temp_dir() || folder.components().count() < 2;
    if let Some(around) = root().parent().filter(|folder| !shared(folder)) {
        let beside = std::fs::read_dir(around).into_iter().flatten().flatten();
        words.extend(beside.filter(|e| e.path().is_dir()).map(|e| e.path().display().to_string()));
    }
    let cargo_home =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    if let Ok(home) = cargo_home {
        let config = std::fs::read_to_string(format!("{home}/config.toml")).unwrap_or_default();
        words.extend(
            hosts(&config)
                .filter(|host| !matches!(host.as_str(), "github.com" | "index.crates.io" | "static.crates.io")),
        );
        words.push(home);
    }
    // What is shorter is a word of many machines, `/tmp` for instance.
    words.retain(|word| word.len() >= 8 && word != "127.0.0.1" && word != "localhost");
    words
}

fn hosts(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("://").skip(1).filter_map(|rest| {
        let authority = rest.split(['/', '"', '\'', ' ', '\n']).next()?;
        let host = authority.rsplit('@').next()?.split(':').next()?;
        Some(host.to_owned()).filter(|h| h.contains('.'))
    })
}

mod planted {
    //! Each rule finds what breaks it, and nothing else.

    use super::{Source, hosts, rules};

    fn one(path: &str, text: &str) -> Vec<Source> {
        vec![Source::read(path, text)]
    }

    fn expect(broken: &[String], lines: &[&str]) {
        assert_eq!(broken.len(), lines.len(), "{broken:#?}");
        for (found, line) in broken.iter().zip(lines) {
            assert!(found.contains(line), "{found} does not say `{line}`");
        }
    }

    const LIB: &str = "pub mod domain; // L0  types\npub mod policy; // L2\npub mod store; // L2  what survives\n\
                       pub mod model; // L5\npub mod tools; // L5\npub mod http; // L7\npub mod cli; // L9\n";

    #[test]
    fn an_import_upwards_or_sideways() {
        let layers = rules::layers(LIB).unwrap();
        let broken = |path, text| rules::import_upwards(&one(path, text), &layers);
        expect(
            &broken("src/domain/id.rs", "use crate::store::Journal;"),
            &["src/domain/id.rs:1: domain (L0) imports store (L2), which is higher"],
        );
        expect(&broken("src/store/mod.rs", "fn f() {\n crate::http::serve() }"), &["src/store/mod.rs:2"]);
        expect(&broken("src/store/a/b.rs", "use super::super::super::policy::Policy;"), &["its sibling"]);
        expect(&broken("src/store/mod.rs", "use super::policy::Policy;"), &["its sibling"]);
        expect(
            &broken("src/tools/mod.rs", "use crate::{domain::Risk, model::{ModelProvider}};"),
            &["imports model (L5), its sibling"],
        );
        expect(&broken("src/elsewhere.rs", ""), &["belongs to no module"]);
        expect(&broken("src/cli/mod.rs", "use crate::{http, store, domain};"), &[]);
        expect(
            &broken(
                "src/store/mod.rs",
                "use crate::store::sqlite; use super::super::x; #[cfg(test)] mod tests { use crate::http; }",
            ),
            &[],
        );
        expect(&broken("src/store/sqlite/mod.rs", "use super::policy;"), &[]);
    }

    #[test]
    fn a_module_without_a_layer() {
        assert!(rules::layers("pub mod cli;\npub mod domain; // L0").unwrap_err().contains("`cli` has no layer"));
        assert!(rules::layers("").is_err());
        assert_eq!(rules::layers(LIB).unwrap()["http"], 7);
    }

    #[test]
    fn a_crate_outside_its_place() {
        let broken = |path, text| rules::unconfined(&one(path, text));
        expect(&broken("src/http/api.rs", "use sqlx::Row;"), &["`sqlx` belongs to src/store/"]);
        expect(&broken("src/cli/mod.rs", "fn f() -> axum::Router { x }"), &["src/cli/mod.rs:1: `axum`"]);
        expect(&broken("src/tools/x.rs", "use tokio::{net::TcpListener, process::Command};"), &["`tokio::process`"]);
        expect(&broken("src/tools/x.rs", "tokio::process::Command::new(x)"), &["`tokio::process`"]);
        expect(
            &broken("src/engine/mod.rs", "use reqwest;\nuse kube::Client;\nuse anyhow::Result;"),
            &["`kube`", "`reqwest`", "`anyhow`"],
        );
        expect(&broken("src/app.rs", "use {serde::Serialize, regorus::Engine};"), &["`regorus`"]);
        expect(&broken("src/domain/x.rs", "chrono::Utc::now()"), &["`chrono` belongs to nowhere"]);
        expect(&broken("src/store/sqlite/x.rs", "use sqlx::Row; // and kube::Client\nlet a = \"axum::x\";"), &[]);
        expect(&broken("src/scenario/serve.rs", "use axum::Router;"), &[]);
        expect(
            &broken(
                "src/tools/x.rs",
                "self.kube.get(); let kube = edge.kube(); use crate::edge::kube::Reader; use tokio::{net, sync};",
            ),
            &[],
        );
    }

    #[test]
    fn impurity_in_a_pure_module() {
        let broken = |path, text| rules::impure(&one(path, text));
        expect(&broken("src/domain/x.rs", "async fn f() { g().await }"), &["`async`", "`await`"]);
        expect(&broken("src/analysis/x.rs", "use tokio::sync::Mutex;"), &["`tokio`"]);
        expect(&broken("src/journal/x.rs", "let at = Timestamp::now();"), &["`Timestamp::now`"]);
        expect(&broken("src/journal/x.rs", "let at = jiff::Timestamp::now();"), &["`Timestamp::now`"]);
        expect(&broken("src/domain/x.rs", "use std::{fmt, fs};"), &["`std::fs`"]);
        expect(
            &broken(
                "src/domain/x.rs",
                "fn now(&self) -> Timestamp; // async\n#[cfg(test)]\nmod tests { fn f() { Timestamp::now() } }",
            ),
            &[],
        );
        expect(&broken("src/engine/x.rs", "async fn f() { Timestamp::now() }"), &[]);
    }

    #[test]
    fn a_concrete_adapter_outside_app() {
        let home = "#[async_trait]\nimpl Journal for SqliteStore {}\nimpl<T: Journal> Store for T {}\n\
                    impl crate::model::ModelProvider for OpenAi {}\nimpl Policy for Other {}";
        let adapters = rules::adapters(&[Source::read("src/store/sqlite/mod.rs", home)]);
        assert_eq!(adapters.keys().collect::<Vec<_>>(), ["OpenAi", "Other", "SqliteStore"]);
        let broken = |path, text| rules::concrete(&one(path, text), &adapters);
        expect(&broken("src/engine/worker.rs", "use crate::store::sqlite::SqliteStore;"), &["`SqliteStore`"]);
        expect(
            &broken("src/cli/x.rs", "\nlet a = store::{Journal, sqlite::{OpenAi, lock}};"),
            &["src/cli/x.rs:2: `OpenAi`"],
        );
        expect(&broken("src/app.rs", "use crate::store::SqliteStore;"), &[]);
        expect(&broken("src/store/sqlite/mod.rs", "pub struct SqliteStore; crate::store::sqlite::SqliteStore"), &[]);
        expect(
            &broken("src/config.rs", "use crate::store::Journal; enum Provider { OpenAi } f(Provider::OpenAi)"),
            &[],
        );
        expect(&broken("src/engine/x.rs", "#[cfg(test)]\nmod tests { use crate::store::SqliteStore; }"), &[]);
    }

    #[test]
    fn a_long_file() {
        let long = "fn f() {}\n".repeat(501);
        expect(&rules::too_long(&one("src/x.rs", &long)), &["src/x.rs: 501 lines"]);
        let tests =
            format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(500), "fn g() {}\n".repeat(900));
        expect(&rules::too_long(&one("src/x.rs", &tests)), &[]);
    }

    #[test]
    fn a_manifest_that_allows_unsafe_code() {
        expect(&rules::allows_unsafe("[lints.rust]\nunsafe_code = \"forbid\"\n"), &[]);
        expect(&rules::allows_unsafe("[lints.rust]\nunsafe_code = \"deny\"\n"), &["forbid"]);
        expect(
            &rules::allows_unsafe("# unsafe_code = \"forbid\"\n[lints.clippy]\nunsafe_code = \"forbid\"\n"),
            &["forbid"],
        );
    }

    #[test]
    fn a_second_tls_provider() {
        let tree = "firewarden v0.1.0\nring v0.17.14\naws-lc-sys v0.45.0\naws-lc-sys v0.45.0 (*)\n";
        expect(&rules::foreign_builds(tree), &["aws-lc-sys is built"]);
        expect(&rules::foreign_builds("openssl-probe v0.2.1\nring v0.17.14\n"), &[]);
    }

    #[test]
    fn a_path_or_host_of_the_machine() {
        let machine = ["/home/somebody/firewarden".to_owned(), "registry.inside.test".to_owned()];
        expect(&rules::tells_of_machine("a.md", "fine\nsee /home/somebody/firewarden/x", &machine), &["a.md:2"]);
        expect(&rules::tells_of_machine("a.md", "/home/else, registry", &machine), &[]);
        let config = "[source.mirror]\nregistry = \"sparse+https://user:x@registry.inside.test:8443/index/\"\n";
        assert_eq!(hosts(config).collect::<Vec<_>>(), ["registry.inside.test"]);
    }
}
