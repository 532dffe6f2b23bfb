//! An image as one file: an OCI archive (`ctr images import`, `skopeo copy oci-archive:…`, `podman load`).

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::layer::header;
use super::{Image, Name};

impl Image {
    /// Writes the archive, replacing the file atomically.
    pub fn write_archive(&self, name: &Name, to: &Path) -> Result<()> {
        let bytes = self.archive(name)?;
        let directory = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let partial = to.with_extension("partial");
        std::fs::File::create(&partial)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&partial, to))
            .with_context(|| format!("cannot write {}", to.display()))
    }

    fn archive(&self, name: &Name) -> Result<Vec<u8>> {
        let mut descriptor = self.manifest.descriptor();
        descriptor["annotations"] = json!({
            "io.containerd.image.name": name.to_string(),
            "org.opencontainers.image.ref.name": name.tag,
        });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [descriptor],
        });
        let mut tar = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
            tar.append_data(&mut header, path, bytes)
        };
        add("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add("index.json", &serde_json::to_vec(&index)?)?;
        for blob in self.blobs.iter().chain([&self.manifest]) {
            add(&format!("blobs/{}", blob.digest.replace(':', "/")), &blob.bytes)?;
        }
        Ok(tar.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Layer, Start};
    use super::*;

    #[test]
    fn the_archive_holds_what_its_index_names() {
        let image = Image::build(&Layer::new().file("a", 0o644, b"a".to_vec()), &Start::default()).unwrap();
        let bytes = image.archive(&"busybox".parse().unwrap()).unwrap();
        let paths: BTreeSet<String> = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert!(paths.contains("index.json") && paths.contains("oci-layout"));
        assert!(paths.contains(&format!("blobs/{}", image.digest().replace(':', "/"))));
        assert_eq!(paths.len(), 5);
    }
}
