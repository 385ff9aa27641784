//! `github_open_pull_request`: one commit on a branch of our own, and a pull request for it.
//!
//! Everything that is made before the pull request is named by its content: blobs, tree and commit have
//! the same ids at every attempt, the branch can be made once, and GitHub keeps one open pull request for
//! it. So a second attempt goes on where the first one ended.

use super::files::{self, Changed, Wanted};
use super::{Desk, about, blind, body, date, glob, harmless, object, owners, receipt, text, words};
use crate::domain::{Action, Marker, Preview, Receipt, Reconciled, Retry, Target};
use crate::edge::EdgeErrorKind;
use crate::edge::github::answers::Pull;
use crate::edge::github::reader::Contents;
use crate::edge::github::writer::{Errand, NewCommit, TreeChange, Unmade, target};
use crate::edge::github::{Repo, names};
use crate::gate::Warrant;
use crate::tools::act::{ActError, ActTool, CaseText, Observed, Plan, PullRoute, Setting};
use crate::tools::spec::{ToolError, ToolSpec, arguments, given};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Who writes our commits. The address belongs to nobody.
const AUTHOR: (&str, &str) = ("firewarden", "firewarden@firewarden.invalid");
/// Looks for a pull request that GitHub says is there, and the pause between them.
const LOOKS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// `github_open_pull_request`.
#[derive(Debug, Clone)]
pub(super) struct OpenPull(pub(super) Desk);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    repo: Option<String>,
    title: String,
    summary: String,
    changes: Vec<Wanted>,
}

/// Where a pull request comes from and goes to.
struct Place {
    repo: Repo,
    base: String,
    branch: String,
    paths: Vec<String>,
}

#[async_trait]
impl ActTool for OpenPull {
    fn spec(&self) -> &ToolSpec {
        &self.0.hub.spec
    }

    async fn plan(&self, args: &Value, setting: &Setting<'_>) -> Result<Plan, ToolError> {
        let args: Args = arguments(args)?;
        let place = self.place(given(&args.repo), setting.case).await?;
        let title = self.0.headline(&args.title);
        let (commit, tree) = self.begins_at(&place, &title, setting.began).await?;
        let changed = files::resolved(&self.0.hub.reader, &place.repo, &tree, &args.changes).await?;
        self.permitted(&place, &changed)?;
        let owned = self.owned(&place.repo, &commit, &changed).await?;
        let preview = preview(&place, &changed);
        let said = format!("{}\n\n{}", self.0.clean(&args.summary), about(setting.case));
        let decision = setting.case.decision.as_ref().map(|decision| format!("\n\n{}", words::quiet(decision)));
        Ok(Plan {
            title: format!("open a pull request in {}: {title}", place.repo),
            targets: vec![target(&place.repo, "PullRequest", &place.branch)],
            precondition: json!({"base": place.base, "commit": commit, "tree": tree}),
            carries: json!({
                "title": title, "said": format!("{said}{}", decision.unwrap_or_default()),
                "chain": setting.case.chain, "checkpoint": setting.case.checkpoint, "date": setting.began,
            }),
            undo: None,
            reversible: true,
            retry: Retry::Keyed,
            blast_radius: harmless(),
            facts: json!({
                "pr": {
                    "repo": place.repo.to_string(), "base": place.base,
                    "files": changed.iter().map(|file| &file.path).collect::<Vec<_>>(),
                    "lines": preview.adds + preview.removes, "touches_codeowners": owned,
                },
                "result": files::digest(&changed),
            }),
            preview,
        })
    }

    async fn execute(&self, warrant: Warrant, now: Timestamp) -> Result<Receipt, ActError> {
        let (permit, action) = warrant.redeem(&self.spec().name, now)?;
        let (target, repo) = object(&action).map_err(|error| ActError::refused(error.for_reader()))?;
        let errand = Errand { permit: &permit, target: &target };
        if let Some(receipt) = self.there(&repo, &target, permit.marker()).await? {
            return Ok(receipt);
        }
        let commit = self.commit(errand, &repo, &action).await?;
        self.branch(errand, &repo, &commit).await?;
        self.pull(errand, &repo, &action, &commit).await
    }

