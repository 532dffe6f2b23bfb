//! The size of a node: what to hold back from pods so that exactly the size asked for is left.
//! Invariant: capacity − reserved = the size asked for, in thousandths of a CPU and in bytes. Pure, except for
//! [`Machine::read`].

use anyhow::{Context, Result, bail};
use model::quantity;
use serde::{Deserialize, Serialize};

/// CPU and memory of this machine as a kubelet on it reports them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
}

/// What is held back from pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// Thousandths of a CPU.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
}

impl Machine {
    /// Asks the kernel.
    pub fn read() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
        let memory = usable_memory(&text).context("/proc/meminfo does not say how much memory there is")?;
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
        let cpus = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
        Ok(Self { cpu_milli: 1000 * u64::try_from(cpus)?, memory })
    }

    /// What to reserve so that pods can request exactly this much. Nothing asked for: nothing reserved.
    pub fn reserve(self, cpu: Option<&str>, memory: Option<&str>) -> Result<Reserved> {
        let cpu_milli = match cpu {
            None => 0,
            Some(text) => rest("CPU", text, self.cpu_milli, quantity::milli(text)?, &format!("{}m", self.cpu_milli))?,
        };
        let memory = match memory {
            None => 0,
            Some(text) => {
                rest("memory", text, self.memory, quantity::units(text)?, &format!("{} MiB", self.memory >> 20))?
            }
        };
        Ok(Reserved { cpu_milli, memory })
    }

    /// True if a node of this size can exist here.
    pub fn fits(self, cpu: &str, memory: &str) -> bool {
        self.reserve(Some(cpu), Some(memory)).is_ok()
    }
}

fn rest(what: &str, text: &str, has: u64, asked: i64, shown: &str) -> Result<u64> {
    let Some(asked) = u64::try_from(asked).ok().filter(|asked| *asked > 0) else {
        bail!("a node with {what} `{text}` could run nothing; ask for more than 0");
    };
    has.checked_sub(asked)
        .with_context(|| format!("a node cannot have {what} `{text}`: this machine has {shown}; ask for less"))
}

/// Memory as a kubelet counts it for pods: all of it but the huge pages.
fn usable_memory(meminfo: &str) -> Option<u64> {
    let kib = |key: &str| -> Option<u64> {
        let line = meminfo.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(1024 * (kib("MemTotal:")?.checked_sub(kib("Hugetlb:").unwrap_or(0))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: Machine = Machine { cpu_milli: 2000, memory: 16 << 30 };

    #[test]
    fn what_is_left_is_what_was_asked_for() {
        let check = |cpu: Option<&str>, memory: Option<&str>, expect: (u64, u64)| {
            let got = MACHINE.reserve(cpu, memory).unwrap();
            assert_eq!((got.cpu_milli, got.memory), expect, "{cpu:?} {memory:?}");
        };
        check(None, None, (0, 0));
        check(Some("2"), Some("16Gi"), (0, 0));
        check(Some("1"), Some("2Gi"), (1000, 14 << 30));
        check(Some("500m"), None, (1500, 0));
        check(Some("1.5"), Some("0.5Gi"), (500, (16 << 30) - (512 << 20)));
        check(None, Some("1G"), (0, (16 << 30) - 1_000_000_000));
    }

    #[test]
    fn more_than_the_machine_has_is_refused_with_what_it_has() {
        let check = |cpu: &str, memory: &str, expect: &str| {
            let error = MACHINE.reserve(Some(cpu), Some(memory)).unwrap_err();
            let text = format!("{error:#}");
            assert!(text.contains(expect), "{text}");
            assert!(!MACHINE.fits(cpu, memory));
        };
        check("3", "1Gi", "this machine has 2000m");
        check("1", "17Gi", "this machine has 16384 MiB");
        check("0", "1Gi", "more than 0");
        check("-1", "1Gi", "more than 0");
        check("two", "1Gi", "is not a quantity");
        check("1", "1Gb", "is not a quantity");
        check("", "1Gi", "is not a quantity");
    }

    #[test]
    fn huge_pages_are_not_for_ordinary_pods() {
        let check = |text: &str, expect: Option<u64>| assert_eq!(usable_memory(text), expect);
        check("MemTotal:  100 kB\nMemFree: 3 kB\n", Some(102_400));
        check("MemTotal:  100 kB\nHugetlb:  40 kB\n", Some(61_440));
        check("MemFree: 3 kB\n", None);
    }
}
