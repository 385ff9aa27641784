//! The tools that exist here, and the one way to call them.

use super::act::{ActError, ActTool, Observed, PREVIEW_BYTES, Plan, Setting};
use super::manifest::{ManifestError, Manifests};
use super::mcp::{self, Mcp};
use super::sources::{Sources, builtins, fitting};
use super::spec::{ReadTool, Seen, ToolError, ToolSpec};
use super::{blank, bound, custom, evidence, gist};
use crate::domain::{
    Action, BLANK, Digest, Effect, Marker, Observation, Receipt, Reconciled, Redactor, Risk, ToolOffer,
};
use crate::edge::{KubeReader, RunbookReader};
use crate::gate::{Pass, Warrant, is_possible};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Semaphore;

/// Calls that are made at once, whoever makes them: a storm of alerts must not become a storm on the
/// cluster that is in trouble already.
const AT_ONCE: usize = 32;

/// A tool and what its calls are checked against.
pub(super) struct Entry {
    tool: Tool,
    spec: Arc<ToolSpec>,
    schema: jsonschema::Validator,
}

impl Entry {
    fn new(tool: Tool) -> Result<Self, String> {
        // A tool may say more of its parameters than its manifest can.
        let spec = Arc::new(tool.spec().clone());
        let schema = jsonschema::validator_for(&spec.params).map_err(|e| format!("params: is no JSON Schema: {e}"))?;
        Ok(Self { tool, spec, schema })
    }

    pub(super) fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    pub(super) fn of(tool: custom::Tool) -> Result<Self, String> {
        Self::new(match tool.into_kind() {
            custom::Kind::Reads(tool) => Tool::Reads(tool.into()),
            custom::Kind::Acts(tool) => Tool::Acts(tool.into()),
        })
    }
}

/// A tool by what it does.
pub(super) enum Tool {
    Reads(Arc<dyn ReadTool>),
    Acts(Arc<dyn ActTool>),
}

impl Tool {
    fn spec(&self) -> &ToolSpec {
        match self {
            Self::Reads(tool) => tool.spec(),
            Self::Acts(tool) => tool.spec(),
        }
    }
}

/// The tools that exist here.
pub struct Registry {
    tools: BTreeMap<String, Arc<Entry>>,
    /// Tools that come and go with their servers.
    mcp: Mcp,
    kubernetes: Option<KubeReader>,
    runbooks: Option<RunbookReader>,
    redactor: Arc<ArcSwap<Redactor>>,
    slots: Semaphore,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("tools", &self.tools.keys()).finish_non_exhaustive()
    }
}

impl Registry {
    /// Builds every declared tool whose peers are there.
    ///
    /// # Errors
    /// When a manifest names a builtin that does not exist, or an effect that is not its own.
    pub fn new(
        manifests: &Manifests,
        sources: Sources,
        redactor: Arc<ArcSwap<Redactor>>,
    ) -> Result<Self, ManifestError> {
        let mut tools = BTreeMap::new();
        for (file, spec) in manifests.specs() {
            let wrong = |text: String| ManifestError { file: file.to_owned(), text };
            if let Some(tool) = custom::Tool::new(spec, &sources.custom).map_err(wrong)? {
                if spec.requires.iter().all(|peer| sources.has(peer)) {
                    tools.insert(spec.name.clone(), Arc::new(Entry::of(tool).map_err(wrong)?));
                }
                continue;
            }
            if !builtins().any(|name| name == spec.builtin) {
                let known: Vec<&str> = builtins().collect();
                return Err(wrong(format!("run.builtin: `{}` is not one of {}", spec.builtin, known.join(", "))));
            }
            fitting(&spec.builtin, spec.effect).map_err(wrong)?;
            if !spec.requires.iter().all(|peer| sources.has(peer)) {
                continue;
            }
            if let Some(tool) = sources.tool(&Arc::new(spec.clone()), &redactor) {
                tools.insert(spec.name.clone(), Arc::new(Entry::new(tool).map_err(wrong)?));
            }
        }
        let Sources { kubernetes, runbooks, mcp, .. } = sources;
        let mcp = Mcp::new(mcp);
        // Nobody takes a name away from another tool, whether that one exists here or not.
        let taken = |name: &String| manifests.specs().any(|(_, spec)| spec.name == *name);
        if let Some(name) = mcp.names().find(taken) {
            let text = format!("`{name}` is the name of another tool; call the server otherwise");
            return Err(ManifestError { file: "tools.mcp".to_owned(), text });
        }
        Ok(Self { tools, mcp, kubernetes, runbooks, redactor, slots: Semaphore::new(AT_ONCE) })
    }

