//! Objects of one kind.

use super::{Cluster, arguments, columns, events, gist, given, object};
use crate::edge::kube::ListQuery;
use crate::tools::render::{age, table};
use crate::tools::spec::{ReadTool, Seen, ToolError, ToolSpec};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

const LIMIT: usize = 200;
const LIMIT_MAX: usize = 1000;

/// `kubernetes_list`.
#[derive(Debug, Clone)]
pub struct List(pub(super) Cluster);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    api_version: Option<String>,
    kind: String,
    namespace: Option<String>,
    label_selector: Option<String>,
    field_selector: Option<String>,
    limit: Option<usize>,
}

#[async_trait]
impl ReadTool for List {
    fn spec(&self) -> &ToolSpec {
        &self.0.spec
    }

    fn target(&self, args: &Value) -> Vec<Value> {
        let Ok(args) = arguments::<Args>(args) else { return Vec::new() };
        vec![self.0.target("list", &args.kind, given(&args.api_version), given(&args.namespace), None)]
    }

    async fn read(&self, args: &Value) -> Result<Seen, ToolError> {
        let args: Args = arguments(args)?;
        let kind = self.0.reader.resolve(&args.kind, given(&args.api_version)).await?;
        let query = ListQuery {
            label_selector: given(&args.label_selector).map(str::to_owned),
            field_selector: given(&args.field_selector).map(str::to_owned),
            limit: args.limit.unwrap_or(LIMIT).clamp(1, LIMIT_MAX),
            ..ListQuery::default()
        };
        let listing = self.0.reader.list(&kind, given(&args.namespace), &query).await?;
        let api_version = kind.api_version();
        let count = listing.items.len();
        let items: Vec<Value> = listing
            .items
            .into_iter()
            .map(|item| object::trim(object::of_kind(item, &kind.kind, &api_version)))
            .collect();
        let mut seen =
            Seen::all(json!({"kind": format!("{}List", kind.kind), "items": items, "complete": listing.complete}));
        if !listing.complete {
            seen.truncated = true;
            let more = listing.remaining.map_or_else(|| "more".to_owned(), |n| format!("{n} more"));
            seen.notes
                .push(format!("{count} {} are shown, there are {more}; use a selector or a higher limit", kind.plural));
        }
        Ok(seen)
    }

    fn gist(&self, args: &Value, seen: &Seen) -> String {
        let kind = kind(seen);
        let items: Vec<&Value> = object::items(&seen.data["items"]).collect();
        let namespace = args["namespace"].as_str().map(str::trim).filter(|n| !n.is_empty());
        if items.is_empty() {
            let place = namespace.map(|n| format!(" in namespace {n}")).unwrap_or_default();
            let selected =
                ["label_selector", "field_selector"].iter().any(|s| args[*s].as_str().is_some_and(|s| !s.is_empty()));
            return format!("no {kind}{place}{}", if selected { " matches the selector" } else { "" });
        }
        match kind {
            "Event" => gist::events(items.into_iter(), seen.data["complete"] != false),
            kind => {
                let namespaced = items.iter().any(|item| item["metadata"]["namespace"].is_string());
                let namespace = namespace.filter(|_| namespaced);
                gist::list(kind, &items, namespace, seen.data["complete"] != false, self.0.clock.now())
            }
        }
    }

    fn text(&self, args: &Value, seen: &Seen) -> String {
        let now = self.0.clock.now();
        let kind = kind(seen);
        let items: Vec<&Value> = object::items(&seen.data["items"]).collect();
        if items.is_empty() {
            return String::new();
        }
        let spans = args["namespace"].as_str().is_none_or(str::is_empty);
        if kind == "Event" {
            return events::shown(items.into_iter(), now, true);
        }
        let mut heads = vec!["NAME"];
        heads.extend(columns::heads(kind));
        heads.push("AGE");
        let rows: Vec<Vec<String>> = items
            .iter()
            .map(|item| {
                let mut row = vec![columns::name(item, spans)];
                row.extend(columns::cells(kind, item, now));
                row.push(age(&item["metadata"]["creationTimestamp"], now));
                row
            })
            .collect();
        table(&heads, &rows)
    }
}

/// Of what kind the objects are.
fn kind(seen: &Seen) -> &str {
    let list = seen.data["kind"].as_str().unwrap_or_default();
    list.strip_suffix("List").unwrap_or(list)
}
