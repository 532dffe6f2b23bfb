//! How long processes of the cluster have been on a processor: on a machine that all share, that is what limits.

use std::time::Duration;

use anyhow::Result;
use testbed::Cluster;

use super::super::{controller, machine};

/// Time on a processor, by the name of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clocks(pub(super) Vec<(String, Duration)>);

/// Those that have something to do with a pod.
const SHOWN: [&str; 4] = ["kube-apiserver", "etcd", "kube-scheduler", "kwok"];

impl Clocks {
    /// Reads them, so far.
    pub(super) fn read(cluster: &Cluster) -> Result<Self> {
        let mut all = Vec::new();
        for component in cluster.status().components {
            let pid = component.pid.and_then(|pid| u32::try_from(pid).ok());
            if let Some(pid) = pid.filter(|_| SHOWN.contains(&component.name.as_str())) {
                all.push((component.name, machine::processor_time(pid)?));
            }
        }
        all.push(("Bulkhead's controller".to_owned(), machine::processor_time(controller::process(cluster)?)?));
        all.push(("this client".to_owned(), machine::processor_time(std::process::id())?));
        Ok(Self(all))
    }

    /// What came since.
    pub(super) fn since(self, before: &Self) -> Self {
        let earlier = |name: &str| {
            let found = before.0.iter().find(|(known, _)| known == name);
            found.map_or(Duration::ZERO, |(_, time)| *time)
        };
        let since = |(name, time): (String, Duration)| (name.clone(), time.saturating_sub(earlier(&name)));
        Self(self.0.into_iter().map(since).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_counts() {
        let clocks = |all: &[(&str, u64)]| {
            Clocks(all.iter().map(|(name, time)| ((*name).to_owned(), Duration::from_millis(*time))).collect())
        };
        let since = clocks(&[("a", 7), ("b", 5)]).since(&clocks(&[("b", 2), ("c", 9)]));
        assert_eq!(since, clocks(&[("a", 7), ("b", 3)]));
    }
}
