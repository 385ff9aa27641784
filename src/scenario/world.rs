//! A folder becomes a world.

use super::{
    about::{self, About, Expected, Faults},
    curves::{self, Metadata},
    error::{Place, ScenarioError},
    folder::Folder,
    github::{self, Hub},
    jira::{self, Jira},
    kubernetes::{kinds::Catalogue, metrics},
    objects, openmetrics,
    prometheus::rules::{self, Group},
    series::Series,
    shift::Shift,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// A recorded world: a cluster, its monitoring, an alert, and what must be found.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) about: About,
    pub(crate) alert: Value,
    pub(crate) expected: Expected,
    pub(crate) faults: Faults,
    /// Every object, sorted by namespace and name.
    pub(crate) objects: Vec<Value>,
    pub(crate) catalogue: Catalogue,
    /// By `<namespace>/<pod>/<container>` with `.previous` for the run before.
    pub(crate) logs: BTreeMap<String, String>,
    pub(crate) series: Arc<Vec<Series>>,
    pub(crate) metadata: BTreeMap<String, Metadata>,
    pub(crate) rules: Arc<Vec<Group>>,
    /// Its repository and its Jira as they were recorded, if it has them.
    pub(crate) hub: Option<Hub>,
    pub(crate) jira: Option<Jira>,
    /// Whether it takes changes; a recording does not, unless somebody plays with it.
    pub(crate) writable: bool,
    now: Timestamp,
    /// A shifted world's clock runs from the moment it was loaded; an unshifted one stands.
    loaded: Option<Instant>,
}

impl World {
    /// The built-in worlds: id and one line each, sorted.
    ///
    /// # Errors
    /// When a built-in folder's `scenario.yaml` cannot be read.
    pub fn list() -> Result<Vec<(String, String)>, ScenarioError> {
        Folder::embedded_names()
            .into_iter()
            .map(|name| {
                let folder = Folder::embedded(&name)?;
                let about: About = required(&folder, "scenario.yaml")?;
                Ok((about.id, about.title))
            })
            .collect()
    }

    /// A built-in world. With `shift_to`, every instant in it moves so that the recording's `now` is
    /// that moment (to the second), and its clock runs; without, it stands at its own `now`.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`] names the worlds that exist; [`ScenarioError::Broken`] the file and
    /// key that are wrong.
    pub fn embedded(name: &str, shift_to: Option<Timestamp>) -> Result<Self, ScenarioError> {
        Self::from_folder(&Folder::embedded(name)?, shift_to)
    }

    /// The world in the folder at `path`; `shift_to` as for [`World::embedded`].
    ///
    /// # Errors
    /// [`ScenarioError::Unreadable`] or [`ScenarioError::Broken`], naming the file.
    pub fn from_dir(path: &Path, shift_to: Option<Timestamp>) -> Result<Self, ScenarioError> {
        Self::from_folder(&Folder::read(path)?, shift_to)
    }

    fn from_folder(folder: &Folder, shift_to: Option<Timestamp>) -> Result<Self, ScenarioError> {
        let mut about: About = required(folder, "scenario.yaml")?;
        let recorded = about.now;
        if about.id != folder.name {
            let place = Place { scenario: &folder.name, file: "scenario.yaml" };
            return Err(place.broken("key `id`", format!("is `{}` but the folder is `{}`", about.id, folder.name)));
        }
        let shift = shift_to.map_or(Shift::NONE, |to| Shift::between(recorded, to));
        about.now = shift.instant(recorded);
        let (series, metadata) = read_metrics(folder, recorded, shift)?;
        let objects = read_objects(folder, recorded, shift)?;
        Ok(Self {
            alert: read_alert(folder, shift)?,
            expected: required(folder, "expected.yaml")?,
            faults: optional(folder, "faults.yaml")?,
            rules: Arc::new(rules::read(folder, shift)?),
            catalogue: Catalogue::of(objects.iter()).with(metrics::kinds(&series)),
            logs: read_logs(folder, shift)?,
            hub: github::read(folder, shift)?,
            jira: jira::read(folder)?,
            writable: false,
            now: about.now,
            loaded: shift_to.map(|_| Instant::now()),
            about,
            objects,
            series: Arc::new(series),
            metadata,
        })
    }

    /// The same world, taking changes: whoever may read may write, except what its faults deny.
    #[must_use]
    pub fn writable(self) -> Self {
        let (hub, jira) = (self.hub.map(Hub::writable), self.jira.map(Jira::writable));
        Self { writable: true, hub, jira, ..self }
    }

    /// The same world with these objects.
    pub(crate) fn with_objects(&self, objects: Vec<Value>) -> Self {
        Self { objects, ..self.clone() }
    }

    /// What this world is.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What Alertmanager sends: the body of its webhook.
    pub fn alert(&self) -> &Value {
        &self.alert
    }

    /// The repository that it has, `owner/name`.
    pub fn repository(&self) -> Option<&str> {
        self.hub.as_ref().map(Hub::name)
    }

