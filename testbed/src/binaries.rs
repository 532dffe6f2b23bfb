//! The programs of a cluster, built from Go modules whose versions are pinned in `testbed/go/*/go.{mod,sum}`.
//! Invariant: a program lies in the cache only if it was built completely, from exactly the versions, flags and compiler
//! that its directory's name is the hash of. Two checkouts share the cache and never build at the same time.

mod build;
mod module;
mod release;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use module::{Binary, Program};
pub use release::Release;

use crate::files::Lock;
use module::Module;

/// Returns the paths of these programs in the order asked for, building what is missing. The first build takes minutes
/// and shows its progress.
pub fn ensure(wanted: &[Binary]) -> Result<Vec<PathBuf>> {
    let base = cache_directory()?;
    fs::create_dir_all(&base).with_context(|| format!("cannot make {}", base.display()))?;
    let mut paths = vec![PathBuf::new(); wanted.len()];
    for module in Module::all() {
        let mine: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i].module() == module).collect();
        if mine.is_empty() {
            continue;
        }
        let directory = base.join(module.key(&build::go_version(module)?));
        for i in &mine {
            paths[*i] = directory.join(wanted[*i].file());
        }
        if mine.iter().all(|i| paths[*i].exists()) {
            continue;
        }
        let _lock = Lock::take_file(&base.join("lock"))?;
        // Somebody else may have built it while we waited.
        let missing: Vec<Binary> = mine.iter().filter(|i| !paths[**i].exists()).map(|i| wanted[*i]).collect();
        if !missing.is_empty() {
            build::build(module, &missing, &directory)?;
        }
    }
    Ok(paths)
}

/// The stages that make KWOK's fake nodes and pods live, next to the `kwok` that [`ensure`] returned.
pub fn kwok_stages(kwok: &Path) -> PathBuf {
    kwok.with_file_name(build::KWOK_STAGES)
}

/// JobSet's custom resource definitions, next to the `jobset` that [`ensure`] returned.
pub fn jobset_definitions(jobset: &Path) -> PathBuf {
    jobset.with_file_name(build::JOBSET_DEFINITIONS)
}

/// `${XDG_CACHE_HOME:-~/.cache}/bulkhead/bin`.
pub(crate) fn cache_directory() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place to keep built programs")?;
    Ok(cache.join("bulkhead").join("bin"))
}
