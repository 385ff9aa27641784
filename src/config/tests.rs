use super::*;
use std::collections::{BTreeMap, BTreeSet};

struct Case {
    dir: tempfile::TempDir,
    sources: Sources,
}

fn case(yaml: &str, env: &[(&str, &str)]) -> Case {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("firewarden.yaml"), yaml).unwrap();
    let mut env: BTreeMap<String, String> = env.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    env.entry("HOME".into()).or_insert_with(|| "/home/someone".into());
    let sources = Sources { file: Some("firewarden.yaml".into()), env, flags: vec![], cwd: dir.path().to_path_buf() };
    Case { dir, sources }
}

impl Case {
    fn config(&self) -> Result<Config, ConfigError> {
        self.sources.clone().load().and_then(|loaded| loaded.resolve())
    }

    /// The errors, without the folder of this run.
    fn errors(&self) -> String {
        let error = self.config().unwrap_err().to_string();
        error.replace(&*self.dir.path().to_string_lossy(), "DIR")
    }
}

fn config(yaml: &str, env: &[(&str, &str)]) -> Config {
    case(yaml, env).config().unwrap()
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let sources = Sources { env: BTreeMap::from([("XDG_STATE_HOME".into(), "/state".into())]), ..Sources::default() };
    let config = sources.load().unwrap().resolve().unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.places.store, PathBuf::from("/state/firewarden/firewarden.db"));
    assert!(config.models.is_empty() && config.kubernetes.is_none() && config.prometheus.is_none());
    config.check_doors().unwrap();
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    let cases: &[(&str, &str)] = &[
        ("unknown key", "server:\n  lisen: 1.2.3.4:5\n"),
        ("unknown section", "serv:\n  listen: 1.2.3.4:5\n"),
        ("key of another section", "server:\n  allow_anonymous: true\n"),
        ("key that nobody knows", "access:\n  ldap: true\n"),
        ("unknown key in a list", "routes:\n  - name: a\n  - name: b\n    promt: incident\n"),
        (
            "wrong types",
            "server: [a]\nroutes: {name: a}\nmodels: 3\nbudgets: {per_investigation: {turns: many, tokens: -1}}\n",
        ),
        (
            "wrong words",
            "models:\n- {name: a, provider: claude, model: b}\naccess: {tokens: [{name: a, role: root, token: 'env:A'}]}\nroutes: [{name: a, severities: [loud]}]",
        ),
        ("missing keys", "models:\n- name: a\n  provider: openai\n- provider: openai\n  model: b\n"),
        ("durations and sizes", "server: {max_body: 32MB}\nbudgets: {survey: {wall: 30}}\n"),
        ("a secret in the file", "intake:\n  tokens:\n    - token: hunter2\n"),
        ("a secret that is not there", "intake: {tokens: [{token: 'env:ABSENT'}, {token: 'file:absent'}]}"),
        ("no YAML", "server: {listen: 1\nroutes: ["),
        ("a key twice", "server: {listen: '127.0.0.1:1'}\nserver: {listen: '127.0.0.1:2'}\n"),
        (
            "later versions",
            "tools:\n  kubernetes: {write: true}\n  jira: {url: b}\nroutes:\n- name: a\n  runner: kubernetes_job\ntelemetry: {otlp_endpoint: 'http://x'}\n",
        ),
        (
            "no place, and waiting for ever",
            "routes: [{name: a, max_concurrency: 0}, {name: b, max_total: -1}]\nintake: {coalesce: {wait: 3m, at_most: 2h}}\n",
        ),
        ("waiting longer than at all", "routes: [{name: a, max_concurrency: 0}]\nintake: {coalesce: {wait: 3m}}\n"),
        ("notify otherwise", "notify:\n- {name: a, slack: 'env:S'}\n"),
        (
            "names",
            "routes: [{name: default}, {name: a}, {name: a}, {name: 'a b'}]\nmodels: [{name: none, provider: openai, model: m}]",
        ),
        (
            "a model that is not there",
            "models: [{name: main, provider: openai, model: m}]\nroutes: [{name: a, model: mian}, {name: b, model: other}]",
        ),
        (
            "addresses",
            "server: {listen: '8080', public_url: example.org}\ntools: {prometheus: {url: 'http://u:secret-word@p:9090'}}\n",
        ),
        ("prometheus", "tools: {prometheus: {bearer: 'env:HOME', basic: {username: u, password: 'env:HOME'}}}"),
        ("no series", "tools: {prometheus: {url: 'http://p', max_series: 0}}"),
        (
            "logs",
            "tools:\n  loki: {tenant: 'a b', url: 'http://l', bearer: 'env:HOME', basic: {username: u, password: 'env:HOME'}}\n  elasticsearch: {url: 'http://e', api_key: 'env:HOME', bearer: 'env:HOME', indices: ['logs-*', 'A/b', '-x', '_all']}\n",
        ),
        ("a search of nothing", "tools: {elasticsearch: {url: 'http://e'}}"),
        ("credentials for nobody", "tools: {loki: {bearer: 'env:HOME'}, elasticsearch: {api_key: 'env:HOME'}}"),
        (
            "probes",
            "tools: {http_probe: {targets: [{name: a, url: 'http://u:secret-word@h'}, {name: a, url: h, timeout: 90s}, {name: b, url: 'http://h', timeout: 90s, expect_status: 7, headers: {x: 'env:ABSENT'}}]}}",
        ),
        ("a probe that writes", "tools: {http_probe: {targets: [{name: a, url: 'http://h', method: POST}]}}"),
        ("runbooks", "tools: {runbooks: {hosts: ['https://a', '0x7f.1', 'u@h', fine.example], dir: no/such}}"),
        (
            "repositories",
            "tools: {github: {token: 'env:HOME', app: {id: 7, private_key: 'env:HOME'}, base_url: 'http://ghe.corp/api/v3', repos: [a/b, 'https://github.com/a/b', A/B]}}",
        ),
        ("repositories for nobody", "tools: {github: {repos: [a/b], base_url: 'http://127.0.0.1:9'}}"),
        ("a token for nothing", "tools: {github: {token: 'env:HOME'}}"),
        (
            "pull requests",
            "tools: {github: {token: 'env:HOME', repos: [a/b], writer: {token: 'env:HOME'}}}\nroutes:\n- name: r\n  github: {repo: a/c, base: 'm..n', branch: ' ', paths: ['../x']}\n- {name: s, github: {repo: nowhere}}\n",
        ),
        (
            "two writers",
            "tools: {github: {token: 'env:HOME', repos: [a/b], write: true, writer: {token: 'env:HOME', app: {id: 7, private_key: 'env:HOME'}}}}",
        ),
        ("stores", "store: {url: 'postgres://u:p@h/d'}"),
        ("stores in memory", "store: {url: 'sqlite::memory:'}"),
        ("stores otherwise", "store: {url: /var/lib/x.db}"),
        ("folders", "policies: {dir: no/policies}\nprompts: {dir: p}\ntools: {dir: t}"),
        ("budgets", "budgets: {per_investigation: {wall: 0s, cost_usd: -1}, survey: {tool_calls: 0}}"),
        ("a cluster twice", "tools: {kubernetes: {url: 'http://h:1', context: c}}"),
        ("host", "models: [{name: a, provider: openai, model: m, host: 'http://h:1'}]"),
        (
            "keys of other providers",
            "models:\n- {name: a, provider: openai, model: m, num_ctx: 9000, pull: true, file: f, strict: true}\n\
             - {name: b, provider: replay, model: m, api_key: 'env:HOME', base_url: 'http://h:1'}\n\
             - {name: c, provider: replay, model: m, file: no/such/file}\n\
             - {name: d, provider: ollama, model: m, num_ctx: 512, pin: ' ', structured: maybe}\n\
             - {name: e, provider: ollama, model: m, num_ctx: 512, pin: ' '}\n",
        ),
        (
            "values of models",
            "models:\n- {name: e, provider: ollama, model: m, num_ctx: 512, pin: ' '}\n\
             - {name: a, provider: openai, model: m, num_ctx: 9000, pull: true, file: f, strict: true}\n\
             - {name: b, provider: replay, model: m, api_key: 'env:HOME', base_url: 'http://h:1'}\n\
             - {name: c, provider: replay, model: m, file: no/such/file}\n",
        ),
    ];
    let mut out = String::new();
    for (name, yaml) in cases {
        let errors = case(yaml, &[]).errors();
        assert!(!errors.contains("hunter2") && !errors.contains("secret-word"), "{name}: {errors}");
        out.push_str(&format!("== {name}\n{errors}\n\n"));
    }
    insta::assert_snapshot!(out);
}

