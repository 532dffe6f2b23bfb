//! `cargo xtask image`: the one image of Bulkhead, and the stock kube-scheduler under its public name.
//!
//! Invariant: the images are what the manifest names; a local registry stands in for the public ones. Nothing here knows
//! a cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use testbed::binaries::{self, Binary};
use testbed::image::{self, Image, Layer, Start};

use crate::cargo;

/// Bulkhead's image, as the manifest names it.
pub(crate) const BULKHEAD: &str = concat!("ghcr.io/bulkhead-dev/bulkhead:", env!("CARGO_PKG_VERSION"));
/// The second scheduler: of the oldest supported Kubernetes, because it must not be newer than the API server.
pub(crate) const SCHEDULER: &str = "registry.k8s.io/kube-scheduler:v1.34.4";

/// What a pull of Bulkhead's image may transfer.
const MAX_COMPRESSED: usize = 30_000_000;
/// The user in the image; nothing on any node has this id.
const USER: &str = "65532:65532";

/// Arguments of `cargo xtask image`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Push the images to this registry over plain HTTP, without their public host name.
    #[arg(long, value_name = "HOST:PORT")]
    push: Option<String>,
    /// Write Bulkhead's image as an OCI archive (for `ctr images import`, `skopeo`, `podman load`, `kind load image-archive`).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Builds Bulkhead's image and, as asked, writes and pushes it.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(file) = &args.output {
        bulkhead()?.write_archive(&BULKHEAD.parse()?, file)?;
        println!("wrote {}", file.display());
    }
    if let Some(registry) = &args.push {
        println!("pushed {BULKHEAD}@{}", push(registry)?);
    }
    if args.output.is_none() && args.push.is_none() {
        bulkhead()?;
    }
    Ok(())
}

/// Pushes both images and answers the digest of Bulkhead's. The scheduler's tag names one version for ever, so what is
/// there is not built again.
pub(crate) fn push(registry: &str) -> Result<String> {
    let name = SCHEDULER.parse()?;
    if !image::exists(registry, &name)? {
        image::push(&scheduler()?, registry, &name)?;
    }
    image::push(&bulkhead()?, registry, &BULKHEAD.parse()?)
}

fn bulkhead() -> Result<Image> {
    let program = compile("bulkhead")?;
    let start = Start {
        user: USER.into(),
        entrypoint: vec!["/bulkhead".into()],
        labels: vec![
            ("org.opencontainers.image.title".into(), "Bulkhead".into()),
            ("org.opencontainers.image.version".into(), env!("CARGO_PKG_VERSION").into()),
            ("org.opencontainers.image.licenses".into(), "Apache-2.0".into()),
        ],
        ..Start::default()
    };
    let image = Image::build(&Layer::new().program("bulkhead", &program)?, &start)?;
    let size = image.compressed_size();
    println!("{BULKHEAD}: {} MB compressed", megabytes(size));
    ensure!(
        size <= MAX_COMPRESSED,
        "the image has {} MB compressed, more than the {} MB it may have: look for a new large dependency with `cargo tree`",
        megabytes(size),
        megabytes(MAX_COMPRESSED),
    );
    Ok(image)
}

fn megabytes(bytes: usize) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Compiles a package's static binary. The target is named so that build scripts and procedural macros, which cannot be static,
/// are not affected; the target directory is its own so that nobody waits for the other's lock.
pub(crate) fn compile(package: &str) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let directory = root().join("target/image");
    let status = cargo::command()
        .args(["build", "--locked", "--package", package, "--profile", "image", "--target", &target])
        .arg("--target-dir")
        .arg(&directory)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("building the {package} binary failed ({status}); the compiler's messages are above");
    }
    Ok(directory.join(target).join("image").join(package))
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The scheduler as the public image has it: a static program in `/usr/local/bin`.
fn scheduler() -> Result<Image> {
    let programs = binaries::ensure(&[Binary::STOCK_SCHEDULER])?;
    let program = programs.first().context("kube-scheduler was not built")?;
    let layer = Layer::new().program("usr/local/bin/kube-scheduler", program)?;
    let start = Start {
        user: USER.into(),
        entrypoint: vec!["/usr/local/bin/kube-scheduler".into()],
        env: vec!["PATH=/usr/local/bin".into()],
        ..Start::default()
    };
    Image::build(&layer, &start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedulers_name_says_the_version_that_is_built() {
        assert!(SCHEDULER.ends_with(&format!(":v{}", testbed::Release::OLDEST)), "{SCHEDULER}");
    }
}
