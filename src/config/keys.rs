//! What each key means. docs/configuration.md is written from this table, and a test holds the table
//! to the types.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its path; `[]` is every item of a list.
    pub path: &'static str,
    /// What may stand there, in words.
    pub kind: &'static str,
    /// Its default as YAML; empty when it is required.
    pub default: &'static str,
    /// A value that shows its use, as YAML.
    pub example: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const fn key(
    path: &'static str,
    kind: &'static str,
    default: &'static str,
    example: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, kind, default, example, meaning }
}

/// Every key that this version acts on, in the order of the file.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("server.listen", "address:port", "127.0.0.1:8080", "0.0.0.0:8080", "where webhook and API listen; off loopback, `intake.tokens` and `access.tokens` are needed"),
    key("server.public_url", "address", "null", "https://firewarden.example.org", "how others reach us; links in reports and notices begin with it"),
    key("server.max_body", "size", "32MiB", "8MiB", "largest accepted webhook body"),
    key("access.tokens[].name", "name", "", "oncall", "stands in the journal for whoever uses the token"),
    key("access.tokens[].role", "viewer, operator, approver or admin", "", "operator", "viewer reads; operator also cancels; approver also answers questions; admin also tries and promotes policies"),
    key("access.tokens[].groups", "list of names", "[]", "[oncall]", "groups of the caller"),
    key("access.tokens[].token", "secret", "", "env:FIREWARDEN_TOKEN", "the credential, sent as `Authorization: Bearer`"),
    key("store.url", "sqlite:PATH", "null", "sqlite:/var/lib/firewarden/firewarden.db", "the database; null is firewarden/firewarden.db in $XDG_STATE_HOME, else in ~/.local/state (also DATABASE_URL)"),
    key("intake.tokens[].source", "name or *", "*", "alertmanager", "the sender that the token is for; `*` is any"),
    key("intake.tokens[].token", "secret", "null", "file:intake-token", "the credential, sent as `Authorization: Bearer`, basic password or `X-Fleet-Events-Token` (also FLEET_EVENTS_TOKEN); several for one source are all valid"),
    key("intake.tokens[].hmac", "secret", "null", "file:pagerduty-key", "instead of token: the key with which the sender signs each body, HMAC-SHA256"),
    key("intake.tokens[].header", "header", "null", "X-Hub-Signature-256", "beside hmac: where the signature stands, hexadecimal, `v1=` or `sha256=` before it or not; null is the sender's own (X-PagerDuty-Signature, Sentry-Hook-Signature, X-Grafana-Alerting-Signature), else X-Signature"),
    key("intake.tokens[].timestamp_header", "header", "null", "X-Timestamp", "beside hmac: where the time of sending stands, in seconds since 1970; with it, `TIME:BODY` is what is signed"),
    key("intake.tokens[].tolerance", "duration", "5m", "1m", "beside timestamp_header: how far that time may lie from ours, 1s to 24h; what is older is refused"),
    key("intake.allow_anonymous", "true or false", "false", "true", "accept alerts without a credential even off loopback"),
    key("intake.storm.per_source_per_minute", "number", "120", "600", "alerts that one sender may send in a minute before it is answered 429, Alertmanager excepted; 0 sets no cap"),
    key("intake.coalesce.wait", "duration", "0s", "30s", "how long alerts of an incident are gathered before the work on it begins; each further alert makes it wait as long again; an incident with an alert of severity critical, or that policy calls CRITICAL, waits for nothing"),
    key("intake.coalesce.at_most", "duration", "2m", "5m", "how long an incident waits in all, at most 1h"),
    key("intake.storm.max_open", "number", "50", "20", "investigations that are opened within `window` at most, whoever sends; what is beyond joins one storm investigation, the last of them; 0 sets no cap"),
    key("intake.storm.window", "duration", "10m", "5m", "the window of `max_open`, 1m to 1h"),
    key("intake.sources[].name", "name", "", "checkmk", "a sender of JSON of its own (senders.md); it sends to /webhook/NAME"),
    key("intake.sources[].alerts", "JSON pointer", "null", "/events", "where its list of alerts stands; null: the body is one alert, or a list of them"),
    key("intake.sources[].fields.name", "JSON pointer", "null", "/check", "the alert's name; these pointers begin in the alert"),
    key("intake.sources[].fields.subject", "JSON pointer", "null", "/host", "whom it concerns"),
    key("intake.sources[].fields.severity", "JSON pointer", "null", "/state", "how loud it is; null is warning"),
    key("intake.sources[].fields.status", "JSON pointer", "null", "/kind", "whether it holds; null: it fires"),
    key("intake.sources[].fields.summary", "JSON pointer", "null", "/output", "what is said"),
    key("intake.sources[].fields.description", "JSON pointer", "null", "/long_output", "what is said at length"),
    key("intake.sources[].fields.fingerprint", "JSON pointer", "null", "/id", "what is the same in all reports of one alert; null: name and subject"),
    key("intake.sources[].fields.group", "JSON pointer", "null", "/cluster", "alerts with the same value here belong to one incident"),
    key("intake.sources[].fields.starts_at", "JSON pointer", "null", "/since", "start of the episode: RFC 3339, or seconds to nanoseconds since 1970; null: its first report"),
    key("intake.sources[].fields.ends_at", "JSON pointer", "null", "/until", "its end"),
    key("intake.sources[].fields.link", "JSON pointer", "null", "/url", "an address for people"),
    key("intake.sources[].fields.runbook", "JSON pointer", "null", "/runbook", "a runbook's address"),
    key("intake.sources[].fields.labels", "JSON pointer", "null", "/tags", "labels: an object, a list of pairs or of `name:value`, or such words with commas between them"),
    key("intake.sources[].labels", "mapping of labels to JSON pointers", "{}", "{namespace: /ns, pod: /pod}", "labels one by one; routes, correlation and tools know alerts by them"),
    key("intake.sources[].severities", "mapping of words to severities", "{}", "{CRIT: critical, WARN: warning}", "its own words for how loud it is, beside the usual ones"),
    key("intake.sources[].resolved", "list of words", "[]", "[RECOVERY]", "values of status that mean that it is over; empty takes the usual words (resolved, ok, up, closed, …)"),
    key("intake.sources[].ignored", "list of words", "[]", "[ACKNOWLEDGEMENT]", "values of status that are no alerts"),
    key("pollers[].name", "name", "", "am", "unique; what arrives by it is `poller:NAME` in `routes[].sources`"),
    key("pollers[].alertmanager", "address", "", "http://alertmanager.monitoring:9093", "the Alertmanager whose alerts are asked for (senders.md)"),
    key("pollers[].every", "duration", "2m", "30s", "how often, 1s to 24h; the first time at the start"),
    key("pollers[].matchers", "list of matchers", "[]", "['severity=~\"warning|critical\"']", "Alertmanager matchers over labels (=, !=, =~, !~); Alertmanager tells what fits all of them"),
    key("pollers[].severities", "list of critical, error, warning, info", "[]", "[warning, critical]", "severities that are taken in; empty is any"),
    key("pollers[].auth.bearer", "secret", "null", "env:ALERTMANAGER_TOKEN", "sent as `Authorization: Bearer`"),
    key("pollers[].auth.basic.username", "text", "", "firewarden", "instead of bearer"),
    key("pollers[].auth.basic.password", "secret", "", "file:alertmanager-password", "instead of bearer"),
    key("routes[].name", "name", "", "crashloop", "unique; the implicit last route `default` takes what no route takes"),
    key("routes[].matchers", "list of matchers", "[]", "['alertname=~\"KubePodCrashLooping|KubeContainerOOMKilled\"']", "Alertmanager matchers over labels (=, !=, =~, !~); all must hold"),
    key("routes[].sources", "list of names", "[]", "[alertmanager, 'poller:am']", "senders, or `poller:NAME` for what arrives by that poller; empty is any"),
    key("routes[].severities", "list of critical, error, warning, info", "[]", "[warning, critical]", "severities; empty is any"),
    key("routes[].correlate", "list of labels", "[]", "[alertname, namespace]", "labels that decide which alerts are one incident; empty leaves it to the sender's group"),
    key("routes[].prompt", "name", "incident", "incident", "the prompt, a file of the prompts folder (routes.md)"),
    key("routes[].model", "name", "null", "main", "one of `models`; null tries them in their order, `none` asks none"),
    key("routes[].tools", "list of names or tags", "[]", "[kubernetes, prometheus]", "tools that may be used; empty is all"),
    key("routes[].timeout", "duration", "null", "10m", "from opening to report; null is `budgets.per_investigation.wall`"),
    key("routes[].budget.turns", "number", "null", "10", "instead of `budgets.per_investigation.turns`"),
    key("routes[].budget.tool_calls", "number", "null", "30", "instead of `budgets.per_investigation.tool_calls`"),
    key("routes[].budget.tokens", "number", "null", "100000", "instead of `budgets.per_investigation.tokens`"),
    key("routes[].budget.cost_usd", "number", "null", "0.5", "instead of `budgets.per_investigation.cost_usd`"),
    key("routes[].budget.wall", "duration", "null", "5m", "instead of `budgets.per_investigation.wall`; the same limit as `timeout`"),
    key("routes[].max_concurrency", "number", "2", "5", "investigations of the route that are worked on at once; those that wait for people or watch a change do not count, and what came later waits in line, the most dangerous first; null sets no limit, and the route `default` has none (64 of all routes together are worked on)"),
    key("routes[].max_total", "number", "null", "20", "investigations that the route may open over all, restarts and days included; for later ones people only get a notice"),
    key("routes[].max_per_day", "number", "null", "20", "investigations that may use the route's model in a UTC day; later ones use a cheap model, or none"),
    key("routes[].github.repo", "OWNER/NAME", "", "acme/platform", "where the route's pull requests go; one of `tools.github.repos`, with `tools.github.write: true`"),
    key("routes[].github.base", "name", "null", "main", "the branch that they go into; null is the repository's default branch"),
    key("routes[].github.branch", "template", "null", "fix/alert-{{ id }}", "the branch that they come from; null is `firewarden/{{ id }}`; `id` (alert, fingerprint and start, fit for a name), `title` or `name` (the alert's name), `namespace`, `subject` and `labels` may stand in it"),
    key("routes[].github.paths", "list of patterns", "[]", "['clusters/**']", "only files that match one of these; `**` crosses folders; empty is any that policy permits"),
    key("routes[].playbook", "service_down, service_flapping, resource_pressure, classified or none", "null", "service_down", "who proposes changes where no model does (playbooks.md); null leaves it to `playbooks`"),
    key("playbooks", "mapping of SOURCE:SEVERITY, SOURCE or default to playbooks", "{}", "{\"uptime-kuma:critical\": service_down, portainer: none, default: classified}", "the same by sender and severity, the nearest key first; what no key names is classified by its words"),
    key("models[].name", "name", "", "main", "our name for it, unique"),
    key("models[].provider", "openai, ollama or replay", "", "openai", "`openai` is any server with that API; `ollama` is Ollama in its own protocol; `replay` asks nobody and repeats `file`"),
    key("models[].model", "text", "", "gpt-5-mini", "the server's name for the model"),
    key("models[].base_url", "address", "null", "https://api.openai.com/v1", "for openai: the API, /v1 included; null is OPENAI_BASE_URL or OPENAI_API_BASE, else OpenAI"),
    key("models[].host", "address", "null", "http://127.0.0.1:11434", "for ollama: its address without /v1 (also OLLAMA_HOST, OLLAMA_BASE_URL); null is http://127.0.0.1:11434"),
    key("models[].api_key", "secret", "null", "env:OPENAI_API_KEY", "the credential; without base_url, null is OPENAI_API_KEY"),
    key("models[].timeout", "duration", "2m", "60s", "how long one answer may take"),
    key("models[].context_tokens", "number", "null", "32768", "tokens that the model's context holds; what is said to it is cut to fit; null asks the server, else assumes room enough"),
    key("models[].stream", "true or false", "true", "false", "ask for answers piece by piece, so that a slow model is seen to live; a server that cannot is asked without"),
    key("models[].structured", "auto, json_schema or tool", "auto", "tool", "how the final report is asked for: by `response_format` with a JSON Schema, or as a call; auto takes the schema where the server is known to hold to it"),
    key("models[].cache", "auto, off or ephemeral", "auto", "off", "mark what repeats with `cache_control`; auto does for Claude behind an OpenAI-compatible gateway"),
    key("models[].pin", "text", "null", "gpt-5-mini-2025-08-07", "the name that each answer must give as its model; another answer is dropped"),
    key("models[].num_ctx", "number", "null", "16384", "for ollama: tokens of the context that it is to set up; null is what the model has, at most 32768"),
    key("models[].pull", "true or false", "false", "true", "for ollama: let it pull a model that it does not have"),
    key("models[].file", "path", "null", "transcript.json", "for replay: a script, or what /api/v1/investigations/ID/transcript answered"),
    key("models[].strict", "true or false", "false", "true", "for replay: refuse a request that differs from the recorded one"),
    key("models[].price.input_per_mtok", "number", "0", "0.25", "US dollars for a million tokens sent"),
    key("models[].price.cached_per_mtok", "number", "null", "0.025", "US dollars for a million tokens sent that the server still had in its prompt cache; null is the full price"),
    key("models[].price.output_per_mtok", "number", "0", "2", "US dollars for a million tokens received"),
    key("models[].cheap", "true or false", "false", "true", "asked instead of a route's model when less than a fifth of the day's money is left or the route's `max_per_day` is reached, and for summaries (`investigation.summaries`); the first such model counts"),
    key("investigation.summaries", "cheap or off", "cheap", "off", "`cheap` has results that are too long for the conversation condensed by the first model with `cheap: true`, beside what is shown of them, and does nothing where there is none; `off` shows beginning and end alone"),
    key("budgets.per_investigation.turns", "number", "20", "10", "answers of the model"),
    key("budgets.per_investigation.tool_calls", "number", "60", "30", "tool calls that the model may make"),
    key("budgets.per_investigation.tokens", "number", "200000", "100000", "tokens sent and received together"),
    key("budgets.per_investigation.cost_usd", "number", "1", "0.5", "US dollars, by `models[].price`"),
    key("budgets.per_investigation.wall", "duration", "10m", "5m", "from opening to report"),
    key("budgets.survey.tool_calls", "number", "64", "32", "tool calls of the deterministic investigation"),
    key("budgets.survey.wall", "duration", "30s", "20s", "how long the deterministic investigation may take"),
    key("budgets.per_day.cost_usd", "number", "20", "5", "US dollars for all models of a UTC day, by `models[].price`; when they are used up, only models without a price are asked; null sets no limit"),
    key("budgets.per_day.tokens", "number", "null", "5000000", "tokens sent and received by all models of a UTC day; null sets no limit"),
    key("budgets.per_day.investigations", "number", "200", "500", "investigations of a UTC day; for later ones people only get a notice; null sets no limit"),
    key("tools.dir", "path", "null", "tools", "manifests that extend or replace the embedded ones, tools of your own among them (tools.md); null takes the embedded ones"),
    key("tools.kubernetes.url", "address", "null", "http://127.0.0.1:8001", "the API server itself, `kubectl proxy` for instance, instead of kubeconfig and context"),
    key("tools.kubernetes.bearer", "secret", "null", "file:kubernetes-token", "the credential for url"),
    key("tools.kubernetes.kubeconfig", "path", "null", "kubeconfig", "null looks where kubectl looks (KUBECONFIG, ~/.kube/config), then for a service account"),
    key("tools.kubernetes.context", "text", "null", "production", "null is the current context"),
    key("tools.kubernetes.write", "boolean", "false", "true", "true makes the tools exist that change the cluster; policy still decides about each change"),
    key("tools.kubernetes.writer.kubeconfig", "path", "null", "writer-kubeconfig", "credentials for changes alone, for the same cluster; null uses those for reading"),
    key("tools.kubernetes.writer.context", "text", "null", "production-writer", "null is the current context"),
    key("tools.prometheus.url", "address", "null", "http://prometheus.monitoring:9090", "null is PROMETHEUS_URL; without either there are no Prometheus tools"),
    key("tools.prometheus.bearer", "secret", "null", "file:prometheus-token", "sent as `Authorization: Bearer`"),
    key("tools.prometheus.basic.username", "text", "", "firewarden", "instead of bearer"),
    key("tools.prometheus.basic.password", "secret", "", "env:PROMETHEUS_PASSWORD", "instead of bearer"),
    key("tools.prometheus.max_series", "number", "2000", "10000", "series that one query may answer, 1 to 100000; wider ones are refused before they are sent, or cut"),
    key("tools.loki.url", "address", "null", "http://loki-gateway.monitoring", "null is LOKI_URL or LOKI_ADDR; without any there are no Loki tools"),
    key("tools.loki.bearer", "secret", "null", "file:loki-token", "sent as `Authorization: Bearer`"),
    key("tools.loki.basic.username", "text", "", "firewarden", "instead of bearer"),
    key("tools.loki.basic.password", "secret", "", "env:LOKI_PASSWORD", "instead of bearer"),
    key("tools.loki.tenant", "text", "null", "team-a", "sent as `X-Scope-OrgID`; no call can choose another"),
    key("tools.alertmanager.url", "address", "null", "http://alertmanager.monitoring:9093", "null is ALERTMANAGER_URL; without either there are no tools that look at silences"),
    key("tools.alertmanager.bearer", "secret", "null", "file:alertmanager-token", "sent as `Authorization: Bearer`"),
    key("tools.alertmanager.basic.username", "text", "", "firewarden", "instead of bearer"),
    key("tools.alertmanager.basic.password", "secret", "", "env:ALERTMANAGER_PASSWORD", "instead of bearer"),
    key("tools.alertmanager.write", "boolean", "false", "true", "true makes the tools exist that silence alerts and end our own silences; policy still decides about each"),
    key("tools.alertmanager.longest_silence", "duration", "4h", "1h", "how long a silence of ours may last, 1m to 7d"),
    key("tools.elasticsearch.url", "address", "null", "https://search.example.org:9200", "Elasticsearch or OpenSearch; without it there is no such tool"),
    key("tools.elasticsearch.api_key", "secret", "null", "file:elasticsearch-key", "sent as `Authorization: ApiKey`"),
    key("tools.elasticsearch.bearer", "secret", "null", "file:elasticsearch-token", "instead of api_key, sent as `Authorization: Bearer`"),
    key("tools.elasticsearch.basic.username", "text", "", "firewarden", "instead of api_key"),
    key("tools.elasticsearch.basic.password", "secret", "", "env:ELASTICSEARCH_PASSWORD", "instead of api_key"),
    key("tools.elasticsearch.indices", "list of names or patterns", "[]", "[\"logs-*\"]", "what may be searched; required beside url"),
    key("tools.elasticsearch.time_field", "name", "@timestamp", "timestamp", "the field that holds a document's time"),
    key("tools.http_probe.targets[].name", "name", "", "shop", "unique; what a call names, never the address"),
    key("tools.http_probe.targets[].url", "address", "", "https://shop.example.org/healthz", "what is asked; redirects are shown, not followed"),
    key("tools.http_probe.targets[].method", "GET or HEAD", "GET", "HEAD", "how it is asked"),
    key("tools.http_probe.targets[].expect_status", "number", "null", "200", "the status that is right; null is any below 400"),
    key("tools.http_probe.targets[].timeout", "duration", "10s", "3s", "from the look-up of the name to the last byte; at most 30s"),
    key("tools.http_probe.targets[].headers", "mapping of names to texts or secrets", "{}", "{x-probe: \"env:PROBE_KEY\"}", "sent with it and never shown"),
    key("tools.runbooks.hosts", "list of HOST or HOST:PORT", "[]", "[runbooks.example.org]", "hosts whose pages may be read, over https (plain http on loopback)"),
    key("tools.runbooks.dir", "path", "null", "runbooks", "Markdown files, found by their front matter (`alerts`, `labels`) or their name"),
    key("tools.github.token", "secret", "null", "env:GITHUB_TOKEN", "sent as `Authorization: Bearer`; null is GITHUB_TOKEN, or else GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY"),
    key("tools.github.app.id", "text or number", "", "Iv23liAbCdEfGhIjKlMn", "instead of token: a GitHub App, by its number or client id"),
    key("tools.github.app.private_key", "secret", "", "file:github-app.pem", "the App's key in PEM; from it come tokens for an hour, each for one repository"),
    key("tools.github.base_url", "address", "null", "https://github.example.org/api/v3", "the API of a GitHub Enterprise server; null is https://api.github.com; https only, plain http on loopback"),
    key("tools.github.repos", "list of OWNER/NAME", "[]", "[acme/platform]", "what may be read; without any there are no GitHub tools"),
    key("tools.github.write", "boolean", "false", "true", "true makes the tools exist that open pull requests and issues and write comments; policy still decides about each"),
    key("tools.github.writer.token", "secret", "null", "env:GITHUB_WRITER_TOKEN", "a credential for changes alone; without `writer` those of the reader are used"),
    key("tools.github.writer.app.id", "text or number", "", "Iv23liAbCdEfGhIjKlMn", "instead of token: a GitHub App for changes alone"),
    key("tools.github.writer.app.private_key", "secret", "", "file:github-writer.pem", "that App's key in PEM"),
    key("tools.jira.url", "address", "null", "https://acme.atlassian.net", "Jira Cloud, Server or Data Center (also JIRA_URL, JIRA_BASE_URL); without it there are no Jira tools"),
    key("tools.jira.deployment", "cloud or server", "null", "server", "which API it speaks; null is cloud for addresses that end in .atlassian.net, else server"),
    key("tools.jira.username", "text", "null", "firewarden@example.org", "for Cloud: the account's e-mail address (also JIRA_USERNAME, JIRA_EMAIL); beside it the token is sent as basic authentication, without it as `Authorization: Bearer`"),
    key("tools.jira.token", "secret", "null", "env:JIRA_API_TOKEN", "an API token, or for Server a personal access token; null is JIRA_API_TOKEN or JIRA_API_KEY"),
    key("tools.jira.project", "key of a project", "null", "OPS", "where issues are made (also JIRA_PROJECT_KEY); required beside url"),
    key("tools.jira.projects", "list of keys of projects", "[]", "[WEB, PLAT]", "further projects whose issues may be read and written"),
    key("tools.jira.issue_type", "text", "Task", "Incident", "the type of new issues"),
    key("tools.jira.write", "true or false", "true", "false", "offer the tools that write: issues, comments, transitions, links; policy judges each call, and a HIGH incident is documented in an issue"),
    key("tools.mcp[].name", "name", "", "tickets", "unique; names of its tools begin with it: `tickets_search`"),
    key("tools.mcp[].command.argv", "list of texts", "", "[/usr/local/bin/tickets-mcp, --stdio]", "an MCP server on stdio: program by its absolute path, and arguments; it is begun when it is needed, and again when it ends"),
    key("tools.mcp[].command.env", "mapping of names to texts or secrets", "{}", "{TICKETS_TOKEN: \"env:TICKETS_TOKEN\"}", "variables beside PATH, LANG, HOME and TMPDIR; nothing else of our environment is there"),
    key("tools.mcp[].command.read", "list of paths", "[]", "[/etc/tickets]", "what it may read beside the system's folders"),
    key("tools.mcp[].command.write", "list of paths", "[]", "[/var/lib/tickets]", "what it may write beside its own folder"),
    key("tools.mcp[].command.network", "true or false", "false", "true", "it may use the network (TCP)"),
    key("tools.mcp[].command.confine", "available or required", "available", "required", "required does not run it where the kernel cannot confine it"),
    key("tools.mcp[].http.url", "address", "", "https://mcp.example.org/mcp", "instead of command: an MCP server by streamable HTTP; its name is looked up once for each request, redirects are not followed"),
    key("tools.mcp[].http.headers", "mapping of names to texts or secrets", "{}", "{Authorization: \"Bearer env:MCP_TOKEN\"}", "sent with each request; a word may stand before a secret"),
    key("tools.mcp[].tools[].name", "text", "", "close_ticket", "the server's name for the tool; what is not listed does not exist"),
    key("tools.mcp[].tools[].effect", "read, record, propose, write or destroy", "", "write", "what it does to the world; the server's hints make it graver, never milder"),
    key("tools.mcp[].tools[].digest", "digest", "null", "sha256:0000000000000000000000000000000000000000000000000000000000000000", "what its name, description and parameters have to be, as `firewarden tools offered` prints it; required unless it reads, where null is what it is when it is first seen"),
    key("tools.mcp[].tools[].summary", "text", "null", "Closes a ticket.", "what a model is told of it; null is the server's description, marked as unchecked"),
    key("tools.mcp[].tools[].tags", "list of words", "[]", "[tickets]", "words that routes and policies choose it by"),
    key("tools.mcp[].tools[].target", "mapping as in manifests", "null", "{system: tickets, kind: Ticket, name: \"{{ id }}\"}", "what a call touches (tools.md); required unless it reads"),
    key("tools.mcp[].tools[].plan", "template", "null", "Close the ticket {{ id }}.", "what people are told above the call; null says that only the server knows"),
    key("tools.mcp[].tools[].reconcile", "mapping of tool, arguments and applied", "null", "{tool: get_ticket, arguments: {id: \"{{ id }}\"}, applied: {pointer: /state, equals: closed}}", "how it is looked for after doubt: another listed tool of the server that reads, and what in its answer shows the change"),
    key("tools.mcp[].tools[].retry", "never or probe", "never", "probe", "what follows when a look shows nothing (tools.md)"),
    key("tools.mcp[].tools[].reversible", "true or false", "false", "true", "it can be taken back"),
    key("tools.mcp[].tools[].timeout", "duration", "30s", "10s", "how long a call may take, at most 5m"),
    key("tools.mcp[].tools[].max_output", "size", "32KiB", "8KiB", "most bytes of text that a reader gets, 1KiB to 1MiB"),
    key("policies.dir", "path", "null", "policies", "null is ./policies beside this file if it is there, else the embedded policies"),
    key("policies.shadow", "path", "null", "policies-next", "policies that are tried beside the active ones: they decide nothing, and what they would have decided otherwise is recorded"),
    key("prompts.dir", "path", "null", "prompts", "null is ./prompts beside this file if it is there, over the embedded ones"),
    key("notify[].name", "name", "", "chat", "unique; `log` always exists"),
    key("notify[].webhook", "address or secret", "", "env:CHAT_WEBHOOK_URL", "where each revision of a report is sent as JSON"),
    key("audit.signing_key", "path", "null", "/var/lib/firewarden/signing-key", "the Ed25519 key that signs checkpoints of the journal, in the form PRIVATE+KEY+NAME+HASH+BASE64; null is the store's path with `.signing-key` behind it; made at the first start where it is missing"),
    key("audit.checkpoint_every", "duration", "10s", "1m", "how often what was appended to the journal is signed, 1s to 1h; 256 entries do not wait for it"),
    key("retention.payloads", "duration", "400d", "90d", "how long alerts as received, observations, inputs of decisions and reports are kept once their investigation is closed; the journal stays and says what was deleted; null keeps them"),
    key("retention.transcripts", "duration", "30d", "7d", "how long what models were told and answered is kept, likewise"),
    key("telemetry.log", "text or json", "text", "json", "how log lines on stderr look; RUST_LOG says which"),
];

