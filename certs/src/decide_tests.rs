//! Decisions as a table of days. The whole of rotation, with real certificates, is in `simulation_tests.rs`.

use rustls::pki_types::CertificateDer;

use super::*;
use crate::examine::Certificate;

const DAY: Duration = Duration::from_hours(24);
const ALL: Settled = Settled { cas: [true, true], leaf: true };
const NONE: Settled = Settled { cas: [false, false], leaf: false };

fn day(number: u32) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + DAY * number
}

fn certificate(from: u32, to: u32) -> Certificate {
    Certificate { pem: String::new(), der: CertificateDer::from(vec![]), not_before: day(from), not_after: day(to) }
}

#[expect(clippy::unnecessary_wraps, reason = "a cell of the table")]
fn ca(from: u32, to: u32) -> Result<Ca, Flaw> {
    Ok(Ca { certificate: certificate(from, to), can_sign: true })
}

#[expect(clippy::unnecessary_wraps, reason = "a cell of the table")]
fn keyless(from: u32, to: u32) -> Result<Ca, Flaw> {
    Ok(Ca { certificate: certificate(from, to), can_sign: false })
}

#[expect(clippy::unnecessary_wraps, reason = "a cell of the table")]
fn leaf(signer: usize, from: u32, to: u32) -> Result<Leaf, Flaw> {
    Ok(Leaf { certificate: certificate(from, to), signer })
}

type Cas = [Result<Ca, Flaw>; 2];

fn check(cas: Cas, leaf: Result<Leaf, Flaw>, settled: Settled, now: u32, expect: &Action) {
    let stored = Stored { cas, leaf };
    assert_eq!(decide(Some(&stored), settled, day(now), &Times::default()), *expect, "{stored:?}");
}

fn sign(signer: usize, why: Why) -> Action {
    Action::Leaf { signer, why }
}

fn replace(slot: usize, days: u32, why: Why) -> Action {
    Action::Ca { slot, life: DAY * days, why }
}

#[test]
fn without_a_secret_everything_is_made() {
    let made = decide(None, NONE, day(0), &Times::default());
    assert_eq!(made, Action::Everything { why: Why::First });
}