    /// Whether `runbook_fetch` can read pages, and whether files; `None` where there is no such tool.
    pub fn runbooks(&self) -> Option<(bool, bool)> {
        let reader = self.runbooks.as_ref().filter(|_| self.tools.contains_key("runbook_fetch"))?;
        Some((reader.has_hosts(), reader.has_dir()))
    }

    /// The tool called `name`.
    pub fn get(&self, name: &str) -> Option<Arc<dyn ReadTool>> {
        match &self.found(name)?.tool {
            Tool::Reads(tool) => Some(tool.clone()),
            Tool::Acts(_) => None,
        }
    }

    /// What the tool called `name` declares, whether it looks or acts.
    pub fn spec(&self, name: &str) -> Option<Arc<ToolSpec>> {
        self.found(name).map(|entry| entry.spec.clone())
    }

    /// What the tools declare, sorted by name.
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        let coming = self.mcp.tools();
        let mut specs: Vec<Arc<ToolSpec>> =
            self.tools.values().chain(coming.values()).map(|entry| entry.spec.clone()).collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// How the tools of MCP servers stand that the configuration lists.
    pub fn standing(&self) -> Vec<mcp::Standing> {
        let redactor = self.redactor.load();
        let clean = |of: mcp::Standing| mcp::Standing { why: redactor.text(&of.why).0.into_owned(), ..of };
        self.mcp.standing().into_iter().map(clean).collect()
    }

    /// Waits until every MCP server was looked at once, as long as that may take.
    pub async fn ready(&self) {
        self.mcp.first().await;
    }

