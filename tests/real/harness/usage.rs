//! What a process has of its machine, as Linux counts it.

use std::{fs, time::Duration};

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory.
    pub(crate) kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: u64,
    /// Spent since its start.
    pub(crate) processor: Duration,
}

impl Usage {
    pub(crate) fn of(pid: u32) -> Self {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("it runs");
        let status = read("status");
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says it");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        let stat = read("stat");
        // Behind the name, which may have spaces in it; the 14th and 15th field, in hundredths of a second.
        let fields: Vec<_> = stat.rsplit(") ").next().expect("a name").split(' ').collect();
        let ticks: u64 = [11, 12].map(|at: usize| fields[at].parse::<u64>().expect("a number")).iter().sum();
        Self {
            kib: number("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count(),
            threads: number("Threads:"),
            processor: Duration::from_millis(ticks * 10),
        }
    }
}