#[test]
fn variables_are_named_in_their_errors() {
    let errors = case(
        "",
        &[
            ("FIREWARDEN__SERVR__LISTEN", "x"),
            ("FIREWARDEN__SERVER__LISTEN__PORT", "1"),
            ("FIREWARDEN__ROUTES__7__NAME", "x"),
            ("FIREWARDEN__BUDGETS__SURVEY__WALL", "soon"),
        ],
    )
    .errors();
    insta::assert_snapshot!(errors);
    insta::assert_snapshot!("database_url", case("", &[("DATABASE_URL", "postgres://u:hunter2@h/d")]).errors());
    let none = Sources { file: Some("absent.yaml".into()), ..Sources::default() }.load().unwrap_err().to_string();
    assert!(none.starts_with("absent.yaml: cannot be read"), "{none}");
}

#[test]
fn flags_go_before_variables_before_the_file_before_well_known_variables() {
    let yaml = "server: {listen: '127.0.0.1:1'}\ntools: {prometheus: {url: 'http://file:1'}}";
    let env = [("FIREWARDEN__SERVER__LISTEN", "127.0.0.1:2"), ("PROMETHEUS_URL", "http://variable:1/")];
    let port = |case: &Case| case.config().unwrap().server.listen.port();
    assert_eq!(port(&case(yaml, &[])), 1);
    let mut both = case(yaml, &env);
    assert_eq!(port(&both), 2);
    both.sources.flags.push(("server.listen", "--listen", "127.0.0.1:3".into()));
    assert_eq!(port(&both), 3);
    let prometheus = |yaml, env: &[(&str, &str)]| config(yaml, env).prometheus.map(|p| p.url);
    assert_eq!(prometheus(yaml, &env).as_deref(), Some("http://file:1"));
    assert_eq!(prometheus("", &env).as_deref(), Some("http://variable:1"));
    assert_eq!(prometheus("", &[]), None);
    let loki = |yaml, env: &[(&str, &str)]| config(yaml, env).loki.map(|l| l.url);
    let both = [("LOKI_ADDR", "http://addr:1"), ("LOKI_URL", "http://url:1/")];
    assert_eq!(loki("", &both).as_deref(), Some("http://url:1"));
    assert_eq!(loki("", &both[..1]).as_deref(), Some("http://addr:1"));
    assert_eq!(loki("tools: {loki: {url: 'http://file:1'}}", &both).as_deref(), Some("http://file:1"));
    assert_eq!(loki("tools: {loki: {tenant: t}}", &[]), None);
}

