//! `firewarden audit export`.

use super::offline::{CHECKPOINTS, KEY, LOG, chain_file, checkpoint_line, entry_line, payload_file};
use crate::audit::{Format, VerifierKey, leaf_text};
use crate::cli::output::Output;
use crate::cli::text::plural;
use crate::cli::{Exit, Failure};
use crate::domain::InvestigationId;
use crate::engine::checkpoints::hole;
use crate::engine::decision_log;
use crate::engine::recorded::Inputs;
use crate::journal::{Entry, chain::SYSTEM};
use crate::store::Store;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Rows that are read at once.
const PAGE: u32 = 500;
/// The file of entries in the words of other systems.
const EVENTS: &str = "events.jsonl";

/// What of the journal is written, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Only chains with an entry at or after this time.
    pub(super) since: Option<Timestamp>,
    /// Only these investigations, beside the system chain; none is all.
    pub(super) only: Vec<InvestigationId>,
    /// In whose words.
    pub(super) format: Format,
}

/// Writes the journal of `store` into the folder `out`, as far as its last checkpoint covers it.
///
/// # Errors
/// When there is no checkpoint or no key, the folder is not empty or cannot be written, or the journal has
/// a hole.
pub(super) async fn run(
    store: &dyn Store,
    keys: &[VerifierKey],
    out: &Path,
    wanted: &Wanted,
    told: &Output,
) -> Result<Exit, Failure> {
    let (_, checkpoint) = super::checkpoint::last(store).await?;
    if keys.is_empty() {
        let help = "`audit.signing_key` in the configuration names it";
        return Err(Failure::does_not_load("the signing key's file is missing", help));
    }
    let folder = Target::new(out)?;
    let export = Writing { store, folder, size: checkpoint.size, origin: checkpoint.origin };
    let lengths = export.lengths().await?;
    let chosen = export.chosen(&lengths, wanted).await?;
    let written = match wanted.format {
        Format::Jsonl => plural(export.whole(keys, &lengths, &chosen).await?, "entry"),
        format => {
            let word = if format == Format::Opa { "decision" } else { "entry" };
            plural(export.events(format, wanted.since, &chosen).await?, word)
        }
    };
    told.line(&format!("{written} of {} in {}", plural(chosen.len() as u64, "chain"), out.display()))?;
    if wanted.format == Format::Jsonl {
        let partial = if chosen.len() < lengths.len() { " --partial" } else { "" };
        let keys: String = keys.iter().map(|key| format!(" --key {key}")).collect();
        told.line(&format!("firewarden audit verify --export {}{keys}{partial}", out.display()))?;
    }
    Ok(Exit::Fine)
}

/// A folder that is filled.
struct Target(PathBuf);

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| {
        Failure::new(
            Exit::Internal,
            format!("{path} cannot be written: {error}"),
            "check its rights, and the room on the disk",
        )
    }
}

impl Target {
    /// What is in it is for us alone: what models were told stands there.
    fn new(path: &Path) -> Result<Self, Failure> {
        if path.exists() && !path.is_dir() {
            let what = format!("{} is a file", path.display());
            return Err(Failure::usage(what, "name a folder that is not there yet"));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let mut inside = std::fs::read_dir(path).map_err(failed(path))?;
        match inside.next() {
            None => Ok(Self(path.to_owned())),
            Some(_) => {
                Err(Failure::usage(format!("{} is not empty", path.display()), "name a folder that is not there yet"))
            }
        }
    }

    fn file(&self, name: &str) -> Result<BufWriter<File>, Failure> {
        let path = self.0.join(name);
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed(&path))?;
        Ok(BufWriter::new(file))
    }
}

struct Writing<'a> {
    store: &'a dyn Store,
    folder: Target,
    /// Lines that the checkpoint covers.
    size: u64,
    origin: String,
}

