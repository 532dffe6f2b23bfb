//! Writing state so that a crash leaves either the old file or the new one, and locks that vanish with their holder.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a file readable by everybody.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    write_mode(path, text, 0o644)
}

/// Writes a file readable by its owner only.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    write_mode(path, text, 0o600)
}

fn write_mode(path: &Path, text: &str, mode: u32) -> Result<()> {
    let parent = path.parent().context("a file has a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let mut name = path.file_name().context("a file has a name")?.to_owned();
    name.push(format!(".{}.{:?}.new", std::process::id(), std::thread::current().id()));
    let fresh = parent.join(name);
    let store = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    store().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a value as JSON.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write(path, &serde_json::to_string_pretty(value)?)
}

/// Reads a value stored as JSON; `None` if there is no such file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is not what was stored there", path.display()))
}

/// Removes a directory with everything in it; fine if it is not there.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// With others that only share.
    Shared,
    /// Alone.
    Alone,
}

/// A lock on a file or directory, given back when dropped or when the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Waits for the lock on a file or directory that exists. If the path was replaced while we waited, the new one is
    /// locked; if it was removed, that is an error.
    pub(crate) fn take(path: &Path, hold: Hold) -> Result<Self> {
        loop {
            let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            match hold {
                Hold::Shared => file.lock_shared(),
                Hold::Alone => file.lock(),
            }
            .with_context(|| format!("cannot lock {}", path.display()))?;
            if is_at(&file, path)? {
                return Ok(Self { file });
            }
        }
    }

    /// Lets others share the lock. Not in one step: fails if somebody removed the path in between.
    pub(crate) fn downgrade(self, path: &Path) -> Result<Self> {
        self.file.lock_shared().with_context(|| format!("cannot lock {}", path.display()))?;
        ensure!(is_at(&self.file, path)?, "{} was removed by somebody else", path.display());
        Ok(self)
    }

    /// Waits for the lock on a file that is made if it is missing.
    pub(crate) fn take_file(path: &Path) -> Result<Self> {
        let made = OpenOptions::new().read(true).append(true).create(true).open(path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Self::take(path, Hold::Alone)
    }
}

/// True if the open file is still the one at the path.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let open = file.metadata()?;
    Ok(fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (open.dev(), open.ino())))
}