/// What the key at `path` (with or without numbers of items) means.
pub(super) fn meaning(path: &str) -> Option<&'static str> {
    let mut pattern = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => pattern.push('['),
            ']' => pattern.push(']'),
            c if !inside => pattern.push(c),
            _ => {}
        }
        inside = c == '[' || inside && c != ']';
    }
    KEYS.iter().find(|key| key.path == pattern).map(|key| key.meaning)
}

/// The one key whose last part is `word`, if there is exactly one.
pub(super) fn with_last_part(word: &str) -> Option<&'static str> {
    let mut found = KEYS.iter().filter(|key| key.path.rsplit('.').next() == Some(word));
    match (found.next(), found.next()) {
        (Some(key), None) => Some(key.path),
        _ => None,
    }
}

/// docs/configuration.md.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    let mut section = "";
    for key in KEYS {
        let top = key.path.split(['.', '[']).next().unwrap_or_default();
        if top != section {
            section = top;
            out.push_str(&format!(
                "\n## {top}\n\n| Key | What stands there | Default | Example | Meaning |\n|---|---|---|---|---|\n"
            ));
        }
        let default = match key.default {
            "" => "required".to_owned(),
            default => format!("`{default}`"),
        };
        let cell = |text: &str| text.replace('|', "\\|");
        out.push_str(&format!(
            "| `{}` | {} | {default} | `{}` | {} |\n",
            key.path,
            cell(key.kind),
            cell(key.example),
            cell(key.meaning)
        ));
    }
    out.push_str("\n## Not in this version yet\n\nThese keys are accepted with their default and refused with anything else.\n\n| Key | Default | Meanwhile |\n|---|---|---|\n");
    for (path, default, instead) in super::later::LATER {
        out.push_str(&format!("| `{path}` | `{default}` | {instead} |\n"));
    }
    out
}