#[test]
fn a_fresh_secret_is_left_alone() {
    check([ca(0, 45), ca(0, 90)], leaf(0, 0, 30), NONE, 0, &Action::Nothing);
    check([ca(0, 45), ca(0, 90)], leaf(0, 0, 30), ALL, 19, &Action::Nothing);
    // Signed by the younger one, after somebody's intervention: that will do until it is due.
    check([ca(0, 45), ca(0, 90)], leaf(1, 0, 30), ALL, 19, &Action::Nothing);
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_by_the_older_ca() {
    check([ca(0, 45), ca(0, 90)], leaf(0, 0, 30), ALL, 20, &sign(0, Why::Due));
    check([ca(0, 90), ca(0, 45)], leaf(0, 0, 30), ALL, 20, &sign(1, Why::Due));
    check([ca(0, 45), ca(0, 90)], leaf(1, 0, 30), ALL, 20, &sign(0, Why::Due));
}

#[test]
fn the_leaf_moves_off_a_ca_that_is_due_once_the_other_has_settled() {
    let cas = || [ca(0, 45), ca(0, 90)];
    check(cas(), leaf(0, 20, 45), ALL, 30, &sign(1, Why::SignerLeaves));
    let other_is_new = Settled { cas: [true, false], leaf: true };
    check(cas(), leaf(0, 20, 45), other_is_new, 30, &Action::Nothing);
}

#[test]
fn a_ca_that_leaves_signs_once_more_only_if_that_gains_time() {
    let unsettled = Settled { cas: [true, false], leaf: true };
    check([ca(0, 90), ca(40, 130)], leaf(0, 42, 72), unsettled, 62, &sign(0, Why::Due));
    check([ca(0, 90), ca(40, 130)], leaf(0, 60, 90), unsettled, 85, &Action::Nothing);
    check([keyless(0, 90), ca(40, 130)], leaf(0, 42, 72), unsettled, 62, &Action::Nothing);
}

#[test]
fn a_due_ca_is_replaced_after_its_last_leaf_is_gone_for_a_while() {
    let cas = || [ca(0, 45), ca(0, 90)];
    let leaf_is_new = Settled { leaf: false, ..ALL };
    check(cas(), leaf(1, 30, 60), leaf_is_new, 30, &Action::Nothing);
    check(cas(), leaf(1, 30, 60), ALL, 30, &replace(0, 90, Why::Due));
}

#[test]
fn a_replacement_that_would_end_with_the_other_ca_gets_half_a_life() {
    check([ca(0, 45), ca(29, 119)], leaf(1, 30, 60), ALL, 30, &replace(0, 45, Why::Due));
    check([Err(Flaw::Missing), ca(0, 90)], leaf(1, 0, 30), NONE, 0, &replace(0, 45, Why::Broken(Flaw::Missing)));
}

#[test]
fn a_broken_ca_is_replaced_alone_and_carefully() {
    let missing = || Err(Flaw::Missing);
    // Nobody can trust what cannot be read: nothing to wait for.
    check([missing(), ca(0, 90)], leaf(1, 0, 30), NONE, 16, &replace(0, 90, Why::Broken(Flaw::Missing)));
    // The signer has lost its key: the leaf moves first, and replicas still serve what it has signed.
    let cas = || [keyless(0, 45), ca(0, 90)];
    check(cas(), leaf(0, 0, 30), NONE, 1, &Action::Nothing);
    check(cas(), leaf(0, 0, 30), ALL, 1, &sign(1, Why::SignerLeaves));
    check(cas(), leaf(1, 1, 31), Settled { leaf: false, ..ALL }, 1, &Action::Nothing);
    check(cas(), leaf(1, 1, 31), ALL, 1, &replace(0, 45, Why::NoKey));
}

#[test]
fn while_the_leaf_is_trusted_nothing_is_torn_down_even_without_any_signer() {
    let cas = [keyless(0, 45), Err(Flaw::Missing)];
    check(cas, leaf(0, 0, 30), NONE, 1, &replace(1, 90, Why::Broken(Flaw::Missing)));
}

#[test]
fn a_leaf_that_nobody_accepts_is_made_at_once_by_the_best_ca() {
    let broken = || Err(Flaw::KeyMismatch);
    let why = || Why::Broken(Flaw::KeyMismatch);
    check([ca(0, 45), ca(0, 90)], broken(), NONE, 1, &sign(0, why()));
    check([ca(0, 45), ca(0, 90)], broken(), Settled { cas: [false, true], leaf: false }, 1, &sign(1, why()));
    check([ca(0, 45), ca(0, 90)], broken(), NONE, 31, &sign(1, why()));
    check([keyless(0, 45), ca(0, 90)], broken(), NONE, 1, &sign(1, why()));
    check([ca(0, 45), ca(0, 90)], leaf(0, 0, 30), ALL, 30, &sign(1, Why::NotValidNow));
    let nobody = Action::Everything { why: Why::NoSigner };
    check([keyless(0, 45), Err(Flaw::Missing)], broken(), NONE, 1, &nobody);
}

#[test]
fn after_years_of_absence_or_before_its_time_everything_is_made_anew() {
    let nobody = Action::Everything { why: Why::NoSigner };
    check([ca(0, 45), ca(0, 90)], leaf(0, 0, 30), ALL, 1000, &nobody);
    check([ca(100, 145), ca(100, 190)], leaf(0, 100, 130), ALL, 3, &nobody);
    let times = Times { ca_life: DAY * 4_000_000, ..Times::default() };
    let stored = Stored { cas: [ca(0, 45), ca(0, 90)], leaf: leaf(0, 0, 30) };
    assert_eq!(decide(Some(&stored), ALL, Timestamp::MAX, &times), nobody);
    assert_eq!(decide(Some(&stored), ALL, Timestamp::MIN, &times), nobody);
}
