//! Runbooks: pages of hosts that the configuration lists, and Markdown files of one folder.

use super::error::{EdgeError, EdgeErrorKind};
use super::hosts::{AllowedHosts, NotAllowed};
use super::pinned::{Asked, Pinned, Trace};
use hyper::Method;
use hyper::header::{self, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

const PEER: &str = "runbooks";
/// Bytes of a page that are read; most of a page is no text.
const PAGE_BYTES: usize = 1 << 20;
/// How long a page may take, redirects included.
const TOTAL: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 3;
/// How long a page is good, and how many are kept.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
const PAGES: usize = 32;
/// Bytes of all pages that are kept.
const KEPT_BYTES: usize = 4 << 20;
/// Files of the folder that are looked at, how large each may be, and how deep they may lie.
const FILES: usize = 500;
const FILE_BYTES: u64 = 256 << 10;
const DEPTH: usize = 4;

/// A page as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The address that it came from, after redirects.
    pub url: String,
    /// The media type, without parameters.
    pub media_type: String,
    /// The text.
    pub text: String,
    /// It went on.
    pub cut: bool,
}

/// A Markdown file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its path below the folder.
    pub path: String,
    /// The text.
    pub text: String,
}

/// Reads runbooks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunbookReader {
    hosts: AllowedHosts,
    dir: Option<PathBuf>,
    pinned: Pinned,
    cache: Arc<Mutex<Vec<(Timestamp, String, Page)>>>,
}

impl RunbookReader {
    /// A reader of `hosts` and of `dir`.
    pub fn new(hosts: AllowedHosts, dir: Option<PathBuf>, pinned: Pinned) -> Self {
        Self { hosts, dir, pinned, cache: Arc::default() }
    }

    /// Whether there is a folder to look in.
    pub fn has_dir(&self) -> bool {
        self.dir.is_some()
    }

    /// Whether there are hosts to ask.
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The first page of each host.
    pub fn starts(&self) -> Vec<String> {
        self.hosts.starts()
    }

    /// The page at `address`, which is judged before anything is looked up.
    ///
    /// # Errors
    /// [`EdgeErrorKind::Denied`] when the address may not be asked, else what went wrong.
    pub async fn fetch(&self, address: &str, now: Timestamp) -> Result<Page, EdgeError> {
        let first = self.hosts.admit(address.trim()).map_err(denied)?;
        if let Some(page) = self.cached(first.as_str(), now) {
            return Ok(page);
        }
        let page = tokio::time::timeout(TOTAL, self.follow(&first)).await.unwrap_or_else(|_| {
            let text = format!("no whole page within {} s", TOTAL.as_secs());
            Err(EdgeError::new(PEER, EdgeErrorKind::Timeout, text))
        })?;
        self.keep(first.as_str(), &page, now);
        Ok(page)
    }