    /// The same, if one of `names` is of such a server.
    pub async fn ready_for<'a>(&self, mut names: impl Iterator<Item = &'a str>) {
        if names.any(|name| !self.tools.contains_key(name)) {
            self.ready().await;
        }
    }

    /// Keeps in touch with the MCP servers; never ends.
    pub async fn keep(&self) {
        self.mcp.keep().await;
    }

    fn found(&self, name: &str) -> Option<Arc<Entry>> {
        self.tools.get(name).cloned().or_else(|| self.mcp.tools().get(name).cloned())
    }

    /// The tools to offer to a model at `level`, sorted by name: those with a name or tag in `chosen`,
    /// all when it is empty; of those that change something, only what is possible at that level.
    pub fn offers<T: AsRef<str>>(&self, chosen: &[T], level: Risk) -> Vec<ToolOffer> {
        self.specs()
            .into_iter()
            .filter(|spec| is_chosen(spec, chosen) && is_possible(level, spec.effect))
            .map(|spec| ToolOffer {
                name: spec.name.clone(),
                description: spec.summary.clone(),
                parameters: spec.params.clone(),
            })
            .collect()
    }

    /// Whether the tool called `name` is among those that [`Self::offers`] gives for `chosen`.
    pub fn offered<T: AsRef<str>>(&self, name: &str, chosen: &[T]) -> bool {
        self.spec(name).is_some_and(|spec| is_chosen(&spec, chosen))
    }

    /// Digest over all that the tools declare: two registries with one digest offer the same.
    pub fn digest(&self) -> Digest {
        Digest::of_parts(self.specs().into_iter().map(|s| serde_json_canonicalizer::to_vec(&*s).unwrap_or_default()))
    }

    /// Learns what kinds the cluster serves, so that [`ReadTool::target`] resolves them all, and what MCP
    /// servers offer.
    ///
    /// # Errors
    /// When the cluster does not tell; targets of kinds that are not built in then stand as written.
    pub async fn warm(&self) -> Result<(), ToolError> {
        let discovered = async {
            match &self.kubernetes {
                Some(cluster) => cluster.discover().await.map_err(ToolError::from),
                None => Ok(()),
            }
        };
        tokio::join!(discovered, self.ready()).0
    }

    /// What a call would touch, for the policy; see [`ReadTool::target`].
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn targets(&self, name: &str, args: &Value) -> Result<Vec<Value>, ToolError> {
        self.validate(name, args)?;
        Ok(self.reading(name)?.target(args))
    }

    /// Checks a call against the tool's parameters.
    ///
    /// # Errors
    /// [`ToolError::Invalid`], in words that tell what to send instead.
    pub fn validate(&self, name: &str, args: &Value) -> Result<(), ToolError> {
        let entry = self.entry(name)?;
        let takes = || takes(&entry.spec.params);
        if !args.is_object() {
            return Err(ToolError::invalid(format!("{name} takes its arguments as one JSON object: {}", takes())));
        }
        let said: Vec<String> = entry.schema.iter_errors(args).take(3).map(|e| in_words(&e)).collect();
        match said.is_empty() {
            true => Ok(()),
            false => Err(self.clean(ToolError::invalid(format!("{name}: {}; it takes {}", said.join("; "), takes())))),
        }
    }

    /// Makes the call that the gate let pass: checks the arguments, looks for at most the tool's
    /// time, takes secrets out, and bounds what is left.
    ///
    /// # Errors
    /// [`ToolError`], whose text is safe to show.
    pub async fn call(&self, pass: Pass) -> Result<Observation, ToolError> {
        let call = pass.redeem();
        self.look(&call.tool, &call.args).await
    }

    /// Reads on in `kept`, as the call that the gate let pass wants it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn read_on(&self, pass: Pass, kept: &Observation) -> Result<Observation, ToolError> {
        let call = pass.redeem();
        self.validate(&call.tool, &call.args)?;
        let seen = evidence::read(&call.args, kept).map_err(|e| self.clean(e))?;
        Ok(self.observed(self.reading(&call.tool)?.as_ref(), &call.args, seen))
    }

    pub(super) async fn look(&self, name: &str, args: &Value) -> Result<Observation, ToolError> {
        self.validate(name, args)?;
        let tool = self.reading(name)?;
        let spec = tool.spec();
        // Closed by nobody; without a slot the call is made all the same.
        let _slot = self.slots.acquire().await;
        let seen = tokio::time::timeout(spec.timeout, tool.read(args)).await.unwrap_or_else(|_| {
            Err(ToolError::failed(
                format!("{name} took longer than {:?}; ask for less or try again", spec.timeout),
                true,
            ))
        });
        Ok(self.observed(tool.as_ref(), args, seen.map_err(|e| self.clean(e))?))
    }

    /// Tries a change without making it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn plan(&self, name: &str, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        self.validate(name, args)?;
        let tool = self.acting(name)?;
        // Texts for people may quote what was blanked out; the world may not be made to say it.
        if matches!(tool.spec().effect, Effect::Write | Effect::Destroy) && holds(args, BLANK) {
            return Err(ToolError::invalid(format!(
                "the arguments say `{BLANK}` where a secret stood; leave that out, or refer to the secret by its name"
            )));
        }
        let _slot = self.slots.acquire().await;
        let limit = tool.spec().timeout;
        let planned = tokio::time::timeout(limit, tool.plan(args, setting)).await.unwrap_or_else(|_| {
            Err(ToolError::failed(format!("planning {name} took longer than {limit:?}; try again"), true))
        });
        let mut plan = planned.map_err(|e| self.clean(e))?;
        let redactor = self.redactor.load();
        let whole = redactor.text(&plan.preview.text).0.into_owned();
        let named = Digest::of(&whole);
        let (text, cut) = bound::text(whole, PREVIEW_BYTES);
        (plan.preview.text, plan.preview.whole) = match cut {
            true => (format!("{text}\n[the rest is not shown]"), Some(named)),
            false => (text, None),
        };
        plan.title = redactor.text(&gist::line(&plan.title)).0.into_owned();
        Ok(plan)
    }

    /// Makes the change that the warrant names at `now`, in at most the tool's time.
    ///
    /// # Errors
    /// Whether nothing happened, or something may have.
    pub async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let name = warrant.action().tool.clone();
        let tool = self.acting(&name).map_err(|e| ActError::refused(e.for_reader()))?;
        let limit = tool.spec().timeout;
        let made = tokio::time::timeout(limit, tool.execute(warrant, now)).await;
        let made = made.unwrap_or_else(|_| Err(ActError::unknown(format!("{name} took longer than {limit:?}"))));
        let redactor = self.redactor.load();
        let clean = |text: &str| redactor.text(text).0.into_owned();
        match made {
            Ok(receipt) => Ok(Receipt { summary: clean(&gist::line(&receipt.summary)), ..receipt }),
            Err(error) => Err(error.map(clean)),
        }
    }

    /// Looks whether a change is in the world.
    ///
    /// # Errors
    /// When it cannot look.
    pub async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let tool = self.acting(&action.tool)?;
        let limit = tool.spec().timeout;
        let looked = tokio::time::timeout(limit, tool.reconcile(action, marker)).await;
        looked.unwrap_or_else(|_| Err(slow(&action.tool, limit))).map_err(|e| self.clean(e))
    }

    /// Looks how a change that was made fares.
    ///
    /// # Errors
    /// When it cannot look.
    pub async fn observe(&self, action: &Action, receipt: &Receipt) -> Result<Observed, ToolError> {
        let tool = self.acting(&action.tool)?;
        let limit = tool.spec().timeout;
        let looked = tokio::time::timeout(limit, tool.observe(action, receipt)).await;
        looked.unwrap_or_else(|_| Err(slow(&action.tool, limit))).map_err(|e| self.clean(e))
    }

    fn reading(&self, name: &str) -> Result<Arc<dyn ReadTool>, ToolError> {
        match &self.entry(name)?.tool {
            Tool::Reads(tool) => Ok(tool.clone()),
            Tool::Acts(_) => Err(ToolError::invalid(format!("{name} does not look, it changes something"))),
        }
    }

    fn acting(&self, name: &str) -> Result<Arc<dyn ActTool>, ToolError> {
        match &self.entry(name)?.tool {
            Tool::Acts(tool) => Ok(tool.clone()),
            Tool::Reads(_) => Err(ToolError::invalid(format!("{name} only looks"))),
        }
    }

    /// What a tool saw, without secrets and in bounds.
    fn observed(&self, tool: &dyn ReadTool, args: &Value, mut seen: Seen) -> Observation {
        let redactor = self.redactor.load();
        let too_deep = bound::depth(&mut seen.data);
        let mut redacted = blank::data(&mut seen.data, &redactor);
        let left_out = bound::data(&mut seen.data, bound::DATA_BYTES);
        seen.truncated |= left_out.is_some() || too_deep.is_some();
        seen.notes.extend(too_deep);
        seen.notes.extend(left_out);
        // Quoting can bring together what only together looks like a secret.
        let said = tool.gist(args, &seen);
        let (said, blanked) = redactor.text(&said);
        redacted += blanked;
        let mut text = format!("{}\n{}", gist::line(&said), tool.text(args, &seen));
        for note in &seen.notes {
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("note: {note}"));
        }
        // The text was made from clean data; what joined in between (notes) is checked here.
        let (clean, blanked) = redactor.text(&text);
        redacted += blanked;
        let most = tool.spec().max_output;
        let (whole, _) = match tool.whole(args, &seen) {
            Some(whole) => bound::text(self.redactor.load().text(&whole).0.into_owned(), bound::WHOLE_BYTES),
            None if clean.len() > most => bound::text(clean.clone().into_owned(), bound::WHOLE_BYTES),
            None => Default::default(),
        };
        let (text, cut) = bound::text(clean.into_owned(), most);
        Observation { data: seen.data, text, whole, truncated: seen.truncated || cut, redacted }
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>, ToolError> {
        self.found(name).ok_or_else(|| {
            // One that is listed and not offered says why: whoever calls it may have seen it before.
            if let Some(gone) = self.standing().into_iter().find(|of| of.name == name) {
                return ToolError::failed(format!("{name} is not offered: {}", gone.why), false);
            }
            let specs = self.specs();
            let known: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
            let shown: String = name.chars().take(64).collect();
            ToolError::invalid(format!("there is no tool `{shown}`; there are {}", known.join(", ")))
        })
    }

    /// The same error without secrets: servers quote what they were asked and what they hold.
    fn clean(&self, error: ToolError) -> ToolError {
        let redactor = self.redactor.load();
        error.map(|text| redactor.text(text).0.into_owned())
    }
}

