//! What a cluster needs from the operating system. As root on Debian it is installed; elsewhere it is named.
//! Invariant: no daemon is started by an installation, now or at the next boot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::say::say;

/// A file and the Debian package that has it.
struct Need {
    file: &'static str,
    package: &'static str,
    /// True if it is copied into images and therefore must not need libraries.
    is_static: bool,
}

const fn need(file: &'static str, package: &'static str) -> Need {
    Need { file, package, is_static: false }
}

/// Names without a slash are looked up in PATH and in the directories of system programs.
const NEEDS: [Need; 13] = [
    need("containerd", "containerd"),
    need("runc", "runc"),
    need("docker-registry", "docker-registry"),
    need("/usr/lib/cni/ptp", "containernetworking-plugins"),
    need("nft", "nftables"),
    need("conntrack", "conntrack"),
    need("ip", "iproute2"),
    need("nsenter", "util-linux"),
    need("setsid", "util-linux"),
    need("gcc", "gcc"),
    need("/usr/include/stdio.h", "libc6-dev"),
    Need { file: "/bin/busybox", package: "busybox-static", is_static: true },
    Need { file: "/bin/bash-static", package: "bash-static", is_static: true },
];
/// Packages of a Python that can make virtual environments.
const PYTHON: [&str; 2] = ["python3", "python3-venv"];
/// Package of the database that tests start by themselves, in a directory of their own.
const POSTGRESQL: [&str; 1] = ["postgresql"];
/// Packages whose daemon Debian would start and enable.
const DAEMONS: [(&str, &str); 3] = [
    ("containerd", "containerd.service"),
    ("docker-registry", "docker-registry.service"),
    ("postgresql", "postgresql.service"),
];
const POLICY: &str = "/usr/sbin/policy-rc.d";
const OUR_POLICY: &str =
    "#!/bin/sh\n# Written by the Bulkhead testbed while it installs packages: start no daemon.\nexit 101\n";

/// Makes sure that everything is there and that we may use it.
pub fn ensure() -> Result<()> {
    let missing = missing();
    let root = rustix::process::geteuid().is_root();
    if missing.is_empty() && root {
        return Ok(());
    }
    let debian = Path::new("/etc/debian_version").exists();
    if !root || !debian {
        bail!(complaint(&missing, root, debian));
    }
    install(&missing)?;
    let left = self::missing();
    if !left.is_empty() {
        bail!("these packages were installed but their files are not where they are expected: {}", left.join(" "));
    }
    Ok(())
}

/// Makes sure that there is a Python that can make virtual environments, which clients of the AWS API need.
pub(crate) fn ensure_python() -> Result<()> {
    // Where the modules lie depends on the version; whether they work is the question.
    let works = || {
        let made = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
        made.is_ok_and(|output| output.status.success())
    };
    if works() {
        return Ok(());
    }
    let is_ours = rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists();
    if is_ours {
        install(&PYTHON)?;
    }
    if !works() {
        bail!(
            "python3 with its modules venv and ensurepip is missing; on Debian: apt-get install {}",
            PYTHON.join(" ")
        );
    }
    Ok(())
}

/// Makes sure that tests can start a PostgreSQL of their own.
pub fn ensure_postgresql() -> Result<()> {
    let programs = || {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        versions.map(|version| version.path().join("bin/initdb")).any(|program| program.exists())
    };
    if programs() {
        return Ok(());
    }
    let is_ours = rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists();
    if is_ours {
        install(&POSTGRESQL)?;
    }
    if !programs() {
        bail!("the programs of PostgreSQL are missing; on Debian: apt-get install {}", POSTGRESQL.join(" "));
    }
    Ok(())
}

/// Installs Debian packages, as root.
fn install(missing: &[&'static str]) -> Result<()> {
    say(&format!("installing {}", missing.join(" ")));
    let enabled_before: Vec<bool> = DAEMONS.iter().map(|(package, _)| !missing.contains(package)).collect();
    let policy = Policy::install()?;
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)?;
    drop(policy);
    for ((_, unit), before) in DAEMONS.iter().zip(enabled_before) {
        if !before && Path::new("/run/systemd/system").exists() {
            // Installed for us alone: not at the next boot either.
            let _ = Command::new("systemctl").args(["disable", "--quiet", unit]).status();
        }
    }
    Ok(())
}

/// Packages of which a file is missing, each once.
fn missing() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDS.iter().filter(|need| !is_met(need)).map(|need| need.package).collect();
    packages.dedup();
    packages
}

fn is_met(need: &Need) -> bool {
    let Some(path) = locate(need.file) else { return false };
    !need.is_static || fs::read(path).is_ok_and(|bytes| is_static(&bytes))
}

/// The path of a program, also where PATH of an ordinary user does not look.
fn locate(file: &str) -> Option<PathBuf> {
    if file.starts_with('/') {
        return Some(PathBuf::from(file)).filter(|path| path.exists());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|directory| directory.join(file)).find(|path| path.exists())
}

/// True for a program that names no dynamic loader; the name is at the beginning of the file.
fn is_static(elf: &[u8]) -> bool {
    let head = &elf[..elf.len().min(4096)];
    !head.windows(4).any(|window| window == b"/ld-")
}

fn complaint(missing: &[&str], root: bool, debian: bool) -> String {
    let mut text = Vec::new();
    if !root {
        text.push(
            "the local cluster needs root: it makes network namespaces and control groups, and runs containers"
                .to_owned(),
        );
    }
    if !missing.is_empty() {
        text.push(format!("missing (Debian package names): {}", missing.join(" ")));
        text.push(if debian {
            "as root they are installed automatically; or run: apt-get install --no-install-recommends ".to_owned()
                + &missing.join(" ")
        } else {
            "this is not Debian: install the same programs with your package manager (CNI plugins in /usr/lib/cni, \
             static /bin/busybox and /bin/bash-static)"
                .to_owned()
        });
    }
    text.join("\n")
}

fn apt(args: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("cannot start apt-get")?;
    if !output.status.success() {
        bail!("`apt-get {}` failed:\n{}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Tells Debian's scripts to start no daemon, as long as it exists.
struct Policy {
    before: Option<(String, u32)>,
}

impl Policy {
    fn install() -> Result<Self> {
        // One of ours is left from an interruption: it was not there before.
        let before = match fs::read_to_string(POLICY) {
            Ok(text) if text != OUR_POLICY => Some((text, fs::metadata(POLICY)?.permissions().mode())),
            _ => None,
        };
        let this = Self { before };
        fs::write(POLICY, OUR_POLICY).with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(this)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        // Nothing more can be done about a failure here; the next installation restores it.
        let _ = match &self.before {
            None => fs::remove_file(POLICY),
            Some((text, mode)) => {
                fs::write(POLICY, text).and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(*mode)))
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_says_what_to_do() {
        let check = |missing: &[&str], root: bool, debian: bool, expect: &[&str]| {
            let text = complaint(missing, root, debian);
            for part in expect {
                assert!(text.contains(part), "{text}");
            }
        };
        check(&["runc", "gcc"], false, true, &["needs root", "runc gcc", "apt-get install"]);
        check(&["runc"], true, false, &["runc", "not Debian"]);
        check(&[], false, true, &["needs root"]);
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(is_static(b"\x7fELF....."));
        assert!(!is_static(b"\x7fELF..../lib64/ld-linux-x86-64.so.2"));
    }
}
