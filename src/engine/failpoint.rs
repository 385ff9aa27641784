//! A place to die, for the tests that prove that dying is harmless. Debug builds only.

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

/// Dies if `seq` is the armed number: SIGKILL, no destructor, no flush.
pub(super) fn reached(seq: u64) {
    if armed() == Some(seq) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
