//! Tests of the repository itself: what lints and the compiler do not check.
//!
//! Each names every place that is wrong, not only the first.

mod checkout;
mod dependencies;
mod modules;
mod places;
mod sources;

/// Fails with all complaints, if there are any.
#[track_caller]
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
