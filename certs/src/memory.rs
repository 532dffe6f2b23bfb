//! What the leader has seen with its own eyes, and since when: CAs in all bundles, and the leaf in the Secret.
//!
//! Invariant: times are counted by a clock that never jumps, from the moment something was read back, so a wrong wall clock
//! cannot hurry a rotation. A new leader starts from nothing and merely waits a little longer.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use rustls::pki_types::CertificateDer;

use crate::examine::Stored;

/// What everybody else has had time to notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// Which CAs stand in every bundle for long enough to sign.
    pub(crate) cas: [bool; 2],
    /// Whether the leaf is stored for so long that nobody serves an older one.
    pub(crate) leaf: bool,
}

/// Since when each certificate was seen in place without a break.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    cas: HashMap<CertificateDer<'static>, Instant>,
    leaf: Option<(CertificateDer<'static>, Instant)>,
}

impl Memory {
    /// Notes what is in place at `now`; `bundles` are those just read back. No bundle at all means that nobody is asked to
    /// trust anything, which holds for every CA.
    pub(crate) fn note(&mut self, stored: &Stored, bundles: &[Vec<CertificateDer<'static>>], now: Instant) {
        let in_place: Vec<_> = stored
            .cas
            .iter()
            .flatten()
            .map(|ca| &ca.certificate.der)
            .filter(|der| bundles.iter().all(|bundle| bundle.contains(der)))
            .cloned()
            .collect();
        self.cas.retain(|der, _| in_place.contains(der));
        for der in in_place {
            self.cas.entry(der).or_insert(now);
        }
        let leaf = stored.leaf.as_ref().ok().map(|leaf| &leaf.certificate.der);
        if self.leaf.as_ref().map(|(der, _)| der) != leaf {
            self.leaf = leaf.map(|der| (der.clone(), now));
        }
    }

    /// What was in place for at least `settle` at `now`.
    pub(crate) fn settled(&self, stored: &Stored, settle: Duration, now: Instant) -> Settled {
        let long_ago = |since: &Instant| now.saturating_duration_since(*since) >= settle;
        let ca = |slot: usize| {
            let der = stored.cas[slot].as_ref().ok().map(|ca| &ca.certificate.der);
            der.and_then(|der| self.cas.get(der)).is_some_and(long_ago)
        };
        Settled { cas: [ca(0), ca(1)], leaf: self.leaf.as_ref().is_some_and(|(_, since)| long_ago(since)) }
    }
}
