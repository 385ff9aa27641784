//! How a process confines itself before it becomes the command: the program calls itself as
//! `firewarden __sandbox …`, gives up what the command does not need, and is the command from then on.
//!
//! What it does not hold: Landlock knows no Unix sockets that have a path, so whoever may write to
//! `/run/docker.sock` by its own modes may speak to it; and a process that leaves its group and empties
//! its environment (`setsid env -i`) is not found when the call ends. How many processes there may be is
//! not bounded either: the kernel counts them by user, ours and those of other calls among them.

use super::{Kept, Status};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The hidden command.
pub const COMMAND: &str = "__sandbox";
/// Most bytes of a file that it writes.
#[cfg(target_os = "linux")]
const FILE_BYTES: u64 = 4 << 30;
/// The exit code of who never became the command.
const NEVER_BEGUN: i32 = 125;

/// Read and run by every command.
#[cfg(target_os = "linux")]
const SYSTEM: [&str; 28] = [
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/opt",
    "/sbin",
    "/usr",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/proc/cpuinfo",
    "/proc/self",
];

/// What a command may touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Read and run, beside the system's folders.
    pub read: Vec<PathBuf>,
    /// Read and written, beside its own folder.
    pub write: Vec<PathBuf>,
    /// TCP connections may be made and taken.
    pub network: bool,
    /// It does not run where the kernel cannot confine it.
    pub required: bool,
}

impl Confinement {
    /// How the program calls itself for it.
    pub(super) fn arguments(&self, folder: &Path, call: &str) -> Vec<OsString> {
        let mut out: Vec<OsString> = vec![COMMAND.into(), "--call".into(), call.into()];
        out.extend(["--parent".into(), std::process::id().to_string().into()]);
        let paths = |flag: &'static str, paths: &[PathBuf]| {
            paths.iter().flat_map(move |path| [flag.into(), path.clone().into()]).collect::<Vec<OsString>>()
        };
        out.extend(paths("--read", &self.read));
        out.extend(paths("--write", &self.write));
        out.extend(paths("--write", &[folder.to_owned()]));
        for (flag, given) in [("--network", self.network), ("--required", self.required)] {
            out.extend(given.then(|| flag.into()));
        }
        out
    }

    /// What this kernel cannot keep a command from, in words; nothing when it is confined as it should.
    pub fn gap(&self) -> Option<&'static str> {
        gap(abi(), self.network)
    }
}

/// What Landlock of this ABI cannot keep a command from.
const fn gap(abi: u8, network: bool) -> Option<&'static str> {
    match (abi, network) {
        (0, _) => Some("this kernel has no Landlock: nothing keeps it from files and network"),
        (1 | 2, _) => Some("this kernel's Landlock does not keep it from emptying files (it needs Linux 6.2)"),
        (3, false) => Some("this kernel's Landlock does not keep it from the network (it needs Linux 6.7)"),
        _ => None,
    }
}

/// Why the command never began, if `stderr` says so under the name of this call.
pub(super) fn complaint(status: Status, stderr: &Kept, call: &str) -> Option<String> {
    if status != Status::Exited(NEVER_BEGUN) {
        return None;
    }
    let said = stderr.text();
    said.strip_prefix(&lead(call)).map(|why| why.trim().to_owned())
}

fn lead(call: &str) -> String {
    format!("firewarden {COMMAND} {call}: ")
}

/// What one call asks for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The call, so that nobody else's words are taken for ours.
    pub call: String,
    /// Who must still be there.
    pub parent: i32,
    /// What the command may touch.
    pub confinement: Confinement,
    /// The command.
    pub argv: Vec<OsString>,
}

/// Confines this process and becomes the command. It returns only when that failed, with what to say
/// on stderr and the exit code.
pub fn enter(entry: &Entry) -> (String, u8) {
    let why = match confine(entry) {
        Ok(()) => become_command(&entry.argv),
        Err(why) => why,
    };
    (format!("{}{why}", lead(&entry.call)), NEVER_BEGUN as u8)
}

fn become_command(argv: &[OsString]) -> String {
    use std::os::unix::process::CommandExt as _;
    let Some((program, arguments)) = argv.split_first() else { return "there is no command".to_owned() };
    std::process::Command::new(program).args(arguments).exec().to_string()
}

#[cfg(target_os = "linux")]
fn confine(entry: &Entry) -> Result<(), String> {
    use rustix::process::{
        Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
    };
    // Whoever waits for the end of the command is its only witness: it does not outlive them.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string())?;
    if getppid().map(Pid::as_raw_pid) != Some(entry.parent) {
        return Err("whoever asked for it is gone".to_owned());
    }
    // A core file would hold its secrets.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(|e| e.to_string())?;
    // One that writes without end does not fill the disk that the store is on.
    setrlimit(Resource::Fsize, lower(getrlimit(Resource::Fsize), FILE_BYTES)).map_err(|e| e.to_string())?;
    let program = entry.argv.first().map(PathBuf::from);
    landlock(&entry.confinement, program.as_deref()).map_err(|e| format!("it cannot be confined: {e}"))?;
    match entry.confinement.gap().filter(|_| entry.confinement.required) {
        Some(gap) => Err(format!("`confine: required`, and {gap}")),
        None => Ok(()),
    }
}

