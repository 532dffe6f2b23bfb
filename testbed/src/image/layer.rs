//! A layer: files, directories and symbolic links, written as a gzipped tar with fixed times and owners.
//!
//! Invariant: entries are sorted by path and every parent directory precedes what lies in it. Paths are relative, with `/`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};

#[derive(Debug, Clone)]
enum Entry {
    Directory { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { target: String },
}

/// The files of an image, by path.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    entries: BTreeMap<String, Entry>,
}

impl Layer {
    /// Nothing: `FROM scratch`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory; parents are made as needed with mode 0755.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.add(path, Entry::Directory { mode })
    }

    /// Adds a file with this content.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: Vec<u8>) -> Self {
        self.add(path, Entry::File { mode, bytes })
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.add(path, Entry::Link { target: target.to_owned() })
    }

    /// Adds an executable copied from this machine. It must be linked statically: an image has no libraries.
    pub fn program(self, path: &str, from: &Path) -> Result<Self> {
        let bytes = std::fs::read(from).with_context(|| format!("cannot read {} for an image", from.display()))?;
        // A dynamic executable names its loader near its beginning.
        if bytes[..bytes.len().min(4096)].windows(7).any(|window| window == b"/ld-lin") {
            bail!(
                "{} is dynamically linked and would not start in an image that has no libraries: link it statically, or \
                 for a tool of this machine install its -static package",
                from.display()
            );
        }
        Ok(self.file(path, 0o755, bytes))
    }

    fn add(mut self, path: &str, entry: Entry) -> Self {
        let path = path.trim_matches('/');
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Directory { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
        self
    }

    /// The uncompressed tar.
    pub(super) fn tar(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory { mode } => {
                    tar.append_data(&mut header(tar::EntryType::Directory, *mode, 0), format!("{path}/"), &[][..])
                }
                Entry::File { mode, bytes } => {
                    tar.append_data(&mut header(tar::EntryType::Regular, *mode, bytes.len() as u64), path, &bytes[..])
                }
                Entry::Link { target } => tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), path, target),
            }
            .with_context(|| format!("cannot add {path} to the layer"))?;
        }
        Ok(tar.into_inner()?)
    }
}

pub(super) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Gzip without name or time in its header, so that equal input gives equal output.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gz = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    gz.write_all(bytes)?;
    Ok(gz.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_entries_are_sorted_with_their_modes() {
        let layer =
            Layer::new().file("usr/bin/app", 0o755, b"x".to_vec()).link("bin", "usr/bin").directory("/tmp/", 0o1777);
        let tar = layer.tar().unwrap();
        let seen: Vec<(String, u32)> = tar::Archive::new(&tar[..])
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        let expect = [("bin", 0o777), ("tmp/", 0o1777), ("usr/", 0o755), ("usr/bin/", 0o755), ("usr/bin/app", 0o755)];
        assert_eq!(seen, expect.map(|(path, mode)| (path.to_owned(), mode)));
    }
}
