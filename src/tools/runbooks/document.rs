//! A Markdown file and the alerts that it is for.

use crate::edge::runbooks::Document;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest front matter, in bytes.
const FRONT: usize = 8 << 10;

/// A runbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbook {
    /// Its path below the folder.
    pub path: String,
    /// Its first heading, else its path.
    pub title: String,
    /// Alerts that it is for; a `*` at the end is any text.
    pub alerts: Vec<String>,
    /// Labels that the alert must have.
    pub labels: BTreeMap<String, String>,
    /// Markdown, without the front matter.
    pub text: String,
}

#[derive(Debug, Default, Deserialize)]
struct Front {
    #[serde(default)]
    alerts: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Runbook {
    /// Reads a file. Front matter that is no YAML is text.
    pub fn read(document: Document) -> Self {
        let (front, text) = front(&document.text).unwrap_or((Front::default(), &document.text));
        let title = title(text).unwrap_or_else(|| document.path.clone());
        Self { title, alerts: front.alerts, labels: front.labels, text: text.to_owned(), path: document.path }
    }

    /// How well it fits an alert; `None` when it does not. A name counts more than labels.
    pub fn fits(&self, alert: Option<&str>, labels: &BTreeMap<String, String>) -> Option<usize> {
        if self.labels.iter().any(|(key, value)| labels.get(key) != Some(value)) {
            return None;
        }
        let named = alert.is_some_and(|alert| {
            let listed = self.alerts.iter().any(|one| match one.strip_suffix('*') {
                Some(start) => alert.starts_with(start),
                None => one == alert,
            });
            listed || (self.alerts.is_empty() && !plain(alert).is_empty() && plain(self.stem()) == plain(alert))
        });
        match (named, self.alerts.is_empty(), self.labels.len()) {
            (true, ..) => Some(100 + self.labels.len()),
            // For any alert with these labels.
            (false, true, labels @ 1..) => Some(labels),
            _ => None,
        }
    }

    /// What it is and what it is for, in a line.
    pub fn named(&self) -> String {
        match self.alerts.is_empty() {
            true => self.path.clone(),
            false => format!("{} ({})", self.path, self.alerts.join(", ")),
        }
    }

    fn stem(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.rsplit_once('.').map_or(file, |(stem, _)| stem)
    }
}

fn front(text: &str) -> Option<(Front, &str)> {
    let rest =
        text.trim_start_matches('\u{feff}').strip_prefix("---")?.trim_start_matches([' ', '\r']).strip_prefix('\n')?;
    let end = rest.find("\n---")?;
    let yaml = rest.get(..end).filter(|yaml| yaml.len() <= FRONT)?;
    let after = rest.get(end + 4..)?;
    let after = after.split_once('\n').map_or("", |(_, after)| after);
    Some((serde_saphyr::from_str(yaml).ok()?, after))
}

/// The first heading.
pub fn title(text: &str) -> Option<String> {
    let heading = text.lines().take(200).find_map(|line| line.trim().strip_prefix('#'))?;
    Some(heading.trim_start_matches('#').trim().to_owned()).filter(|title| !title.is_empty())
}

/// `KubePodCrashLooping` and `kube-pod-crash-looping` are one.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runbook(path: &str, text: &str) -> Runbook {
        Runbook::read(Document { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_runbook_says_what_it_is_for() {
        let pvc =
            runbook("storage/a.md", "---\nalerts: [PVCUsageHigh, Volume*]\nowner: x\n---\n# Full volumes\nExpand.\n");
        assert_eq!((pvc.title.as_str(), pvc.text.as_str()), ("Full volumes", "# Full volumes\nExpand.\n"));
        let none = BTreeMap::new();
        for (alert, fits) in [("PVCUsageHigh", true), ("VolumeFull", true), ("pvcusagehigh", false), ("Other", false)] {
            assert_eq!(pvc.fits(Some(alert), &none).is_some(), fits, "{alert}");
        }
        assert_eq!(pvc.fits(None, &none), None);
        let by_name = runbook("kube-pod-crash-looping.md", "no heading");
        assert!(
            by_name.fits(Some("KubePodCrashLooping"), &none).is_some() && by_name.title == "kube-pod-crash-looping.md"
        );
        let shop = runbook("shop.md", "---\nlabels: {team: shop}\n---\ntext");
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        assert_eq!((shop.fits(Some("Any"), &labels), shop.fits(Some("Any"), &none)), (Some(1), None));
        let both = runbook("b.md", "---\nalerts: [A]\nlabels: {team: shop}\n---\ntext");
        assert_eq!((both.fits(Some("A"), &none), both.fits(Some("A"), &labels)), (None, Some(101)));
        let broken = runbook("c.md", "---\nalerts: [\n---\ntext");
        assert!(broken.alerts.is_empty() && broken.text.starts_with("---"));
    }
}
