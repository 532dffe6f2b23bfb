//! How the named nodes were before the tests, on disk before anything is changed, and putting them right afterwards.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::nodes::{self, Shape};
use crate::image::root;
use crate::test::kubectl::Kubectl;

/// The record of one run; at most one run at a time in a checkout.
pub(super) struct Record {
    kubectl: Kubectl,
    server: String,
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    server: String,
    nodes: Vec<Shape>,
}

impl Record {
    /// The record for a cluster.
    pub(super) fn new(kubectl: &Kubectl, server: &str) -> Self {
        let path = root().join("target/xtask-test/nodes-before.json");
        Self { kubectl: kubectl.clone(), server: server.to_owned(), path }
    }

    /// Puts right what a run that was killed has left.
    pub(super) fn finish_run_before(&self) -> Result<()> {
        let Some(stored) = self.read()? else { return Ok(()) };
        if stored.server != self.server {
            bail!(
                "a run before was killed on another cluster, {}: {} says how its nodes were; run the tests there once more, \
                 or remove that file",
                stored.server,
                self.path.display(),
            );
        }
        eprintln!("a run before was killed; its nodes are put right first");
        self.restore().or_else(|error| {
            eprintln!("{error:#}");
            Ok(())
        })
    }

    /// Stores how the nodes are.
    pub(super) fn store(&self, nodes: &[Value]) -> Result<()> {
        let stored = Stored { server: self.server.clone(), nodes: nodes.iter().map(nodes::shape).collect() };
        let write = || -> Result<()> {
            fs::create_dir_all(self.path.parent().context("a file has a directory")?)?;
            let fresh = self.path.with_extension("new");
            fs::write(&fresh, serde_json::to_vec_pretty(&stored)?)?;
            Ok(fs::rename(&fresh, &self.path)?)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Compares the nodes with the record and repairs them; an error if there was anything to repair.
    pub(super) fn restore(&self) -> Result<()> {
        let Some(stored) = self.read()? else { return Ok(()) };
        let mut wrong = Vec::new();
        for before in &stored.nodes {
            let list = self.kubectl.cleaning_json(&[
                "get",
                "nodes",
                "--field-selector",
                &format!("metadata.name={}", before.name),
            ])?;
            let Some(node) = list["items"].get(0) else {
                wrong.push(format!("the node {} is gone", before.name));
                continue;
            };
            let differences = nodes::difference(before, &nodes::shape(node));
            if differences.is_empty() {
                continue;
            }
            let patch = nodes::repair(before, node).to_string();
            self.kubectl.clean_up(&["patch", "node", &before.name, "--type", "merge", "--patch", &patch])?;
            wrong.push(format!(
                "the node {} was not as before and was repaired: {}",
                before.name,
                differences.join("; ")
            ));
        }
        fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))?;
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        eprintln!("the nodes are as they were before: {}", names(&stored.nodes));
        Ok(())
    }

    fn read(&self) -> Result<Option<Stored>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let text = fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        let stored = serde_json::from_slice(&text);
        stored.map(Some).with_context(|| format!("{} is damaged; remove it", self.path.display()))
    }
}

fn names(shapes: &[Shape]) -> String {
    shapes.iter().map(|shape| shape.name.as_str()).collect::<Vec<_>>().join(" ")
}
