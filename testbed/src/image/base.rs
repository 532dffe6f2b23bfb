//! The images every local cluster needs, made from this machine's static programs and pushed under their public names.
//!
//! The local registry is every node's mirror of all registries, so a repository's path there has no host. Nothing is
//! downloaded: `pause` is compiled here, busybox and bash are Debian's static builds.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::{Image, Layer, Name, Start, exists, push};

/// The sandbox container's program: waits to be told to stop. As process 1 it must ask for the signals to get them.
const PAUSE_C: &str = "#include <signal.h>
#include <unistd.h>
static void end(int s) { (void)s; _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, SIG_IGN); for (;;) pause(); }
";

type Build = fn() -> Result<Image>;

/// Pushes `registry.k8s.io/pause:3.10`, `docker.io/library/busybox:latest` and `docker.io/library/bash:latest`, skipping
/// those the registry (`HOST:PORT`) already has.
pub fn push_base(registry: &str) -> Result<()> {
    let images: [(&str, Build); 3] =
        [("registry.k8s.io/pause:3.10", pause), ("busybox:latest", busybox), ("bash:latest", bash)];
    for (name, build) in images {
        let name: Name = name.parse()?;
        if !exists(registry, &name)? {
            let image = build().with_context(|| format!("cannot build the image {name}"))?;
            push(&image, registry, &name)?;
        }
    }
    Ok(())
}

fn pause() -> Result<Image> {
    let directory = std::env::temp_dir().join(format!("bulkhead-pause-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let built = compile_pause(&directory);
    std::fs::remove_dir_all(&directory).ok();
    let start = Start { user: "65535:65535".into(), entrypoint: vec!["/pause".into()], ..Start::default() };
    Image::build(&Layer::new().file("pause", 0o755, built?), &start)
}

fn compile_pause(directory: &Path) -> Result<Vec<u8>> {
    let (source, program) = (directory.join("pause.c"), directory.join("pause"));
    std::fs::write(&source, PAUSE_C)?;
    let output = Command::new("cc")
        .args(["-static", "-Os", "-s", "-o"])
        .args([&program, &source])
        .output()
        .context("cannot run the C compiler `cc`: install gcc and libc6-dev")?;
    if !output.status.success() {
        bail!("cc failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(std::fs::read(&program)?)
}

fn busybox() -> Result<Image> {
    Image::build(&tools()?, &shell("sh"))
}

/// The public image has busybox's tools too, so ours has.
fn bash() -> Result<Image> {
    let program = installed("bash-static", "bash-static")?;
    let layer = tools()?.program("bin/bash", Path::new(&program))?.link("bin/sh", "bash");
    Image::build(&layer, &shell("bash"))
}

/// A root file system with busybox and a link for each of its tools.
fn tools() -> Result<Layer> {
    let program = installed("busybox", "busybox-static")?;
    let output = Command::new(&program).arg("--list").output().context("cannot run busybox --list")?;
    let applets = String::from_utf8(output.stdout).context("busybox --list is not text")?;
    let layer = root().program("bin/busybox", Path::new(&program))?;
    let applets = applets.lines().filter(|applet| !applet.is_empty() && *applet != "busybox");
    Ok(applets.fold(layer, |layer, applet| layer.link(&format!("bin/{applet}"), "busybox")))
}

/// What programs expect of a root file system.
fn root() -> Layer {
    Layer::new()
        .directory("tmp", 0o1777)
        .file(
            "etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n".to_vec(),
        )
        .file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n".to_vec())
        .directory("root", 0o700)
}

fn shell(command: &str) -> Start {
    Start { command: vec![command.into()], env: vec!["PATH=/bin".into()], ..Start::default() }
}

/// Path of a program of this machine.
fn installed(program: &str, package: &str) -> Result<String> {
    ["/bin", "/usr/bin"]
        .map(|dir| format!("{dir}/{program}"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .with_context(|| format!("{program} is missing: apt-get install {package}"))
}