impl Writing<'_> {
    /// Each line of the log that the checkpoint covers.
    async fn each_line(
        &self,
        mut look: impl FnMut(&crate::store::Logged) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut after = 0;
        while after < self.size {
            let limit = u32::try_from(self.size - after).unwrap_or(PAGE).min(PAGE);
            let page = self.store.log(after, limit).await?;
            if page.is_empty() {
                return Err(hole(after + 1).into());
            }
            for line in &page {
                after += 1;
                if line.position != after {
                    return Err(hole(after).into());
                }
                look(line)?;
            }
        }
        Ok(())
    }

    /// How long each chain was when the checkpoint was made.
    async fn lengths(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut lengths = BTreeMap::new();
        self.each_line(|line| {
            lengths.insert(line.chain.clone(), line.seq);
            Ok(())
        })
        .await?;
        Ok(lengths)
    }

    /// The chains that are wanted, and always that which says what was deleted and by which policies was
    /// decided.
    async fn chosen(&self, lengths: &BTreeMap<String, u64>, wanted: &Wanted) -> Result<BTreeSet<String>, Failure> {
        let mut chosen = BTreeSet::new();
        let only: BTreeSet<String> = wanted.only.iter().map(InvestigationId::to_string).collect();
        if let Some(unknown) = only.iter().find(|id| !lengths.contains_key(*id)) {
            let help =
                "`firewarden investigations list` shows what there is; what was just opened is signed in a moment";
            return Err(Failure::usage(format!("the last checkpoint covers no {unknown}"), help));
        }
        for (chain, length) in lengths {
            let last = self.store.entries(chain, length.saturating_sub(1), 1).await?;
            let fits = wanted.since.is_none_or(|since| last.iter().any(|entry| entry.at >= since));
            let fits = fits && (only.is_empty() || only.contains(chain));
            if fits || chain == SYSTEM {
                chosen.insert(chain.clone());
            }
        }
        Ok(chosen)
    }

    /// Everything that is needed to verify the chosen chains.
    async fn whole(
        &self,
        keys: &[VerifierKey],
        lengths: &BTreeMap<String, u64>,
        chosen: &BTreeSet<String>,
    ) -> Result<u64, Failure> {
        let write = |file: &mut BufWriter<File>, line: &[u8]| {
            file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(failed(&self.folder.0))
        };
        let mut file = self.folder.file(KEY)?;
        for key in keys {
            write(&mut file, key.to_string().as_bytes())?;
        }
        file.flush()?;
        let mut file = self.folder.file(CHECKPOINTS)?;
        let mut after = 0;
        loop {
            let page = self.store.checkpoints(after, PAGE).await?;
            let Some(last) = page.last().filter(|_| after < self.size) else { break };
            after = last.size;
            for kept in page.iter().filter(|kept| kept.size <= self.size) {
                write(&mut file, checkpoint_line(&kept.note).as_bytes())?;
            }
        }
        file.flush()?;
        let mut file = self.folder.file(LOG)?;
        self.each_line(|line| {
            let hash = line.hash.as_ref().ok_or_else(|| hole(line.position))?;
            write(&mut file, leaf_text(&line.chain, line.seq, hash).as_bytes())
        })
        .await?;
        file.flush()?;
        let mut written = 0;
        for (chain, length) in lengths.iter().filter(|(chain, _)| chosen.contains(*chain)) {
            let mut file = self.folder.file(&chain_file(chain))?;
            let mut after = 0;
            while after < *length {
                let page = self.store.entries(chain, after, PAGE).await?;
                let page: Vec<Entry> = page.into_iter().take_while(|entry| entry.seq <= *length).collect();
                let Some(last) = page.last() else { break };
                after = last.seq;
                for entry in &page {
                    write(&mut file, &entry_line(entry).map_err(Failure::internal)?)?;
                    self.payloads(entry).await?;
                    written += 1;
                }
            }
            file.flush()?;
        }
        Ok(written)
    }

    async fn payloads(&self, entry: &Entry) -> Result<(), Failure> {
        for reference in entry.body.payloads() {
            let name = payload_file(&reference.commitment);
            if self.folder.0.join(&name).exists() {
                continue;
            }
            // What is gone is gone: whether an entry says so is for the verification.
            let Some((salt, bytes)) = self.store.opening(reference).await? else { continue };
            let mut file = self.folder.file(&name)?;
            file.write_all(&salt).and_then(|()| file.write_all(&bytes)).map_err(failed(&self.folder.0))?;
            file.flush()?;
        }
        Ok(())
    }

    /// Entries in the words of another system, in the order of the log.
    async fn events(
        &self,
        format: Format,
        since: Option<Timestamp>,
        chosen: &BTreeSet<String>,
    ) -> Result<u64, Failure> {
        let mut file = self.folder.file(EVENTS)?;
        let mut inputs = Inputs::default();
        let (mut after, mut written) = (0, 0);
        while after < self.size {
            let page = self.store.log(after, PAGE).await?;
            if page.is_empty() {
                return Err(hole(after + 1).into());
            }
            let covered = page.iter().filter(|line| line.position <= self.size);
            for line in covered.filter(|line| chosen.contains(&line.chain)) {
                let entry = self.store.entries(&line.chain, line.seq.saturating_sub(1), 1).await?.pop();
                let entry = entry.filter(|entry| entry.seq == line.seq).ok_or_else(|| hole(line.position))?;
                if since.is_none_or(|since| entry.at >= since) {
                    let of = (line.position, self.origin.as_str());
                    for told in decision_log::told(self.store, &mut inputs, format, &entry, of).await? {
                        writeln!(file, "{told}").map_err(failed(&self.folder.0))?;
                        written += 1;
                    }
                }
            }
            after = page.last().map_or(self.size, |line| line.position);
        }
        file.flush()?;
        Ok(written)
    }
}
