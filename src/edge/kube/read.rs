//! Get, list and events.

use super::super::error::{EdgeError, EdgeErrorKind};
use super::kinds::nearest;
use super::{ApiKind, KubeReader, PEER, invalid};
use ::kube::core::params::ListParams;
use serde_json::Value;

/// How many objects are asked for at once.
const PAGE: u32 = 250;
/// Most bytes of objects in one listing.
const LISTING_BYTES: usize = 24 << 20;
/// How many names are looked through for the nearest.
const NAMES: u32 = 500;
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Which objects of a kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Label selector, as kubectl takes it.
    pub label_selector: Option<String>,
    /// Field selector, as kubectl takes it.
    pub field_selector: Option<String>,
    /// Only the metadata: names and labels, without what may be large or private.
    pub metadata_only: bool,
    /// Most objects.
    pub limit: usize,
}

/// Objects of one kind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The objects.
    pub items: Vec<Value>,
    /// Nothing was left out.
    pub complete: bool,
    /// How many more there are, as far as the server says.
    pub remaining: Option<u64>,
}

impl KubeReader {
    /// One object. Of a Secret only the metadata is asked for, so that its data never travels.
    ///
    /// # Errors
    /// [`EdgeErrorKind::NotFound`] says whether the namespace is missing and names what is near.
    pub async fn get(&self, kind: &ApiKind, namespace: Option<&str>, name: &str) -> Result<Value, EdgeError> {
        let namespace = place(kind, namespace)?;
        if kind.namespaced && namespace.is_none() {
            return Err(invalid(format!("a {} lives in a namespace: say which", kind.kind)));
        }
        let path = format!("{}/{}", kind.path(namespace), segment("name", name)?);
        let accept = kind.is_secret().then_some(METADATA);
        match self.json(&path, &ListParams::default(), accept).await {
            Ok(object) => only_metadata_of_secrets(kind, object),
            Err(error) if *error.kind() == EdgeErrorKind::NotFound => {
                Err(self.not_found(kind, namespace, name, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Objects of a kind, in one namespace or, without one, in all. Of Secrets only the metadata.
    ///
    /// # Errors
    /// [`EdgeErrorKind::NotFound`] when the namespace does not exist: the server itself would
    /// answer with an empty list.
    pub async fn list(&self, kind: &ApiKind, namespace: Option<&str>, query: &ListQuery) -> Result<Listing, EdgeError> {
        let namespace = place(kind, namespace)?;
        let accept = (kind.is_secret() || query.metadata_only).then_some(METADATA_LIST);
        let path = kind.path(namespace);
        let mut listing = Listing { complete: true, ..Listing::default() };
        let mut bytes = 0;
        let mut next: Option<String> = None;
        loop {
            let wanted = query.limit.saturating_sub(listing.items.len());
            let params = ListParams {
                label_selector: query.label_selector.clone(),
                field_selector: query.field_selector.clone(),
                limit: Some(u32::try_from(wanted).unwrap_or(PAGE).clamp(1, PAGE)),
                continue_token: next.take(),
                ..ListParams::default()
            };
            let page = match self.bytes(&path, &params, accept).await {
                Ok(page) => page,
                // The list grew old while we read: what was read so far is still true.
                Err(e) if !listing.items.is_empty() && is_expired(&e) => {
                    listing.complete = false;
                    break;
                }
                Err(e) => return Err(e),
            };
            bytes += page.len();
            let mut page: Value = serde_json::from_slice(&page).map_err(|e| {
                EdgeError::new(PEER, EdgeErrorKind::BadBody, format!("the list at {path} is not JSON ({e})"))
            })?;
            let Some(items) = page["items"].as_array_mut().map(std::mem::take) else {
                return Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, format!("the answer at {path} is no list")));
            };
            let empty = items.is_empty();
            for item in items {
                listing.items.push(only_metadata_of_secrets(kind, item)?);
            }
            listing.remaining = page["metadata"]["remainingItemCount"].as_u64();
            next = page["metadata"]["continue"].as_str().filter(|t| !t.is_empty()).map(str::to_owned);
            // A server may ignore `limit`.
            if listing.items.len() > query.limit {
                let over = (listing.items.len() - query.limit) as u64;
                listing.remaining = Some(listing.remaining.unwrap_or(0) + over);
                listing.items.truncate(query.limit);
                listing.complete = false;
            }
            if next.is_none() || empty {
                break;
            }
            if listing.items.len() >= query.limit || bytes >= LISTING_BYTES {
                listing.complete = false;
                break;
            }
        }
        match namespace {
            Some(namespace) if listing.items.is_empty() => self.check_namespace(namespace).await.map(|()| listing),
            _ => Ok(listing),
        }
    }

    /// Events (core/v1) about an object, in one namespace or, without one, in all.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn events(
        &self,
        namespace: Option<&str>,
        kind: Option<&str>,
        name: Option<&str>,
        limit: usize,
    ) -> Result<Listing, EdgeError> {
        let mut fields = Vec::new();
        for (field, value) in [("involvedObject.kind", kind), ("involvedObject.name", name)] {
            if let Some(value) = value {
                fields.push(format!("{field}={}", segment("name", value)?));
            }
        }
        let events = self.resolve("events", Some("v1")).await?;
        let field_selector = (!fields.is_empty()).then(|| fields.join(","));
        self.list(&events, namespace, &ListQuery { field_selector, limit, ..ListQuery::default() }).await
    }

    /// Fails when `namespace` does not exist. When we may not look, it is taken to exist.
    async fn check_namespace(&self, namespace: &str) -> Result<(), EdgeError> {
        let kind = self.resolve("namespaces", Some("v1")).await?;
        let path = format!("{}/{namespace}", kind.path(None));
        match self.json(&path, &ListParams::default(), Some(METADATA)).await {
            Err(error) if *error.kind() == EdgeErrorKind::NotFound => {
                let near = self.near(&kind, None, namespace).await;
                Err(error.because(format!("namespace {namespace} does not exist{near}")))
            }
            _ => Ok(()),
        }
    }

    async fn not_found(&self, kind: &ApiKind, namespace: Option<&str>, name: &str, error: EdgeError) -> EdgeError {
        if let Some(namespace) = namespace
            && let Err(missing) = self.check_namespace(namespace).await
        {
            return missing;
        }
        let near = self.near(kind, namespace, name).await;
        let place = namespace.map_or_else(String::new, |n| format!(" in namespace {n}"));
        let told = format!("{}{place}{near}", error.text());
        error.because(told)
    }

    /// The names nearest to `name`, in words; nothing when they may not be listed.
    async fn near(&self, kind: &ApiKind, namespace: Option<&str>, name: &str) -> String {
        let params = ListParams { limit: Some(NAMES), ..ListParams::default() };
        let Ok(list) = self.json(&kind.path(namespace), &params, Some(METADATA_LIST)).await else {
            return String::new();
        };
        let names = list["items"].as_array().into_iter().flatten().filter_map(|i| i["metadata"]["name"].as_str());
        match nearest(name, names, 5).join(", ") {
            near if near.is_empty() => format!("; there are no {}", kind.plural),
            near => format!("; the nearest are {near}"),
        }
    }
}

fn is_expired(error: &EdgeError) -> bool {
    matches!(error.kind(), EdgeErrorKind::Status { code: 410, .. })
}

/// The server answers a request for metadata with metadata. One that does not is no server that
/// we take secrets from.
fn only_metadata_of_secrets(kind: &ApiKind, mut object: Value) -> Result<Value, EdgeError> {
    if !kind.is_secret() {
        return Ok(object);
    }
    let full = ["data", "stringData"].iter().any(|key| object.get(key).is_some());
    if full {
        return Err(EdgeError::new(
            PEER,
            EdgeErrorKind::BadBody,
            "the server sent a Secret's data although only its metadata was asked for; the answer was dropped",
        ));
    }
    // It says `PartialObjectMetadata` of itself; what it is of, the reader wants to know.
    if let Some(object) = object.as_object_mut() {
        object.insert("kind".to_owned(), kind.kind.clone().into());
        object.insert("apiVersion".to_owned(), kind.api_version().into());
    }
    Ok(object)
}

/// The namespace that goes into the path.
fn place<'n>(kind: &ApiKind, namespace: Option<&'n str>) -> Result<Option<&'n str>, EdgeError> {
    match namespace {
        Some(namespace) if kind.namespaced => segment("namespace", namespace).map(Some),
        _ => Ok(None),
    }
}

