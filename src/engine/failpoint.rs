//! Places to die, for the tests that prove that dying is harmless. Debug builds only.

/// The number of the entry after which this process kills itself, from
/// `FIREWARDEN_CRASH_AFTER_ENTRY`. Always `None` in a release build.
pub(super) fn armed() -> Option<u64> {
    #[cfg(debug_assertions)]
    {
        static ARMED: std::sync::LazyLock<Option<u64>> =
            std::sync::LazyLock::new(|| std::env::var("FIREWARDEN_CRASH_AFTER_ENTRY").ok()?.parse().ok());
        *ARMED
    }
    #[cfg(not(debug_assertions))]
    None
}

/// Dies if `seq` is the armed number.
pub(super) fn reached(seq: u64) {
    if armed() == Some(seq) {
        die();
    }
}

/// A side of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Before,
    After,
}

/// Dies on this side of a commit if `FIREWARDEN_CRASH_AT_COMMIT` names it: `before:3` is before the
/// third commit of this process. The commits themselves stay as they are.
pub(super) fn commit(side: Side) {
    #[cfg(debug_assertions)]
    {
        use std::sync::atomic::{AtomicU64, Ordering};
        static ARMED: std::sync::LazyLock<Option<(Side, u64)>> = std::sync::LazyLock::new(|| {
            let armed = std::env::var("FIREWARDEN_CRASH_AT_COMMIT").ok()?;
            let (side, number) = armed.split_once(':')?;
            let side = if side == "before" { Side::Before } else { Side::After };
            Some((side, number.parse().ok()?))
        });
        static COMMITS: AtomicU64 = AtomicU64::new(0);
        let number = match side {
            Side::Before => COMMITS.fetch_add(1, Ordering::SeqCst) + 1,
            Side::After => COMMITS.load(Ordering::SeqCst),
        };
        if *ARMED == Some((side, number)) {
            die();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = side;
}

/// Dies on this side of a change of the world if `FIREWARDEN_CRASH_AT_EFFECT` names it: `before` or
/// `after`, each time.
pub(super) fn effect(side: Side) {
    #[cfg(debug_assertions)]
    {
        let named = std::env::var("FIREWARDEN_CRASH_AT_EFFECT").unwrap_or_default();
        if named == (if side == Side::Before { "before" } else { "after" }) {
            die();
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = side;
}

/// SIGKILL: no destructor, no flush.
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}