#[test]
fn well_known_variables_fill_what_is_left_open() {
    let env = [
        ("OPENAI_API_KEY", "sk-very-secret"),
        ("OPENAI_API_BASE", "http://gateway/v1/"),
        ("OPENAI_MODEL", "m1"),
        ("OLLAMA_HOST", "0.0.0.0:11434"),
        ("FLEET_EVENTS_TOKEN", "events-secret"),
        ("KUBECONFIG", "/some/config"),
        ("DATABASE_URL", "sqlite://data/f.db"),
    ];
    let from_env = config("", &env);
    let model = &from_env.models[0];
    assert_eq!((model.model.as_str(), model.base_url.as_str()), ("m1", "http://gateway/v1"));
    assert_eq!(model.api_key.as_ref().unwrap().origin(), "env:OPENAI_API_KEY");
    assert_eq!(from_env.intake.tokens[0].source, "*");
    assert!(from_env.kubernetes.is_some_and(|k| k.kubeconfig.is_none() && k.url.is_none()));
    assert!(from_env.places.store.ends_with("data/f.db"));

    let yaml = "models:\n- {name: a, provider: openai, model: x}\n- {name: b, provider: ollama, model: y}\n\
                - {name: c, provider: openai, model: z, base_url: 'http://other/v1'}\n\
                - {name: d, provider: ollama, model: y, host: 'http://gpu:11434/'}\n\
                - {name: e, provider: ollama, model: y, base_url: 'http://gpu:11434/v1'}";
    let models = config(yaml, &env).models;
    let shown: Vec<_> = models.iter().map(|m| (m.base_url.as_str(), m.api_key.is_some())).collect();
    assert_eq!(
        shown,
        [
            ("http://gateway/v1", true),
            ("http://127.0.0.1:11434", false),
            // OpenAI's key does not go to somebody else.
            ("http://other/v1", false),
            ("http://gpu:11434", false),
            ("http://gpu:11434", false),
        ]
    );
    assert!(config("", &[("OPENAI_API_KEY", "sk-very-secret")]).models.is_empty(), "a key alone asks nobody");
}