/// `text` as one segment of a path: anything else would be another path.
pub(super) fn segment<'t>(what: &str, text: &'t str) -> Result<&'t str, EdgeError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'@');
    let dots = text.bytes().all(|b| b == b'.');
    if text.is_empty() || text.len() > 253 || dots || !text.bytes().all(fits) {
        let shown: String = text.chars().take(60).collect();
        return Err(invalid(format!("`{shown}` is no {what}: letters, digits, `-`, `.`, `:` only, at most 253")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, fixture};
    use super::*;
    use serde_json::json;

    fn query(limit: usize) -> ListQuery {
        ListQuery { limit, ..ListQuery::default() }
    }

    async fn kind(reader: &KubeReader, word: &str) -> ApiKind {
        reader.resolve(word, None).await.unwrap()
    }

    #[tokio::test]
    async fn an_object_is_read_as_the_server_serves_it() {
        let fake = Fake::new();
        fake.replay(&fixture("pod-crashloop"));
        fake.replay(&fixture("deployment"));
        let reader = fake.reader();
        let pod = reader.get(&kind(&reader, "po").await, Some("shop"), "api-65857d5d47-26pgn").await.unwrap();
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
        let deployment = reader.get(&kind(&reader, "deploy").await, Some("shop"), "api").await.unwrap();
        assert_eq!(deployment["kind"], "Deployment");
        assert!(reader.get(&kind(&reader, "po").await, None, "x").await.is_err());
    }

    #[tokio::test]
    async fn what_is_missing_is_told_with_what_is_near() {
        let fake = Fake::new();
        fake.replay(&fixture("error-404-pod"));
        fake.replay(&fixture("pods-list"));
        fake.on("/api/v1/namespaces/shop", 200, json!({"kind": "PartialObjectMetadata"}));
        let reader = fake.reader();
        let error = reader.get(&kind(&reader, "po").await, Some("shop"), "nope").await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::NotFound);
        assert!(error.text().starts_with("pods \"nope\" not found in namespace shop; the nearest are "), "{error}");
    }

    #[tokio::test]
    async fn an_empty_list_of_a_namespace_that_does_not_exist_is_an_error() {
        let fake = Fake::new();
        fake.replay(&fixture("error-404-ns-list-empty"));
        fake.on(
            "/api/v1/namespaces",
            200,
            json!({"items": [{"metadata": {"name": "host"}}, {"metadata": {"name": "shop"}}]}),
        );
        let reader = fake.reader();
        let pods = kind(&reader, "po").await;
        let error = reader.list(&pods, Some("ghost"), &query(10)).await.unwrap_err();
        assert_eq!(error.text(), "namespace ghost does not exist; the nearest are host, shop");
        // A namespace that we may not look at is taken to exist.
        fake.on("/api/v1/namespaces/ghost", 403, json!({"kind": "Status", "reason": "Forbidden", "code": 403}));
        assert!(reader.list(&pods, Some("ghost"), &query(10)).await.unwrap().items.is_empty());
    }

    #[tokio::test]
    async fn pages_are_joined_up_to_the_limit() {
        let fake = Fake::new();
        fake.pages("/api/v1/namespaces/shop/pods", 700);
        let reader = fake.reader();
        let pods = kind(&reader, "po").await;
        let all = reader.list(&pods, Some("shop"), &query(1000)).await.unwrap();
        assert_eq!((all.items.len(), all.complete), (700, true));
        assert_eq!(fake.asked().len(), 3);
        let some = reader.list(&pods, Some("shop"), &query(300)).await.unwrap();
        assert_eq!((some.items.len(), some.complete, some.remaining), (300, false, Some(400)));
        assert!(fake.asked()[4].contains("limit=50"), "{:?}", fake.asked());
    }

    #[tokio::test]
    async fn a_recorded_page_says_that_there_is_more() {
        let fake = Fake::new();
        fake.replay(&fixture("pods-list-limit2"));
        let reader = fake.reader();
        let some = reader.list(&kind(&reader, "po").await, Some("shop"), &query(2)).await.unwrap();
        assert_eq!((some.items.len(), some.complete), (2, false));
        assert!(some.remaining.is_some());
    }

    #[tokio::test]
    async fn secrets_are_asked_for_as_metadata_and_data_is_never_taken() {
        let fake = Fake::new();
        let secret =
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "db"}});
        fake.on("/api/v1/namespaces/shop/secrets/db", 200, secret.clone());
        fake.on("/api/v1/namespaces/shop/secrets", 200, json!({"items": [secret]}));
        fake.on("/api/v1/namespaces/rude/secrets/db", 200, json!({"kind": "Secret", "data": {"p": "aHVudGVyMg=="}}));
        let reader = fake.reader();
        for word in ["secret", "Secret", "secrets"] {
            let kind = kind(&reader, word).await;
            let got = reader.get(&kind, Some("shop"), "db").await.unwrap();
            assert_eq!((&got["kind"], &got["apiVersion"]), (&json!("Secret"), &json!("v1")));
            reader.list(&kind, Some("shop"), &query(5)).await.unwrap();
            let error = reader.get(&kind, Some("rude"), "db").await.unwrap_err();
            assert!(*error.kind() == EdgeErrorKind::BadBody && !error.to_string().contains("aHVu"), "{error}");
        }
        let accepts = fake.accepts();
        assert_eq!(accepts.len(), 9);
        assert!(accepts.iter().all(|a| a.contains("as=PartialObjectMetadata")), "{accepts:?}");
    }

    #[tokio::test]
    async fn refusals_are_told_by_reason() {
        let fake = Fake::new();
        fake.replay(&fixture("error-403-secret"));
        fake.replay_at(&fixture("error-401"), "/api/v1/namespaces/a/pods");
        fake.replay_at(&fixture("error-anonymous-403"), "/api/v1/namespaces/b/pods");
        fake.replay_at(&fixture("error-continue-bad"), "/api/v1/namespaces/c/pods");
        fake.replay_at(&fixture("metrics-absent"), "/api/v1/namespaces/d/pods");
        let reader = fake.reader();
        let error = reader.get(&kind(&reader, "secret").await, Some("shop"), "db").await.unwrap_err();
        assert_eq!(*error.kind(), EdgeErrorKind::Denied);
        insta::assert_snapshot!(error, @r#"kubernetes: forbidden: secrets "db" is forbidden: User "agent-ro" cannot get resource "secrets" in API group "" in the namespace "shop"; grant get on secrets in namespace shop"#);
        let mut told = Vec::new();
        for namespace in ["a", "b", "c", "d"] {
            let error = reader.list(&kind(&reader, "po").await, Some(namespace), &query(5)).await.unwrap_err();
            told.push(format!("{:?} {}", error.kind(), error.text()));
        }
        insta::assert_snapshot!("refusals", told.join("\n"));
    }

    #[tokio::test]
    async fn events_are_selected_by_the_object() {
        let fake = Fake::new();
        fake.replay_at(&fixture("events-pod"), "/api/v1/namespaces/shop/events");
        let reader = fake.reader();
        let events = reader.events(Some("shop"), Some("Pod"), Some("api-65857d5d47-26pgn"), 100).await.unwrap();
        assert!(events.items.iter().any(|e| e["reason"] == "BackOff"));
        assert!(
            fake.asked()[0]
                .contains("fieldSelector=involvedObject.kind%3DPod%2CinvolvedObject.name%3Dapi-65857d5d47-26pgn")
        );
        assert!(reader.events(Some("shop"), Some("Pod"), Some("a,metadata.name=b"), 1).await.is_err());
    }

    #[test]
    fn a_name_stays_one_segment() {
        for wrong in ["", ".", "..", "a/b", "a?b", "a%2fb", "a b", "ü"] {
            assert!(segment("name", wrong).is_err(), "{wrong}");
        }
        assert!(segment("name", "system:node").is_ok());
    }
}
