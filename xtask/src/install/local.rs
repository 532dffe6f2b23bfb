//! What an installation in a local cluster has besides the manifest: a volume, because nothing there provides any, and arguments of the
//! controller that open the API to the cluster's own bridge, name the local node provider, and shorten what tests wait for.
//!
//! Invariant: nothing else differs from what users install.

use std::os::unix::fs::chown;

use anyhow::{Context as _, Result, bail, ensure};
use testbed::Cluster;

use super::NAMESPACE;

/// Port of the API in the controller's pod.
const PORT: u16 = 8070;
/// User that Bulkhead's containers run as.
const USER: u32 = 65532;

/// A volume for the record store. All nodes of a local cluster see the same directories.
pub(super) fn volume(cluster: &Cluster) -> Result<String> {
    let path = cluster.layout().root().join("records");
    std::fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    chown(&path, Some(USER), Some(USER)).with_context(|| format!("cannot give {} away", path.display()))?;
    Ok(format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: bulkhead-records}}\nspec:\n  capacity: {{storage: 10Gi}}\n  \
         accessModes: [ReadWriteOnce]\n  persistentVolumeReclaimPolicy: Retain\n  hostPath: {{path: {:?}, type: Directory}}\n  \
         claimRef: {{namespace: {NAMESPACE}, name: records-bulkhead-controller-0}}\n",
        path.display().to_string()
    ))
}

/// The manifest with the arguments that the controller has in a local cluster.
pub(super) fn arguments(manifest: &str, provider: &str) -> Result<String> {
    let plain = "args: [controller, ";
    ensure!(manifest.contains(plain), "the manifest does not start the controller with `{plain}`");
    let more = format!(
        "{plain}--insecure-listen, \"0.0.0.0:{PORT}\", --default-provider, \"external={provider}\", --mount-patience, 20s, "
    );
    Ok(manifest.replace(plain, &more))
}

/// Where the API of a local cluster is reached from this machine.
pub(crate) fn api_url(cluster: &Cluster) -> Result<String> {
    let address = cluster.kubectl_run(&[
        "get",
        "pod",
        "-n",
        NAMESPACE,
        "bulkhead-controller-0",
        "-o",
        "jsonpath={.status.podIP}",
    ])?;
    if address.trim().is_empty() {
        bail!("the controller has no address yet");
    }
    Ok(format!("http://{}:{PORT}", address.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controller_gets_the_arguments_of_a_local_cluster() {
        let text = std::fs::read_to_string(crate::manifests::path()).unwrap();
        let changed = arguments(&text, "http://10.0.0.1:1").unwrap();
        assert_eq!(changed.matches("external=http://10.0.0.1:1").count(), 1);
        assert!(arguments("args: [webhook]", "").is_err());
    }
}