    async fn reconcile(&self, action: &Action, marker: &Marker) -> Result<Reconciled, ToolError> {
        let (target, repo) = object(action)?;
        Ok(match self.found(&repo, &target.name, marker).await?.0 {
            Some(pull) => Reconciled::Applied { receipt: opened(&repo, &target, &pull) },
            // Nothing refuses a copy that arrives late as long as no pull request stands.
            None => Reconciled::Absent { definite: false },
        })
    }

    async fn observe(&self, _: &Action, receipt: &Receipt) -> Result<Observed, ToolError> {
        let repo = Repo::parse(text(&receipt.detail, "repo")).map_err(ToolError::invalid)?;
        let number = receipt.detail["number"].as_u64().unwrap_or_default();
        let pull = self.0.hub.reader.pull(&repo, number).await?;
        Ok(match (&pull.merged_at, pull.state.as_str()) {
            (Some(at), _) => Observed::Settled(format!("pull request #{number} was merged at {at}")),
            (None, "closed") => Observed::Broken(format!("pull request #{number} was closed without being merged")),
            (None, _) => Observed::Waits(format!("pull request #{number} waits for people")),
        })
    }
}

impl OpenPull {
    /// The route's repository where it names one, else the call's.
    async fn place(&self, asked: Option<&str>, case: &CaseText) -> Result<Place, ToolError> {
        let repo = self.0.repo(asked, case)?;
        if let Some(PullRoute { repo: only, .. }) = &case.pull
            && Repo::parse(only) != Ok(repo.clone())
        {
            return Err(ToolError::invalid(format!("repo: pull requests of this route go to {only}")));
        }
        let base = match case.pull.as_ref().and_then(|pull| pull.base.clone()) {
            Some(base) => base,
            None => self.0.hub.reader.repository(&repo).await?.default_branch,
        };
        let branch = case.pull.as_ref().and_then(|pull| pull.branch.clone());
        let branch = branch.unwrap_or_else(|| format!("firewarden/{}", case.slug));
        let named = |name: &str| names::reference(name).map(str::to_owned);
        let (base, branch) = (named(&base), named(&branch));
        let (Ok(base), Ok(branch)) = (base, branch) else {
            return Err(ToolError::failed("the route's branches have no names that git takes", false));
        };
        if base == branch {
            return Err(ToolError::failed(format!("a pull request from {branch} into itself is none"), false));
        }
        let paths = case.pull.as_ref().map(|pull| pull.paths.clone()).unwrap_or_default();
        Ok(Place { repo, base, branch, paths })
    }

    /// The commit that ours grows from and its tree: the base's last one, or what an earlier attempt grew
    /// from, so that this one gives the same commit.
    async fn begins_at(&self, place: &Place, title: &str, began: Timestamp) -> Result<(String, String), ToolError> {
        let reader = &self.0.hub.reader;
        if let Some(earlier) = reader.branch(&place.repo, &place.branch).await? {
            let ours = reader.git_commit(&place.repo, &earlier).await?;
            let says = ours.message.starts_with(&format!("{title}\n\nAction-Id: fw-"));
            if let ([parent], true) = (ours.parents.as_slice(), says)
                && reader.holds(&place.repo, &place.base, &parent.sha).await?
            {
                let before = reader.git_commit(&place.repo, &parent.sha).await?;
                tracing::debug!(branch = %place.branch, %began, "an earlier attempt is gone on with");
                return Ok((before.sha, before.tree.sha));
            }
        }
        let Some(head) = reader.branch(&place.repo, &place.base).await? else {
            return Err(ToolError::failed(format!("{} has no branch {}", place.repo, place.base), false));
        };
        let commit = reader.git_commit(&place.repo, &head).await?;
        Ok((commit.sha, commit.tree.sha))
    }

