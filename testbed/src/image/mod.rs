//! OCI images written without a container daemon: files go in, an archive or a push to a registry comes out.
//!
//! Invariant: the same files give the same bytes, hence the same digest (fixed times and owners, sorted entries), so
//! pushing twice changes nothing. Knows nothing about clusters; the registry is whoever answers at the given address.
//!
//! Format: <https://github.com/opencontainers/image-spec/blob/main/spec.md>.

mod archive;
mod base;
mod layer;
mod name;
mod registry;

use anyhow::Result;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub use base::push_base;
pub use layer::Layer;
pub use name::Name;
pub use registry::{exists, push};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How a container of an image starts.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// `uid` or `uid:gid`; empty means root.
    pub user: String,
    /// Program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that a pod's `args` replace.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Labels, shown by registries.
    pub labels: Vec<(String, String)>,
}

/// One content-addressed piece of an image.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) media_type: &'static str,
    pub(crate) digest: String,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: digest(&bytes), bytes }
    }

    fn descriptor(&self) -> serde_json::Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// A complete image for this machine's architecture.
#[derive(Debug, Clone)]
pub struct Image {
    /// Layers first, the config last.
    blobs: Vec<Blob>,
    manifest: Blob,
}

impl Image {
    /// Packs one layer and its start configuration.
    pub fn build(layer: &Layer, start: &Start) -> Result<Self> {
        let tar = layer.tar()?;
        let diff_id = digest(&tar);
        let layer = Blob::new(LAYER, layer::gzip(&tar)?);
        let config = Blob::new(CONFIG, serde_json::to_vec(&config(start, &diff_id))?);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        });
        Ok(Self { manifest: Blob::new(MANIFEST, serde_json::to_vec(&manifest)?), blobs: vec![layer, config] })
    }

    /// `sha256:…` of the manifest: what `image: name@sha256:…` refers to.
    pub fn digest(&self) -> &str {
        &self.manifest.digest
    }

    /// Bytes that a pull transfers.
    pub fn compressed_size(&self) -> usize {
        self.blobs.iter().map(|blob| blob.bytes.len()).sum()
    }
}

fn config(start: &Start, diff_id: &str) -> serde_json::Value {
    let mut config = json!({"Env": start.env});
    if !start.user.is_empty() {
        config["User"] = json!(start.user);
    }
    if !start.entrypoint.is_empty() {
        config["Entrypoint"] = json!(start.entrypoint);
    }
    if !start.command.is_empty() {
        config["Cmd"] = json!(start.command);
    }
    if !start.labels.is_empty() {
        config["Labels"] = start.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    }
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture(std::env::consts::ARCH),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    })
}

/// Rust's name of an architecture → Go's, which OCI uses.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        let layer = Layer::new().file("bin/app", 0o755, b"program".to_vec()).link("bin/sh", "app");
        let start = Start { user: "65532:65532".into(), entrypoint: vec!["/bin/app".into()], ..Start::default() };
        Image::build(&layer, &start).unwrap()
    }

    #[test]
    fn the_same_files_give_the_same_digest() {
        assert_eq!(image().digest(), image().digest());
    }

    #[test]
    fn the_manifest_names_every_blob_with_its_size() {
        let image = image();
        let manifest: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
        assert_eq!(manifest["layers"][0], image.blobs[0].descriptor());
        assert_eq!(manifest["config"], image.blobs[1].descriptor());
        let config: serde_json::Value = serde_json::from_slice(&image.blobs[1].bytes).unwrap();
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/bin/app"]));
    }
}