    /// The project of the Jira that it has.
    pub fn project(&self) -> Option<&str> {
        self.jira.as_ref().map(Jira::project)
    }

    /// What the object at this place says; nothing where there is none.
    pub fn object(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        let is = |object: &Value, pointer: &str, text: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default() == text
        };
        self.objects.iter().find(|object| {
            is(object, "/kind", kind)
                && is(object, "/metadata/namespace", namespace)
                && is(object, "/metadata/name", name)
        })
    }

    /// What a good investigator finds.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    /// What the world refuses.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The present moment in this world.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.loaded.map_or(SignedDuration::ZERO, |loaded| {
            SignedDuration::try_from(loaded.elapsed()).unwrap_or(SignedDuration::ZERO)
        });
        self.now.checked_add(elapsed).unwrap_or(self.now)
    }
}

fn required<T: serde::de::DeserializeOwned>(folder: &Folder, file: &str) -> Result<T, ScenarioError> {
    let place = Place { scenario: &folder.name, file };
    match folder.files.get(file) {
        Some(text) => about::parse(place, text),
        None => Err(place.broken("whole file", "is missing")),
    }
}

fn optional<T: serde::de::DeserializeOwned + Default>(folder: &Folder, file: &str) -> Result<T, ScenarioError> {
    match folder.files.get(file) {
        Some(text) => about::parse(Place { scenario: &folder.name, file }, text),
        None => Ok(T::default()),
    }
}

fn read_alert(folder: &Folder, shift: Shift) -> Result<Value, ScenarioError> {
    let place = Place { scenario: &folder.name, file: "alert.json" };
    let text = folder.files.get("alert.json").ok_or_else(|| place.broken("whole file", "is missing"))?;
    let mut alert: Value = serde_json::from_str(text).map_err(|e| place.broken("JSON", e))?;
    match alert.get("alerts").and_then(Value::as_array) {
        None => return Err(place.broken("key `alerts`", "is missing or no list")),
        Some(alerts) if alerts.is_empty() => return Err(place.broken("key `alerts`", "is empty")),
        Some(_) => {}
    }
    shift.json(&mut alert);
    Ok(alert)
}

fn read_objects(folder: &Folder, now: Timestamp, shift: Shift) -> Result<Vec<Value>, ScenarioError> {
    let built_in = Catalogue::of([].iter());
    let mut all = Vec::new();
    let mut seen: BTreeSet<[String; 4]> = BTreeSet::new();
    for (file, text) in folder.under("cluster/", ".yaml") {
        let place = Place { scenario: &folder.name, file };
        let before = all.len();
        objects::read(place, text, now, shift, &mut all)?;
        for object in all.iter().skip(before) {
            let identity = ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"]
                .map(|p| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned());
            let [api_version, kind, namespace, name] = &identity;
            if built_in.by_kind(api_version, kind).is_some_and(|k| k.namespaced == namespace.is_empty()) {
                let key = format!("{kind} `{name}`, key `metadata.namespace`");
                return Err(place.broken(key, "is missing, or is there though the kind has none"));
            }
            if let Some(twice) = seen.replace(identity) {
                return Err(place.broken("metadata.name", format!("is there twice: {}", twice.join(" "))));
            }
        }
    }
    objects::link(&mut all);
    all.sort_by_cached_key(|object| {
        ["/metadata/namespace", "/metadata/name"]
            .map(|p| object.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned())
    });
    Ok(all)
}

fn read_logs(folder: &Folder, shift: Shift) -> Result<BTreeMap<String, String>, ScenarioError> {
    let mut logs = BTreeMap::new();
    for (file, text) in folder.under("logs/", ".log") {
        let key = file.trim_start_matches("logs/").trim_end_matches(".log");
        if key.split('/').count() != 3 {
            let place = Place { scenario: &folder.name, file };
            return Err(place.broken("path", "is not logs/<namespace>/<pod>/<container>[.previous].log"));
        }
        logs.insert(key.to_owned(), shift.text(text).into_owned());
    }
    Ok(logs)
}

fn read_metrics(
    folder: &Folder,
    now: Timestamp,
    shift: Shift,
) -> Result<(Vec<Series>, BTreeMap<String, Metadata>), ScenarioError> {
    let mut series: Vec<Series> = Vec::new();
    let mut metadata = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (file, text) in folder.under("metrics/", "") {
        let place = Place { scenario: &folder.name, file };
        let (more, described) = match file.rsplit_once('.').map(|(_, ending)| ending) {
            Some("yaml") => curves::read(place, text, now, shift)?,
            Some("om") => openmetrics::read(place, text, shift)?,
            _ => return Err(place.broken("path", "ends neither with .yaml nor with .om")),
        };
        for one in &more {
            if !seen.insert(one.labels.clone()) {
                return Err(place.broken("series", format!("is there twice: {:?}", one.labels)));
            }
        }
        series.extend(more);
        metadata.extend(described);
    }
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok((series, metadata))
}