    async fn follow(&self, first: &Url) -> Result<Page, EdgeError> {
        let accept = [(header::ACCEPT, HeaderValue::from_static("text/markdown, text/html, text/plain;q=0.9"))];
        let mut url = first.clone();
        let mut trace = Trace::default();
        for _ in 0..=REDIRECTS {
            let asked = Asked {
                peer: PEER,
                method: Method::GET,
                url: &url,
                headers: &accept,
                body: &[],
                total: TOTAL,
                body_bytes: PAGE_BYTES,
            };
            // The addresses stay those of the first look-up: the host does not change.
            let answer = self.pinned.exchange(&asked, &mut trace).await?;
            let host = url.host_str().unwrap_or_default().to_owned();
            match answer.status {
                200..=299 => {
                    let encoding = answer.header(header::CONTENT_ENCODING);
                    if !encoding.is_empty() && encoding != "identity" {
                        let text = format!("{host} answers in `{encoding}`, which was not asked for");
                        return Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, text));
                    }
                    let kind = answer.header(header::CONTENT_TYPE).split(';').next().unwrap_or_default();
                    let media_type = kind.trim().to_ascii_lowercase();
                    if !(media_type.is_empty()
                        || media_type.starts_with("text/")
                        || media_type == "application/xhtml+xml")
                    {
                        let text = format!("{host} answers with {media_type}, which is no text");
                        return Err(EdgeError::new(PEER, EdgeErrorKind::BadBody, text));
                    }
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    return Ok(Page { url: url.to_string(), media_type, text, cut: answer.cut });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.header(header::LOCATION);
                    let next = url.join(to).ok().and_then(|next| self.hosts.admit(next.as_str()).ok());
                    let Some(next) = next.filter(|next| next.origin() == first.origin()) else {
                        let text = format!("{host} redirects to another place, which is not followed");
                        return Err(EdgeError::new(PEER, EdgeErrorKind::Denied, text));
                    };
                    url = next;
                }
                401 | 403 => {
                    let text =
                        format!("{host} wants to know who asks ({}); firewarden signs in nowhere", answer.status);
                    return Err(EdgeError::new(PEER, EdgeErrorKind::Denied, text));
                }
                404 | 410 => {
                    return Err(EdgeError::new(PEER, EdgeErrorKind::NotFound, format!("{host} has no such page")));
                }
                code => {
                    let kind = EdgeErrorKind::Status { code, reason: String::new() };
                    return Err(EdgeError::new(PEER, kind, format!("{host} answers {code}")));
                }
            }
        }
        let text = format!("more than {REDIRECTS} redirects, which are not followed");
        Err(EdgeError::new(PEER, EdgeErrorKind::Denied, text))
    }

    fn cached(&self, address: &str, now: Timestamp) -> Option<Page> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that goes back makes no page fresh again.
        cache.retain(|(at, _, _)| *at <= now && now.duration_since(*at) < FRESH);
        cache.iter().find(|(_, known, _)| known == address).map(|(_, _, page)| page.clone())
    }

    fn keep(&self, address: &str, page: &Page, now: Timestamp) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|(_, known, _)| known != address);
        cache.push((now, address.to_owned(), page.clone()));
        let bytes =
            |cache: &Vec<(Timestamp, String, Page)>| cache.iter().map(|(_, _, page)| page.text.len()).sum::<usize>();
        while cache.len() > PAGES || bytes(&cache) > KEPT_BYTES {
            cache.remove(0);
        }
    }

    /// The Markdown files of the folder, sorted by path. Links that lead out of it are left out. The
    /// second value tells whether there are more than are looked at.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn documents(&self) -> Result<(Vec<Document>, bool), EdgeError> {
        let Some(dir) = self.dir.clone() else { return Ok((Vec::new(), false)) };
        let wrong =
            |e: String| EdgeError::new(PEER, EdgeErrorKind::Unreachable, format!("the folder cannot be read: {e}"));
        let read = tokio::task::spawn_blocking(move || documents(&dir));
        read.await.map_err(|e| wrong(e.to_string()))?.map_err(|e| wrong(e.to_string()))
    }
}

fn denied(why: NotAllowed) -> EdgeError {
    EdgeError::new(PEER, EdgeErrorKind::Denied, why.to_string())
}

fn documents(dir: &Path) -> std::io::Result<(Vec<Document>, bool)> {
    let root = dir.canonicalize()?;
    let mut found = Vec::new();
    let mut folders = vec![(root.clone(), 0)];
    let mut more = false;
    while let Some((folder, depth)) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        for path in entries {
            // A link is what it leads to, and that has to lie in the folder.
            let Ok(path) = path.canonicalize() else { continue };
            let Ok(below) = path.strip_prefix(&root) else { continue };
            let name = below.to_string_lossy().into_owned();
            if path.is_dir() {
                if depth < DEPTH && !name.is_empty() && path.starts_with(&folder) {
                    folders.push((path, depth + 1));
                }
            } else if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("md")) {
                if found.len() == FILES {
                    more = true;
                    continue;
                }
                let mut bytes = Vec::new();
                fs::File::open(&path)?.take(FILE_BYTES).read_to_end(&mut bytes)?;
                found.push(Document { path: name, text: String::from_utf8_lossy(&bytes).into_owned() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup();
    Ok((found, more))
}

#[cfg(test)]
mod tests;
