//! Cases of a property. `cargo test` runs a few, `PROPTEST_CASES` says how many else.

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, TestCaseError, TestRunner, contextualize_config};

fn config(few: u32) -> Config {
    contextualize_config(Config { cases: few, failure_persistence: None, ..Config::default() })
}

/// Panics with the smallest input that fails.
pub fn check<S: Strategy>(few: u32, inputs: &S, test: impl Fn(S::Value) -> Result<(), String>) {
    let found = TestRunner::new(config(few)).run(inputs, |input| test(input).map_err(TestCaseError::fail));
    if let Err(finding) = found {
        panic!("{finding}");
    }
}

/// The inputs themselves, for what depends on all of them together.
pub(crate) fn inputs<S: Strategy>(few: u32, inputs: &S) -> impl Iterator<Item = S::Value> {
    let config = config(few);
    let (cases, mut runner) = (config.cases, TestRunner::new(config));
    (0..cases).filter_map(move |_| Some(inputs.new_tree(&mut runner).ok()?.current()))
}