#[test]
fn paths_stand_in_the_folder_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    std::fs::create_dir_all(etc.join("policies")).unwrap();
    std::fs::create_dir_all(etc.join("mine")).unwrap();
    std::fs::write(etc.join("f.yaml"), "store: {url: 'sqlite:state/f.db'}\nprompts: {dir: mine}\n").unwrap();
    let sources = Sources { file: Some("etc/f.yaml".into()), cwd: dir.path().into(), ..Sources::default() };
    let places = sources.load().unwrap().places().unwrap();
    assert_eq!(places.store, etc.join("state/f.db"));
    assert_eq!(places.prompts, Some(etc.join("mine")));
    assert_eq!(places.policies, Some(etc.join("policies")), "taken because it is there");
    assert_eq!(places.tools, None);
    std::fs::create_dir(etc.join("books")).unwrap();
    std::fs::write(etc.join("f.yaml"), "tools: {runbooks: {dir: books, hosts: ['wiki.corp:8443']}}\n").unwrap();
    let sources = Sources { file: Some("etc/f.yaml".into()), cwd: dir.path().into(), ..Sources::default() };
    let config =
        Sources { env: BTreeMap::from([("HOME".into(), "/h".into())]), ..sources }.load().unwrap().resolve().unwrap();
    assert_eq!(config.runbooks, Some(Runbooks { hosts: vec!["wiki.corp:8443".into()], dir: Some(etc.join("books")) }));
}

#[test]
fn repositories_are_listed_in_the_file_and_the_credential_may_come_from_variables() {
    let of = |yaml: &str, env: &[(&str, &str)]| config(yaml, env).github;
    let token = [("GITHUB_TOKEN", "t")];
    assert!(of("", &token).is_none(), "a token alone opens nothing");
    let listed = "tools: {github: {repos: [acme/platform]}}";
    let github = of(listed, &token).unwrap();
    assert_eq!(github.base_url, "https://api.github.com");
    assert_eq!(github.repos[0].to_string(), "acme/platform");
    assert!(matches!(github.credential, GithubCredential::Token(token) if token.expose() == "t"));
    let app = [("GITHUB_APP_ID", "7"), ("GITHUB_APP_PRIVATE_KEY", "pem")];
    assert!(matches!(of(listed, &app).unwrap().credential, GithubCredential::App { id, .. } if id == "7"));
    let written =
        "tools: {github: {repos: [a/b], app: {id: 7, private_key: 'env:K'}, base_url: 'https://ghe/api/v3/'}}";
    let github = of(written, &[("K", "pem"), ("GITHUB_TOKEN", "t")]).unwrap();
    assert_eq!(github.base_url, "https://ghe/api/v3");
    assert!(matches!(github.credential, GithubCredential::App { id, .. } if id == "7"), "the file goes first");
}

#[test]
fn who_writes_to_repositories_is_the_reader_unless_somebody_else_is_named() {
    let env = [("GITHUB_TOKEN", "reader"), ("W", "writer")];
    let of = |github: &str| config(&format!("tools: {{github: {{repos: [a/b]{github}}}}}"), &env).github.unwrap();
    let writer = |github: &str| of(github).write.map(|credential| credential.secret().expose().to_owned());
    assert_eq!(writer(""), None);
    assert_eq!(writer(", write: true").as_deref(), Some("reader"));
    assert_eq!(writer(", write: true, writer: {token: 'env:W'}").as_deref(), Some("writer"));
    let both = "tools: {github: {repos: [a/b], write: true, writer: {token: 'env:W'}}}";
    let route = "routes: [{name: r, github: {repo: A/b, base: main, branch: 'fix/{{ id }}', paths: ['clusters/**']}}]";
    let config = config(&format!("{both}\n{route}"), &env);
    assert!(config.has_peer("github_write") && config.secrets().iter().any(|secret| secret.expose() == "writer"));
    let pulls = config.routes[0].pulls.clone().unwrap();
    assert_eq!((pulls.repo.as_str(), pulls.base.as_deref()), ("A/b", Some("main")));
    assert_eq!((pulls.branch.as_deref(), pulls.paths), (Some("fix/{{ id }}"), vec!["clusters/**".to_owned()]));
}

