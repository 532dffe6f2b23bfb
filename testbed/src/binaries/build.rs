//! Runs the Go compiler. Invariant: programs are built aside and renamed into the cache, so an interrupted build leaves
//! nothing that looks complete.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::module::{Binary, Module};
use crate::{files, progress};

/// File of KWOK's stages in the cache.
pub(super) const KWOK_STAGES: &str = "kwok-stages.yaml";

/// File of JobSet's custom resource definitions in the cache.
pub(super) const JOBSET_DEFINITIONS: &str = "jobset-crds.yaml";

/// Version of the compiler that will be used for a module; newer Go versions fetch the one that `go.mod` asks for.
pub(super) fn go_version(module: Module) -> Result<String> {
    let directory = std::env::temp_dir().join(format!("bulkhead-go-{}-{}", module.title(), std::process::id()));
    write_module(module, &directory)?;
    let version = go(&directory, &["env", "GOVERSION"]);
    let _ = fs::remove_dir_all(&directory);
    version.map(|text| text.trim().to_owned())
}

/// Builds programs of one module into its cache directory.
pub(super) fn build(module: Module, wanted: &[Binary], target: &Path) -> Result<()> {
    let base = target.parent().context("the cache directory has a parent")?;
    let work = base.join(format!(".building-{}", module.title()));
    files::remove_tree(&work)?;
    let out = work.join("out");
    fs::create_dir_all(&out)?;
    write_module(module, &work)?;
    for binary in wanted {
        compile(module, *binary, &work, &out)?;
        if *binary == Binary::Kwok {
            files::write(&out.join(KWOK_STAGES), &kwok_stages(&work)?)?;
        }
        if *binary == Binary::JobSet {
            let definitions = shipped(&work, Module::JobSet, "config/components/crd/bases", &[""])?;
            files::write(&out.join(JOBSET_DEFINITIONS), &definitions)?;
        }
    }
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(&out)? {
        let entry = entry?;
        let place = target.join(entry.file_name());
        fs::rename(entry.path(), &place).with_context(|| format!("cannot put {} in place", place.display()))?;
    }
    files::remove_tree(&work)
}

fn write_module(module: Module, directory: &Path) -> Result<()> {
    let (go_mod, go_sum) = module.files();
    files::write(&directory.join("go.mod"), go_mod)?;
    files::write(&directory.join("go.sum"), go_sum)
}

fn compile(module: Module, binary: Binary, work: &Path, out: &Path) -> Result<()> {
    let what = format!("{} {}", binary.file(), module.version());
    let log_path = out.join(format!(".{}.log", binary.file()));
    let mut command = Command::new("go");
    command.arg("build").args(module.flags()).arg("-o").arg(out.join(binary.file())).arg(binary.package());
    command.current_dir(work).env("CGO_ENABLED", "0").env("GOWORK", "off");
    let doing = format!("building {what} (the first build of all takes minutes)");
    progress::run(&mut command, &log_path, &doing, &format!("built {what}"))
}

/// The stages shipped with KWOK: nodes that keep their lease, and pods that run and complete at once.
fn kwok_stages(work: &Path) -> Result<String> {
    shipped(work, Module::Kwok, "kustomize/stage", &["node/fast", "node/heartbeat-with-lease", "pod/fast"])
}

/// Manifests that a module ships in these directories, one after the other.
fn shipped(work: &Path, module: Module, base: &str, directories: &[&str]) -> Result<String> {
    let module = go(work, &["list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module.upstream()])?;
    let base = PathBuf::from(module.trim()).join(base);
    let mut text = String::new();
    for directory in directories {
        let directory = base.join(directory);
        let mut found: Vec<PathBuf> = fs::read_dir(&directory)
            .with_context(|| format!("cannot read {}", directory.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        found.retain(|path| {
            path.extension().is_some_and(|e| e == "yaml") && !path.to_string_lossy().contains("kustomization")
        });
        found.sort();
        for path in found {
            text += "---\n";
            text += &fs::read_to_string(path)?;
            text += "\n";
        }
    }
    Ok(text)
}

fn go(directory: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("go").args(args).current_dir(directory).env("GOWORK", "off").output().context(
        "cannot run `go`; install Go 1.26 (or 1.21 and newer, which fetches it) from https://go.dev/dl/ and put it into PATH",
    )?;
    if !output.status.success() {
        bail!("`go {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
