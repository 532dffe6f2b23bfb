//! Image names: host, repository, tag. Knows nothing about what they point to.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

/// `[host/]repository[:tag]`, completed as container runtimes do it (`busybox` is `docker.io/library/busybox:latest`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Registry the public knows it under.
    pub host: String,
    /// Path in that registry, and in a mirror of it.
    pub repository: String,
    /// Tag.
    pub tag: String,
}

impl FromStr for Name {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let (host, rest) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => ("docker.io", name),
        };
        let (path, tag) = rest.split_once(':').unwrap_or((rest, "latest"));
        let legal = |text: &str, more: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
        };
        if !legal(path, "/") || !legal(tag, "") {
            bail!("{name:?} is not an image name: expected [host/]repository[:tag], without a digest");
        }
        let repository =
            if host == "docker.io" && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { host: host.to_owned(), repository, tag: tag.to_owned() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: &str) {
        assert_eq!(input.parse::<Name>().unwrap().to_string(), expect, "{input}");
    }

    #[test]
    fn short_names_are_completed() {
        check("busybox", "docker.io/library/busybox:latest");
        check("someone/tool:1", "docker.io/someone/tool:1");
        check("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10");
        check("localhost:5000/a/b", "localhost:5000/a/b:latest");
        check("ghcr.io/bulkhead-dev/bulkhead:0.0.0", "ghcr.io/bulkhead-dev/bulkhead:0.0.0");
    }

    #[test]
    fn digests_and_nonsense_are_refused() {
        for input in ["", "a@sha256:00", "a:b:c", "a b", "host.example/"] {
            assert!(input.parse::<Name>().is_err(), "{input}");
        }
    }
}