const HEAD: &str = "# Configuration

One file, `firewarden.yaml`; every key has a default, and no file at all is fine. `firewarden init` writes a commented one,
`firewarden check` says everything that is wrong with it at once. A key that is not listed here is an error.

- **Order**: flag, then variable `FIREWARDEN__SECTION__KEY` (`FIREWARDEN__SERVER__LISTEN`, `FIREWARDEN__MODELS__0__MODEL`; lists
  and mappings as `[a, b]` and `{a: b}`), then file, then well-known variable, then default.
- **Secrets** are references: `env:NAME` is a variable, `file:PATH` a file (its last newline does not count). The secret itself
  is refused.
- **Paths** stand relative to the file; those of variables and flags relative to the working folder.
- **Durations** are `500ms`, `30s`, `10m`, `2h`, `7d`, `1h30m`; **sizes** `512KiB`, `32MiB`, `1GiB`.
- A peer that is not configured is a tool that does not exist. A cluster is configured when `tools.kubernetes` is there (empty
  will do), `KUBECONFIG` is set, or firewarden runs inside a cluster.
- With `models` empty, `OPENAI_MODEL` names a model (with `OPENAI_API_KEY`, `OPENAI_BASE_URL`); without it, no model is asked.

This page is generated from `src/config/keys.rs`.
";
