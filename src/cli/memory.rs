//! Memory with secrets in it stays in this process.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Leaves no core file behind, and on Linux also nothing for a handler of crashes or another process of the same account
/// to read.
pub(super) fn keep_to_ourselves() {
    // A system that refuses has no core dumps, or has switched them off itself.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