/// Whether a text in `value`, or a name, contains `words`.
fn holds(value: &Value, words: &str) -> bool {
    match value {
        Value::String(text) => text.contains(words),
        Value::Array(items) => items.iter().any(|item| holds(item, words)),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(words) || holds(value, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn slow(name: &str, limit: std::time::Duration) -> ToolError {
    ToolError::failed(format!("looking after {name} took longer than {limit:?}"), true)
}

/// By name or tag; an empty choice is all.
fn is_chosen<T: AsRef<str>>(spec: &ToolSpec, chosen: &[T]) -> bool {
    let fits = |word: &str| word == spec.name || spec.tags.iter().any(|tag| tag == word);
    chosen.is_empty() || chosen.iter().any(|word| fits(word.as_ref()))
}

/// What a schema takes, in a line: `kind (string, required), namespace (string)`.
fn takes(params: &Value) -> String {
    let required: Vec<&str> = params["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = params["properties"].as_object().into_iter().flatten();
    let mut list: Vec<(bool, String)> = properties
        .map(|(name, schema)| {
            let must = required.contains(&name.as_str());
            let kind = schema["type"].as_str().unwrap_or("value");
            (!must, format!("{name} ({kind}{})", if must { ", required" } else { "" }))
        })
        .collect();
    list.sort();
    match list.is_empty() {
        true => "no arguments: {}".to_owned(),
        false => list.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", "),
    }
}

fn in_words(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().take(5).map(|n| n.chars().take(40).collect()).collect();
            format!("unknown argument `{}`", names.join("`, `"))
        }
        ValidationErrorKind::Required { property } => {
            format!("argument `{}` is missing", property.as_str().unwrap_or_default())
        }
        _ => {
            let said: String = error.to_string().chars().take(200).collect();
            format!("argument `{path}`: {said}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::spec::ERROR_BYTES;
    use super::*;
    use crate::domain::Clock;
    use crate::edge::kube::fake::Fake;
    use serde_json::json;

    #[derive(Debug)]
    pub(crate) struct Fixed(pub(crate) Timestamp);
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    fn registry(kubernetes: Option<KubeReader>) -> Registry {
        let sources = Sources { kubernetes, ..Sources::none(Arc::new(Fixed(Timestamp::UNIX_EPOCH))) };
        let redactor = Arc::new(ArcSwap::from_pointee(Redactor::new(["s3cr3t-value"]).unwrap()));
        Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap()
    }

    #[tokio::test]
    async fn a_peer_that_is_not_configured_is_tools_that_do_not_exist() {
        // Reading on in evidence needs no peer.
        assert_eq!(registry(None).specs().iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["evidence_read"]);
        let names: Vec<String> = registry(Some(Fake::new().reader())).specs().iter().map(|s| s.name.clone()).collect();
        assert_eq!(
            names,
            [
                "evidence_read",
                "kubernetes_describe",
                "kubernetes_events",
                "kubernetes_get",
                "kubernetes_list",
                "kubernetes_logs",
                "kubernetes_node",
                "kubernetes_related",
                "kubernetes_rollout_history",
                "kubernetes_top",
                "kubernetes_volume"
            ]
        );
    }

    #[tokio::test]
    async fn what_changes_something_is_there_only_with_a_writer_and_only_as_a_change() {
        let reader = Fake::new().reader();
        let sources = Sources {
            kubernetes: Some(reader.clone()),
            kubernetes_write: Some(crate::edge::KubeWriter::with(reader)),
            ..Sources::none(Arc::new(Fixed(Timestamp::UNIX_EPOCH)))
        };
        let redactor = Arc::new(ArcSwap::from_pointee(Redactor::new([]).unwrap()));
        let registry = Registry::new(&Manifests::embedded().unwrap(), sources, redactor).unwrap();
        assert_eq!(registry.specs().len(), 21);
        assert!(registry.get("kubernetes_scale").is_none(), "it does not look");
        let args = json!({"kind": "Deployment", "namespace": "a", "name": "b", "replicas": 2});
        let looked = registry.look("kubernetes_scale", &args);
        assert!(looked.await.unwrap_err().for_reader().contains("changes something"));
        let offered = |level| registry.offers(&["kubernetes_scale", "kubernetes_delete"], level).len();
        assert_eq!([Risk::Low, Risk::Medium, Risk::High, Risk::Critical].map(offered), [2, 2, 1, 0]);
    }

    #[tokio::test]
    async fn offers_are_chosen_by_name_or_tag() {
        let registry = registry(Some(Fake::new().reader()));
        assert_eq!(registry.offers::<&str>(&[], Risk::Low).len(), 11);
        assert_eq!(registry.offers(&["kubernetes"], Risk::Low).len(), 10);
        assert_eq!(registry.offers(&["kubernetes_logs", "prometheus"], Risk::Low)[0].name, "kubernetes_logs");
        assert!(registry.offers(&["github"], Risk::Low).is_empty());
        assert_eq!(registry.digest(), self::registry(Some(Fake::new().reader())).digest());
    }

    #[tokio::test]
    async fn a_wrong_call_is_answered_with_what_to_send() {
        let registry = registry(Some(Fake::new().reader()));
        let said = |name: &str, args: Value| registry.validate(name, &args).unwrap_err().for_reader().to_owned();
        insta::assert_snapshot!(
            "wrong_calls",
            [
                said("kubernetes_fetch", json!({})),
                said("kubernetes_get", json!("{kind: pod")),
                said("kubernetes_get", json!({"kind": "pod", "nmae": "x", "password": "s3cr3t-value"})),
                said("kubernetes_logs", json!({"namespace": "a", "pod": "b", "tail": "many"})),
                said("kubernetes_list", json!({"kind": "pods", "limit": 0})),
            ]
            .join("\n")
        );
        let long = said(&"x".repeat(9000), json!({}));
        assert!(long.len() <= ERROR_BYTES);
    }

    #[tokio::test]
    async fn secrets_leave_data_text_and_errors() {
        let fake = Fake::new();
        fake.on(
            "/api/v1/namespaces/n/configmaps/c",
            200,
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"},
                   "data": {"db_password": "correct horse battery", "url": "has s3cr3t-value"}}),
        );
        fake.on(
            "/api/v1/namespaces/n/pods",
            500,
            json!({"kind": "Status", "message": "webhook said s3cr3t-value ".repeat(500), "code": 500}),
        );
        let registry = registry(Some(fake.reader()));
        let seen =
            registry.look("kubernetes_get", &json!({"kind": "cm", "namespace": "n", "name": "c"})).await.unwrap();
        assert_eq!(seen.redacted, 2);
        let shown = format!("{} {}", seen.data, seen.text);
        assert!(!shown.contains("horse") && !shown.contains("s3cr3t-value"), "{shown}");
        let error = registry.look("kubernetes_list", &json!({"kind": "pods", "namespace": "n"})).await.unwrap_err();
        assert!(error.is_transient() && !error.for_reader().contains("s3cr3t"), "{error}");
        assert!(error.for_reader().len() <= ERROR_BYTES);
        // A secret that is exchanged is known from then on, without a new registry.
        registry.redactor.store(Arc::new(Redactor::new(["s3cr3t-value", "correct horse"]).unwrap()));
        fake.on("/api/v1/namespaces/n/pods", 500, json!({"kind": "Status", "message": "a correct horse", "code": 500}));
        let error = registry.look("kubernetes_list", &json!({"kind": "pods", "namespace": "n"})).await.unwrap_err();
        assert!(!error.for_reader().contains("horse"), "{error}");
    }

    #[tokio::test]
    async fn what_is_nested_too_deep_is_cut_and_can_be_read_back() {
        let fake = Fake::new();
        let mut deep = json!("bottom");
        for _ in 0..60 {
            deep = json!({"d": [deep]});
        }
        fake.on(
            "/api/v1/namespaces/n/configmaps/c",
            200,
            json!({"kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"name": "c"}, "data": {"shallow": "here", "deep": deep}}),
        );
        let registry = registry(Some(fake.reader()));
        let seen = registry.look("kubernetes_get", &json!({"kind": "cm", "namespace": "n", "name": "c"})).await;
        let seen = seen.unwrap();
        assert!(seen.truncated && seen.data.to_string().contains("[nested deeper than 64 levels]"));
        let bytes = serde_json::to_vec(&seen).unwrap();
        assert_eq!(serde_json::from_slice::<Observation>(&bytes).unwrap(), seen);
        assert_eq!(bound::depth(&mut json!({"a": [[1]]})), None);
    }

    #[tokio::test]
    async fn variables_whose_names_tell_are_blank_in_get_list_and_describe() {
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "p", "namespace": "n"}, "spec": {
            "initContainers": [{"name": "i", "image": "i:1", "env": [{"name": "ADMIN_TOKEN", "value": "init horse"}]}],
            "containers": [{"name": "c", "image": "c:1", "args": ["--api-key", "args horse"],
                "env": [{"name": "DB_PASSWORD", "value": "correct horse"}, {"name": "MODE", "value": "fast"}]}]}});
        let fake = Fake::new();
        fake.on("/api/v1/namespaces/n/pods/p", 200, pod.clone());
        fake.on("/api/v1/namespaces/n/pods", 200, json!({"kind": "PodList", "metadata": {}, "items": [pod]}));
        fake.on("/api/v1/namespaces/n/events", 200, json!({"kind": "EventList", "metadata": {}, "items": []}));
        let registry = registry(Some(fake.reader()));
        for (tool, args) in [
            ("kubernetes_get", json!({"kind": "pod", "namespace": "n", "name": "p"})),
            ("kubernetes_list", json!({"kind": "pods", "namespace": "n"})),
            ("kubernetes_describe", json!({"kind": "pod", "namespace": "n", "name": "p"})),
        ] {
            let seen = registry.look(tool, &args).await.unwrap();
            assert_eq!(seen.redacted, 3, "{tool}");
            let data = seen.data.to_string();
            assert!(data.contains("DB_PASSWORD") && data.contains("fast"), "{tool}: {data}");
            assert!(!format!("{data} {}", seen.text).contains("horse"), "{tool}: {data} {}", seen.text);
        }
    }

    #[tokio::test]
    async fn a_private_key_in_a_log_is_blank_in_data_and_text() {
        let fake = Fake::new();
        let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let list = json!({"lines": ["up", "-----BEGIN PRIVATE KEY-----", body, body, "-----END PRIVATE KEY-----", "ready"],
            "total_lines": 6});
        fake.on(
            "/api/v1/namespaces/n/configmaps/c",
            200,
            json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": list}),
        );
        let registry = registry(Some(fake.reader()));
        let seen =
            registry.look("kubernetes_get", &json!({"kind": "cm", "namespace": "n", "name": "c"})).await.unwrap();
        let lines: Vec<&str> =
            seen.data["data"]["lines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((lines.first(), lines.last()), (Some(&"up"), Some(&"ready")));
        assert!(lines.len() > 2 && lines[1..lines.len() - 1].iter().all(|line| *line == "[redacted]"), "{lines:?}");
        assert_eq!(seen.data["data"]["total_lines"].as_u64(), Some(6));
        assert!(seen.redacted >= 1);
        assert!(!seen.text.contains(&body[..20]), "{}", seen.text);
    }

    #[tokio::test]
    async fn a_large_answer_is_bounded_and_says_so() {
        let fake = Fake::new();
        let items: Vec<Value> = (0..700)
            .map(|n| json!({"metadata": {"name": format!("c{n}"), "annotations": {"a": "x".repeat(14_000)}}}))
            .collect();
        fake.on("/api/v1/configmaps", 200, json!({"kind": "ConfigMapList", "metadata": {}, "items": items}));
        let registry = registry(Some(fake.reader()));
        let seen = registry.look("kubernetes_list", &json!({"kind": "configmaps", "limit": 1000})).await.unwrap();
        assert!(bound::size(&seen.data) <= bound::DATA_BYTES && seen.truncated);
        assert_eq!(seen.data["complete"], false);
        assert!(seen.text.len() <= 32 << 10 && seen.text.contains("items were left out"), "{}", seen.text);
    }
}