#[test]
fn a_door_to_the_network_needs_a_lock() {
    let open = config("server: {listen: '0.0.0.0:8080'}", &[]);
    insta::assert_snapshot!(open.check_doors().unwrap_err().to_string());
    let tokens = "access: {tokens: [{name: a, role: viewer, token: 'env:HOME'}]}";
    let anonymous = format!("server: {{listen: '[::]:8080'}}\nintake: {{allow_anonymous: true}}\n{tokens}");
    config(&anonymous, &[]).check_doors().unwrap();
    let locked = format!("server: {{listen: '[::]:8080'}}\n{tokens}");
    config(&locked, &[("FLEET_EVENTS_TOKEN", "t")]).check_doors().unwrap();
    assert!(config(&locked, &[]).check_doors().is_err());
    config("server: {listen: '[::1]:8080'}", &[]).check_doors().unwrap();
}

#[test]
fn senders_show_or_sign_and_describe_their_json() {
    let yaml = "intake:\n  storm: {per_source_per_minute: 7}\n  tokens:\n\
        \x20   - {source: grafana, token: 'env:A'}\n    - {source: grafana, token: 'env:B'}\n\
        \x20   - {source: sentry, hmac: 'env:C'}\n\
        \x20   - {hmac: 'env:D', header: X-Sig, timestamp_header: X-Time, tolerance: 1m}\n\
        \x20 sources:\n    - {name: mk, alerts: /e, fields: {name: /n, status: ''}, labels: {pod: /p}, \
        severities: {CRIT: critical}, resolved: [OK], ignored: [ACK]}\n";
    let intake = config(yaml, &[("A", "aaaa"), ("B", "bbbb"), ("C", "cccc"), ("D", "dddd")]).intake;
    let shown: Vec<(&str, bool)> = intake.tokens.iter().map(|t| (t.token.expose(), t.signed.is_some())).collect();
    assert_eq!(shown, [("aaaa", false), ("bbbb", false), ("cccc", true), ("dddd", true)]);
    let signed: Vec<_> = intake.tokens.iter().filter_map(|t| t.signed.clone()).collect();
    assert_eq!((signed[0].header.as_str(), &signed[0].timestamp_header), ("sentry-hook-signature", &None));
    assert_eq!((signed[1].header.as_str(), signed[1].timestamp_header.as_deref()), ("x-sig", Some("x-time")));
    assert_eq!((signed[1].tolerance, intake.storm_per_minute), (std::time::Duration::from_secs(60), 7));
    let source = &intake.sources[0];
    assert_eq!((source.name.as_str(), source.alerts.as_deref()), ("mk", Some("/e")));
    assert_eq!((&source.labels["pod"], source.severities["CRIT"]), (&"/p".to_owned(), Severity::Critical));
    let wrong = "intake:\n  tokens:\n    - {source: a}\n    - {token: 'env:A', hmac: 'env:A'}\n\
        \x20   - {token: 'env:A', header: X}\n    - {hmac: 'env:A', header: 'a b', tolerance: 2d}\n\
        \x20 storm: {per_source_per_minute: 2000000}\n\
        \x20 sources:\n    - {name: grafana, fields: {name: /n}}\n    - {name: mk, fields: {status: /s}}\n\
        \x20   - {name: mk, alerts: events, fields: {name: n}, labels: {pod: p}}\n";
    insta::assert_snapshot!("intake", case(wrong, &[("A", "aaaa")]).errors());
    for (name, why) in [("unknown", "is reserved: `unknown`"), ("'poller:am'", "is reserved: `poller:am`")] {
        let reserved = format!("intake: {{sources: [{{name: {name}, fields: {{name: /n}}}}]}}");
        assert!(case(&reserved, &[]).errors().contains(why), "{name}");
    }
}

