//! The stages of a test run and which of them run. Decides only.

use std::fmt;

use clap::ValueEnum;

/// A stage; they run in this order, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Stage {
    /// Formatting.
    Fmt,
    /// Lints, warnings as errors.
    Clippy,
    /// Unit, tidy and documentation tests.
    Unit,
    /// Licenses, names and sources of dependencies.
    Licenses,
    /// What is known against dependencies; runs only where it is named, because it needs GitHub.
    Advisories,
    /// End-to-end tests on a local cluster, the demo first.
    E2e,
    /// The run left the checkout as it was.
    Tree,
}

impl Stage {
    /// What it does, in a few words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Fmt => "cargo fmt --check",
            Self::Clippy => "cargo clippy, all targets, warnings are errors",
            Self::Unit => "unit, tidy and documentation tests",
            Self::Licenses => "licenses and sources of dependencies, and crates that must not be there",
            Self::Advisories => "advisories about dependencies",
            Self::E2e => "the demo and the end-to-end tests on a local cluster",
            Self::Tree => "the checkout is as it was before",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Unit => "unit",
            Self::Licenses => "licenses",
            Self::Advisories => "advisories",
            Self::E2e => "e2e",
            Self::Tree => "tree",
        })
    }
}

/// The stages to run, in their order: those named, or with a filter the end-to-end tests, or all that need nothing from elsewhere.
pub(super) fn chosen(only: &[Stage], filtered: bool) -> Vec<Stage> {
    let wanted = |stage: &Stage| match (only.is_empty(), filtered) {
        (false, _) => only.contains(stage),
        (true, true) => *stage == Stage::E2e,
        (true, false) => *stage != Stage::Advisories,
    };
    Stage::value_variants().iter().copied().filter(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_stages_run_in_their_own_order_and_a_filter_means_end_to_end_tests() {
        use Stage::{Advisories, Clippy, E2e, Fmt, Licenses, Tree, Unit};
        let check =
            |only: &[Stage], filtered: bool, expect: &[Stage]| assert_eq!(chosen(only, filtered), expect, "{only:?}");
        check(&[], false, &[Fmt, Clippy, Unit, Licenses, E2e, Tree]);
        check(&[Unit, Fmt], false, &[Fmt, Unit]);
        check(&[Advisories], false, &[Advisories]);
        check(&[], true, &[E2e]);
    }

    #[test]
    fn a_stage_is_written_as_the_command_line_reads_it() {
        for stage in Stage::value_variants() {
            assert_eq!(Stage::from_str(&stage.to_string(), false), Ok(*stage));
        }
    }
}