/// `most`, or what holds already where that is less.
#[cfg(target_os = "linux")]
fn lower(held: rustix::process::Rlimit, most: u64) -> rustix::process::Rlimit {
    let maximum = Some(held.maximum.map_or(most, |held| held.min(most)));
    rustix::process::Rlimit { current: maximum.min(held.current.or(maximum)), maximum }
}

#[cfg(not(target_os = "linux"))]
fn confine(entry: &Entry) -> Result<(), String> {
    match entry.confinement.gap().filter(|_| entry.confinement.required) {
        Some(gap) => Err(format!("`confine: required`, and {gap}")),
        None => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn landlock(confinement: &Confinement, program: Option<&Path>) -> Result<(), landlock::RulesetError> {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, Scope,
        path_beneath_rules,
    };
    let abi = ABI::V6;
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(abi))?;
    if !confinement.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
    }
    let ruleset = ruleset.scope(Scope::from_all(abi))?.create()?;
    let reads = SYSTEM.iter().map(Path::new).chain(program).chain(confinement.read.iter().map(PathBuf::as_path));
    let ruleset = ruleset
        .add_rules(path_beneath_rules(reads, AccessFs::from_read(abi)))?
        .add_rules(path_beneath_rules(["/dev/null"], AccessFs::from_all(abi)))?
        .add_rules(path_beneath_rules(&confinement.write, AccessFs::from_all(abi)))?;
    ruleset.restrict_self().map(|_| ())
}

/// The Landlock ABI that this kernel has, as far as we use it; 0 is none.
#[cfg(target_os = "linux")]
pub fn abi() -> u8 {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope,
    };
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let files = |abi| hard().handle_access(AccessFs::from_all(abi));
    let has = [
        files(ABI::V1).and_then(Ruleset::create).is_ok(),
        files(ABI::V2).and_then(Ruleset::create).is_ok(),
        files(ABI::V3).and_then(Ruleset::create).is_ok(),
        hard().handle_access(AccessNet::from_all(ABI::V4)).and_then(Ruleset::create).is_ok(),
        files(ABI::V5).and_then(Ruleset::create).is_ok(),
        hard().scope(Scope::from_all(ABI::V6)).and_then(Ruleset::create).is_ok(),
    ];
    u8::try_from(has.iter().take_while(|has| **has).count()).unwrap_or(0)
}

/// The Landlock ABI that this kernel has: it is Linux's.
#[cfg(not(target_os = "linux"))]
pub fn abi() -> u8 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kernel_cannot_keep_a_command_from_is_told() {
        let told = |abi, network| gap(abi, network).map(|gap| gap.split(" (").next().unwrap_or_default());
        let (none, emptied, network) = (
            "this kernel has no Landlock: nothing keeps it from files and network",
            "this kernel's Landlock does not keep it from emptying files",
            "this kernel's Landlock does not keep it from the network",
        );
        for (abi, with_network, without) in [
            (0, Some(none), Some(none)),
            (1, Some(emptied), Some(emptied)),
            (2, Some(emptied), Some(emptied)),
            (3, None, Some(network)),
            (4, None, None),
            (7, None, None),
        ] {
            assert_eq!((told(abi, true), told(abi, false)), (with_network, without), "{abi}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_limit_is_only_lowered() {
        let held = |current, maximum| rustix::process::Rlimit { current, maximum };
        for (given, expected) in [
            (held(None, None), held(Some(9), Some(9))),
            (held(Some(5), None), held(Some(5), Some(9))),
            (held(Some(5), Some(7)), held(Some(5), Some(7))),
            (held(Some(50), Some(70)), held(Some(9), Some(9))),
        ] {
            assert_eq!(lower(given, 9), expected, "{given:?}");
        }
    }

    #[test]
    fn what_is_confined_is_what_was_written() {
        let confinement =
            Confinement { read: vec!["/a b".into()], write: vec!["/c".into()], network: true, required: true };
        let words = confinement.arguments(Path::new("/own"), "c1");
        let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
        let parent = std::process::id().to_string();
        assert_eq!(
            words,
            [
                "__sandbox",
                "--call",
                "c1",
                "--parent",
                &parent,
                "--read",
                "/a b",
                "--write",
                "/c",
                "--write",
                "/own",
                "--network",
                "--required"
            ]
        );
        assert!(!Confinement::default().arguments(Path::new("/own"), "c1").iter().any(|word| word == "--network"));
    }
}
