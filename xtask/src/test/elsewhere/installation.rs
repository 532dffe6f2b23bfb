//! Bulkhead in a cluster that is not ours: used if it is there, else installed and in the end removed, as users do both.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::test::kubectl::Kubectl;
use crate::test::{children, program};
use crate::{install, manifests};

/// Bulkhead in the cluster.
pub(super) struct Installation {
    kubectl: Kubectl,
    /// What to install, and to remove in the end; `None` if Bulkhead was there.
    ours: Option<Ours>,
}

struct Ours {
    /// The image, as the cluster can pull it.
    image: String,
    /// The program that removes Bulkhead.
    program: PathBuf,
}

impl Installation {
    /// Looks whether Bulkhead is there. If not, an image is needed, and the program that removes Bulkhead again is built
    /// now, so that a build that fails changes nothing.
    pub(super) fn find(kubectl: &Kubectl, image: Option<&str>) -> Result<Self> {
        let kubectl = kubectl.clone();
        let found = kubectl.output(&["get", "namespaces", "--ignore-not-found", "-o", "name", install::NAMESPACE])?;
        if !found.trim().is_empty() {
            eprintln!("Bulkhead is installed in this cluster: it is used as it is, and stays");
            return Ok(Self { kubectl, ours: None });
        }
        let Some(image) = image else {
            bail!(
                "Bulkhead is not installed in this cluster: name with --image what to install (`cargo xtask image --help` \
                 says how to make it)"
            );
        };
        let program = program::bulkhead()?;
        Ok(Self { kubectl, ours: Some(Ours { image: image.to_owned(), program }) })
    }

    /// Installs the manifest with the image, unless Bulkhead is there.
    pub(super) fn install(&self) -> Result<()> {
        let Some(Ours { image, .. }) = &self.ours else { return Ok(()) };
        let path = manifests::path();
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let file = crate::image::root().join("target/xtask-test/bulkhead.yaml");
        std::fs::write(&file, install::with_image(&text, image)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
        children::run(&mut self.kubectl.command(&["apply", "-f", &file.display().to_string()]))?;
        install::wait(&self.kubectl.kubeconfig, &|args| self.kubectl.output(args))
    }

    /// Removes what [`Installation::install`] has installed, also if that did not come to its end.
    pub(super) fn remove(&self) -> Result<()> {
        let Some(Ours { program, .. }) = &self.ours else { return Ok(()) };
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(&self.kubectl.kubeconfig).args(["uninstall", "--yes", "--jobs", "cancel"]);
        children::clean_up(&mut command)
            .context("Bulkhead could not be removed completely; `bulkhead uninstall` goes on")
    }
}