#[test]
fn debug_shows_where_secrets_are_and_never_what_they_are() {
    let yaml = "intake: {tokens: [{token: 'env:A'}]}\naccess: {tokens: [{name: a, role: admin, token: 'env:B'}]}\n\
                models: [{name: m, provider: openai, model: x, api_key: 'env:C'}]\n\
                tools: {prometheus: {url: 'http://p', basic: {username: u, password: 'env:D'}}, \
                loki: {url: 'http://l', bearer: 'env:F'}, elasticsearch: {url: 'http://e', api_key: 'env:G', indices: [a]}, \
                http_probe: {targets: [{name: a, url: 'http://h', headers: {x: 'env:H', y: 'hunter2-7'}}]}, \
                github: {app: {id: 7, private_key: 'env:I'}, repos: [a/b]}}\n\
                notify: [{name: n, webhook: 'env:E'}, {name: o, webhook: 'https://hooks/hunter2-6'}]";
    let env: Vec<(String, String)> =
        ["A", "B", "C", "D", "E", "F", "G", "H", "I"].iter().map(|n| (n.to_string(), format!("hunter2-{n}"))).collect();
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let config = config(yaml, &env);
    let shown = format!("{config:?} {config:#?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    for name in ["env:A", "env:B", "env:C", "env:D", "env:E", "env:F", "env:G", "env:H", "env:I"] {
        assert!(shown.contains(name), "{name}");
    }
    assert_eq!(config.secrets().len(), 11);
}

/// A document with every key of the table.
fn example() -> tree::Node {
    let mut tree = tree::Node::default();
    for key in keys::KEYS {
        let path: Vec<tree::Step> = key
            .path
            .split('.')
            .flat_map(|part| match part.strip_suffix("[]") {
                Some(name) => vec![tree::Step::Key(name.into()), tree::Step::Item(0)],
                None => vec![tree::Step::Key(part.into())],
            })
            .collect();
        tree.set(&path, tree::Node::from_word(key.example, &Place::Nowhere)).unwrap();
    }
    tree
}

/// Leaves of `value` in the table's spelling.
fn leaves(value: &serde_json::Value, path: String, out: &mut BTreeMap<String, serde_json::Value>) {
    let known = |path: &str| keys::KEYS.iter().any(|k| k.path == path);
    match value {
        serde_json::Value::Object(map) if !known(&path) => map.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            leaves(value, path, out);
        }),
        serde_json::Value::Array(items) if !known(&path) => {
            items.iter().for_each(|item| leaves(item, format!("{path}[]"), out));
        }
        value => {
            out.insert(path, value.clone());
        }
    }
}

#[test]
fn the_table_of_keys_is_the_types() {
    let file: file::File = read::read(&example()).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let mut found = BTreeMap::new();
    leaves(&serde_json::to_value(&file).unwrap(), String::new(), &mut found);
    let types: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let table: BTreeSet<&str> = keys::KEYS.iter().map(|key| key.path).collect();
    assert_eq!(types, table, "left: the types, right: the table");

    // Defaults: take each key out of the example and see what comes instead.
    for key in keys::KEYS {
        let path: Vec<tree::Step> = key
            .path
            .split('.')
            .flat_map(|part| match part.strip_suffix("[]") {
                Some(name) => vec![tree::Step::Key(name.into()), tree::Step::Item(0)],
                None => vec![tree::Step::Key(part.into())],
            })
            .collect();
        let mut without = example();
        without.remove(&path);
        let file = read::read::<file::File>(&without);
        match (key.default, file) {
            ("", Err(_)) => {}
            (default, Ok(file)) => {
                let mut found = BTreeMap::new();
                leaves(&serde_json::to_value(&file).unwrap(), String::new(), &mut found);
                let written = tree::Node::from_word(default, &Place::Nowhere).json();
                let same = match (found[key.path].as_f64(), written.as_f64()) {
                    (Some(a), Some(b)) => a == b,
                    _ => found[key.path] == written,
                };
                assert!(same, "{}: the table says {written}, the types {}", key.path, found[key.path]);
            }
            (default, Err(wrong)) => panic!("{} is said to default to {default}: {wrong:?}", key.path),
        }
    }
}

#[test]
fn the_reference_is_generated() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let expected = keys::markdown();
    if std::env::var_os("FIREWARDEN_BLESS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        std::fs::write(path, &expected).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == expected,
        "docs/configuration.md is old; run FIREWARDEN_BLESS=1 cargo test the_reference_is_generated"
    );
}
