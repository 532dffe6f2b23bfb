//! `cargo xtask cluster install`: Bulkhead in a local cluster, installed as a user would: the images in the registry, then
//! one `kubectl apply` of the one file, then waiting until it runs. What a local cluster lacks is added: a volume for the record store, and
//! an address at which the API is reached without a port-forward.
//!
//! Invariant: running it again after a change rolls the change out, and without a change does nothing.

pub(crate) mod local;
mod rollout;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testbed::Cluster;

use crate::{image, manifests};

/// Where everything of Bulkhead is.
pub(crate) const NAMESPACE: &str = "bulkhead-system";
/// Pulling, starting and electing take seconds; a slow machine may be building something beside.
const DEADLINE: Duration = Duration::from_mins(3);

/// Builds, pushes, applies and waits.
pub(crate) fn install(cluster: &Cluster) -> Result<()> {
    let digest = image::push(&cluster.registry())?;
    let path = manifests::path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let volume = local::volume(cluster)?;
    cluster.kubectl_input(&["apply", "-f", "-"], &volume).context("kubectl could not apply the local volume")?;
    let text = local::arguments(&pin(&text, &digest)?, &cluster.provider_url())?;
    let applied = cluster
        .kubectl_input(&["apply", "-f", "-"], &text)
        .with_context(|| format!("kubectl could not apply {}", path.display()))?;
    println!("applied {}: {} objects", path.display(), applied.lines().count());
    wait(cluster.kubeconfig(), &|args| cluster.kubectl_run(args))
}

/// Names Bulkhead's image by digest as well. The tag stays the same between builds, and nodes do not pull a tag they have:
/// with the digest a new build is a new pod template, which the Deployments roll out, and an old one is no change.
fn pin(manifest: &str, digest: &str) -> Result<String> {
    with_image(manifest, &format!("{}@{digest}", image::BULKHEAD))
}

/// The manifest with another reference of Bulkhead's image.
pub(crate) fn with_image(manifest: &str, reference: &str) -> Result<String> {
    let plain = format!("image: {}\n", image::BULKHEAD);
    ensure!(manifest.contains(&plain), "the manifest does not name the image {}", image::BULKHEAD);
    Ok(manifest.replace(&plain, &format!("image: {reference}\n")))
}

/// Waits until everything that was applied is available. `kubectl` runs kubectl and returns what it printed.
pub(crate) fn wait(kubeconfig: &Path, kubectl: &dyn Fn(&[&str]) -> Result<String>) -> Result<()> {
    let (begin, mut told) = (Instant::now(), Vec::<String>::new());
    loop {
        let missing = missing(kubectl)?;
        if missing.is_empty() {
            println!("Bulkhead is available after {:.0} s", begin.elapsed().as_secs_f64());
            return Ok(());
        }
        if begin.elapsed() > DEADLINE {
            let look = format!("kubectl --kubeconfig {} -n {NAMESPACE}", kubeconfig.display());
            bail!(
                "Bulkhead was not available within {} s:\n  {}\nLook closer, then run the same command again:\n  {look} \
                 describe pods\n  {look} logs --prefix --all-containers --tail 20 -l app.kubernetes.io/name=bulkhead",
                DEADLINE.as_secs(),
                missing.join("\n  "),
            );
        }
        if missing != told {
            missing.iter().filter(|line| !told.contains(line)).for_each(|line| println!("waiting for {line}"));
            told = missing;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn missing(kubectl: &dyn Fn(&[&str]) -> Result<String>) -> Result<Vec<String>> {
    let text = kubectl(&["get", "deployments,statefulsets,pods", "-n", NAMESPACE, "-o", "json"])?;
    let mut list: Value = serde_json::from_str(&text).context("kubectl printed something else than JSON")?;
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let deployments: Vec<_> = of_kind(&items, "Deployment")?;
    ensure!(
        !deployments.is_empty(),
        "there is no Deployment in the namespace {NAMESPACE} although it was just applied"
    );
    Ok(rollout::missing(&deployments, &of_kind(&items, "StatefulSet")?, &of_kind(&items, "Pod")?))
}

fn of_kind<T: serde::de::DeserializeOwned>(items: &[Value], kind: &str) -> Result<Vec<T>> {
    let all = items.iter().filter(|item| item["kind"] == kind);
    Ok(all.cloned().map(serde_json::from_value).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_container_of_ours_is_pinned_and_no_other() {
        let text = std::fs::read_to_string(manifests::path()).unwrap();
        let pinned = pin(&text, "sha256:00").unwrap();
        assert_eq!(pinned.matches(&format!("image: {}@sha256:00\n", image::BULKHEAD)).count(), 3);
        assert!(pinned.contains(&format!("image: {}\n", image::SCHEDULER)));
        assert!(pin("image: other\n", "sha256:00").is_err());
    }
}
