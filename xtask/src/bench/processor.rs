//! Which processor a thread runs on, so that client and server do not take each other's.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the client runs and where the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) client: usize,
    pub(super) server: usize,
}

/// Two processors of those that this process may use; twice the same if there is but one.
pub(super) fn apart() -> Result<Apart> {
    let allowed = sched_getaffinity(None).context("the kernel does not say which processors may be used")?;
    choose((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)))
}

/// The client takes the first: what else the machine has to do is often there.
fn choose(mut allowed: impl Iterator<Item = usize>) -> Result<Apart> {
    let client = allowed.next().context("no processor may be used")?;
    Ok(Apart { client, server: allowed.next().unwrap_or(client) })
}

/// Keeps this thread, and those that it starts from now on, on one processor.
pub(super) fn pin(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("cannot stay on processor {core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_and_server_are_apart_if_they_can_be() {
        assert_eq!(choose([3, 5, 7].into_iter()).unwrap(), Apart { client: 3, server: 5 });
        assert_eq!(choose([3].into_iter()).unwrap(), Apart { client: 3, server: 3 });
        assert!(choose([].into_iter()).is_err());
    }
}
