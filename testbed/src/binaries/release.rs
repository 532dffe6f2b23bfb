//! The releases of Kubernetes that a cluster can run. Invariant: exactly those that `testbed/go/kubernetes-*` pin; a
//! release's version is read from its `go.mod` and written nowhere else. Pure.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::module::Module;

/// A release of Kubernetes; on the command line its version, for example `1.36.3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Release {
    /// The newest one.
    #[default]
    V1_36,
    /// The oldest one.
    V1_34,
}

impl Release {
    /// Every release, the newest first.
    pub const ALL: [Self; 2] = [Self::V1_36, Self::V1_34];
    /// The oldest release that Bulkhead is meant to work with.
    pub const OLDEST: Self = Self::V1_34;

    /// Its version, for example `1.36.3`.
    pub fn version(self) -> &'static str {
        Module::Kubernetes(self).version().trim_start_matches('v')
    }

    /// The release of this version, if it is one of ours.
    pub fn of_version(version: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|release| release.version() == version)
    }

    /// Contents of its `go.mod` and `go.sum`.
    pub(super) fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::V1_36 => {
                (include_str!("../../go/kubernetes-1.36/go.mod"), include_str!("../../go/kubernetes-1.36/go.sum"))
            }
            Self::V1_34 => {
                (include_str!("../../go/kubernetes-1.34/go.mod"), include_str!("../../go/kubernetes-1.34/go.sum"))
            }
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

impl ValueEnum for Release {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.version()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_module_of_kubernetes_is_a_release_and_pins_a_version_of_that_name() {
        let go = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
        let names = std::fs::read_dir(go).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let checked_in: BTreeSet<String> = names.filter(|name| name.starts_with("kubernetes")).collect();
        let minor = |release: &Release| release.version().rsplit_once('.').unwrap().0.to_owned();
        let offered = Release::ALL.iter().map(|release| format!("kubernetes-{}", minor(release))).collect();
        assert_eq!(checked_in, offered);
    }

    #[test]
    fn the_newest_release_is_the_default_and_versions_are_read_back() {
        assert_eq!(Release::default().version(), "1.36.3");
        assert_eq!(Release::OLDEST.version(), "1.34.4");
        for release in Release::ALL {
            assert_eq!(Release::of_version(release.version()), Some(release));
            assert_eq!(Release::from_str(&release.to_string(), false), Ok(release));
        }
        assert_eq!(Release::of_version("1.33.0"), None);
        assert!(Release::from_str("1.33.0", false).is_err());
    }
}