    /// Only paths that the route permits, and no secrets.
    fn permitted(&self, place: &Place, changed: &[Changed]) -> Result<(), ToolError> {
        let meant = |path: &str| place.paths.iter().any(|pattern| glob::matches(pattern, path));
        if let Some(file) = changed.iter().find(|file| !place.paths.is_empty() && !meant(&file.path)) {
            let text = format!("changes: {} is none of this route's: {}", file.path, place.paths.join(", "));
            return Err(ToolError::Refused { text: crate::edge::error::shorten(&text, 1000).into_owned() });
        }
        files::without_secrets(changed, &self.0.redactor.load())
    }

    /// The files that have owners of their own. Owners that cannot be read own everything.
    async fn owned(&self, repo: &Repo, commit: &str, changed: &[Changed]) -> Result<Vec<String>, ToolError> {
        let all = || changed.iter().map(|file| file.path.clone());
        for place in owners::PLACES {
            match self.0.hub.reader.contents(repo, place, Some(commit)).await {
                Ok(Contents::File(_, bytes)) => {
                    let told = String::from_utf8_lossy(&bytes).into_owned();
                    return Ok(all().filter(|path| owners::has(&told, path)).collect());
                }
                Ok(Contents::Large(_) | Contents::Pointer(_)) => return Ok(all().collect()),
                Ok(Contents::Folder(_)) => {}
                Err(error) if *error.kind() == EdgeErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(vec![])
    }

    /// Our pull request from `branch`, open or not, and whether somebody else's stands open there.
    async fn found(
        &self,
        repo: &Repo,
        branch: &str,
        marker: &Marker,
    ) -> Result<(Option<Pull>, bool), crate::edge::EdgeError> {
        let (mut ours, mut foreign) = (None, false);
        for pull in self.0.writer.pulls_from(repo, branch).await? {
            let is_open = pull.state == "open";
            match self.0.is_ours(pull.user.as_ref(), pull.body.as_deref(), marker).await? {
                true if is_open || ours.is_none() => ours = Some(pull),
                true => {}
                false => foreign |= is_open,
            }
        }
        Ok((ours, foreign))
    }

    /// What stands there already.
    async fn there(&self, repo: &Repo, target: &Target, marker: &Marker) -> Result<Option<Receipt>, ActError> {
        match self.found(repo, &target.name, marker).await.map_err(|error| blind(&error))? {
            (Some(pull), _) => Ok(Some(opened(repo, target, &pull))),
            (None, true) => Err(ActError::refused(format!(
                "a pull request that is not ours stands open from {}; nothing was changed",
                target.name
            ))),
            (None, false) => Ok(None),
        }
    }

    /// The one commit, which changes exactly the files that were judged.
    async fn commit(&self, errand: Errand<'_>, repo: &Repo, action: &Action) -> Result<String, ActError> {
        let args: Args = arguments(&action.args).map_err(|error| ActError::refused(error.for_reader()))?;
        let (parent, tree) = (text(&action.precondition, "commit"), text(&action.precondition, "tree"));
        let reader = &self.0.hub.reader;
        let changed = files::resolved(reader, repo, tree, &args.changes).await.map_err(|e| not_resolved(&e))?;
        if action.facts["result"] != json!(files::digest(&changed)) {
            return Err(ActError::stale("the files are not what they were when it was judged"));
        }
        let mut entries = vec![];
        for file in &changed {
            let blob = match &file.after {
                Some(text) => {
                    Some(self.0.writer.create_blob(errand, text.as_bytes()).await.map_err(|error| halfway(&error))?)
                }
                None => None,
            };
            entries.push(TreeChange { path: file.path.clone(), mode: file.mode.clone(), blob });
        }
        let tree = self.0.writer.create_tree(errand, tree, &entries).await.map_err(|error| halfway(&error))?;
        let message = format!("{}\n\nAction-Id: {}\n", text(&action.carries, "title"), errand.permit.marker());
        let (tree, date) = (tree.as_str(), date(&action.carries));
        let commit = NewCommit { message: &message, tree, parent, author: AUTHOR, date };
        let made = self.0.writer.create_commit(errand, &commit).await.map_err(|error| halfway(&error))?;
        // Judged were paths and contents; this is what the commit really changes.
        let told = reader.changed_by(repo, &made.sha).await.map_err(|error| halfway(&error.into()))?;
        let mut told: Vec<String> = told
            .unwrap_or_default()
            .into_iter()
            .flat_map(|f| [Some(f.filename), f.previous_filename])
            .flatten()
            .collect();
        told.sort_unstable();
        told.dedup();
        match told.iter().eq(changed.iter().map(|file| &file.path)) {
            true => Ok(made.sha),
            false => Err(ActError::refused("the commit would change other files than those that were judged")),
        }
    }

    /// Our branch at `commit`. One of that name which is elsewhere stays as it is.
    async fn branch(&self, errand: Errand<'_>, repo: &Repo, commit: &str) -> Result<(), ActError> {
        let name = &errand.target.name;
        match self.0.writer.create_branch(errand, commit).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_conflict() => {
                match self.0.hub.reader.branch(repo, name).await.map_err(|error| blind(&error))? {
                    Some(there) if there == commit => Ok(()),
                    Some(_) => Err(ActError::refused(format!(
                        "the branch {name} is there and holds something else; it was left as it is"
                    ))),
                    None => Err(halfway(&error)),
                }
            }
            Err(error) => Err(halfway(&error)),
        }
    }

    async fn pull(&self, errand: Errand<'_>, repo: &Repo, action: &Action, commit: &str) -> Result<Receipt, ActError> {
        let (permit, target, carries) = (errand.permit, errand.target, &action.carries);
        let said = body(permit.marker(), carries);
        let base = text(&action.precondition, "base");
        let error = match self.0.writer.create_pull(errand, base, text(carries, "title"), &said).await {
            Ok(pull) => return Ok(opened(repo, target, &pull)),
            Err(error) => error,
        };
        // One that another attempt opened, which a look may show late.
        let says_there = error.is_conflict() && error.to_string().contains("already exists");
        for look in 0..if says_there { LOOKS } else { 0 } {
            if let Some(receipt) = self.there(repo, target, permit.marker()).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(PAUSE * 2u32.pow(look)).await;
        }
        match says_there || !error.is_definite() || is_transient(&error) {
            true => Err(ActError::unknown(error.to_string())),
            false => Err(ActError::refused(format!(
                "{error}. The branch {} was made and holds {}; no pull request was",
                target.name,
                super::super::short(commit)
            ))),
        }
    }
}

/// A failure between two steps: what was made so far is found again by its content.
fn halfway(error: &Unmade) -> ActError {
    match error.is_definite() && !is_transient(error) {
        true => ActError::refused(error.to_string()),
        false => ActError::unknown(error.to_string()),
    }
}

fn is_transient(error: &Unmade) -> bool {
    matches!(error, Unmade::Failed(error) if error.is_transient())
}

fn not_resolved(error: &ToolError) -> ActError {
    match error.is_transient() {
        true => ActError::unknown(error.for_reader()),
        false => ActError::refused(error.for_reader()),
    }
}

fn opened(repo: &Repo, target: &Target, pull: &Pull) -> Receipt {
    let state = if pull.merged_at.is_some() { "merged" } else { pull.state.as_str() };
    receipt(
        pull.html_url.as_deref(),
        format!("{repo}#{}", pull.number),
        format!("pull request #{} of {repo} from {}, {state}: {}", pull.number, target.name, pull.title),
        json!({"repo": repo.to_string(), "number": pull.number, "branch": target.name, "head": pull.head.sha}),
    )
}

fn preview(place: &Place, changed: &[Changed]) -> Preview {
    let mut preview = Preview { kind: "rendered".to_owned(), ..Preview::default() };
    let names: Vec<String> = changed
        .iter()
        .map(|file| {
            preview.adds += file.diff.added;
            preview.removes += file.diff.removed;
            format!("  {} +{} -{}", file.path, file.diff.added, file.diff.removed)
        })
        .collect();
    let head = format!("{} from {} into {}", place.repo, place.branch, place.base);
    let diffs: String = changed.iter().map(|file| file.diff.text.as_str()).collect();
    preview.text = format!("{head}\n{}\n{diffs}", names.join("\n"));
    preview
}
