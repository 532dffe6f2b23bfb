//! What goes of what is kept: what is older than it has to be kept, and of more than may be kept the oldest.
//!
//! Invariant: what came later than something that stays stays, too, to the minute. Holds one number for each minute, however much is kept.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStoreExt as _};

use crate::kept::AROUND;
use crate::{Error, Kept};

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all outputs together; each counts 16 KiB besides its own.
    pub bytes: u64,
}

/// What a sweep has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Outputs that stay.
    pub stay: u64,
    /// Bytes of them, as they count.
    pub bytes: u64,
    /// Outputs that were too old.
    pub old: u64,
    /// Outputs that were more than may be kept.
    pub surplus: u64,
}

impl Kept {
    /// Deletes what was kept before a time, and the oldest of more than may be kept, until a tenth of that is free.
    pub async fn sweep(&self, before: Option<Timestamp>) -> Result<Swept, Error> {
        let counted = self.bytes.load(Ordering::Relaxed);
        let (mut swept, mut minutes) = (Swept::default(), BTreeMap::<i64, u64>::new());
        let mut all = self.store.list(None);
        while let Some(one) = all.try_next().await? {
            if before.is_some_and(|before| one.last_modified.timestamp() < before.as_second()) {
                swept.old += self.remove(&one).await?;
            } else {
                swept.stay += 1;
                swept.bytes += one.size + AROUND;
                *minutes.entry(minute(&one)).or_default() += one.size + AROUND;
            }
        }
        if let Some(until) = surplus(&minutes, self.limits.bytes) {
            let mut all = self.store.list(None);
            while let Some(one) = all.try_next().await? {
                if minute(&one) <= until {
                    let removed = self.remove(&one).await?;
                    swept.surplus += removed;
                    swept.stay = swept.stay.saturating_sub(removed);
                    swept.bytes = swept.bytes.saturating_sub(one.size + AROUND);
                }
            }
        }
        // What was kept meanwhile was perhaps not listed.
        let meanwhile = self.bytes.load(Ordering::Relaxed).saturating_sub(counted);
        self.bytes.store(swept.bytes.saturating_add(meanwhile), Ordering::Relaxed);
        Ok(swept)
    }

    /// Deletes an output; how many that are.
    async fn remove(&self, one: &ObjectMeta) -> Result<u64, Error> {
        match self.store.delete(&one.location).await {
            Ok(()) => Ok(1),
            Err(object_store::Error::NotFound { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

fn minute(one: &ObjectMeta) -> i64 {
    one.last_modified.timestamp().div_euclid(60)
}

/// The last minute of which everything goes, so that of more than `most` nine tenths of it stay.
fn surplus(minutes: &BTreeMap<i64, u64>, most: u64) -> Option<i64> {
    let mut left: u64 = minutes.values().sum();
    if left <= most {
        return None;
    }
    let mut last = None;
    for (minute, bytes) in minutes {
        if left <= most - most / 10 {
            break;
        }
        left -= bytes;
        last = Some(*minute);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_than_may_be_kept_the_oldest_minutes_go() {
        let minutes = |all: &[u64]| (0..).zip(all.iter().copied()).collect::<BTreeMap<i64, u64>>();
        for (all, most, expect) in [
            (&[][..], 100, None),
            (&[50, 50], 100, None),
            (&[50, 51], 100, Some(0)),
            (&[5, 6, 90], 100, Some(1)),
            (&[11, 0, 90], 100, Some(0)),
            (&[10, 1, 90], 100, Some(1)),
            (&[101], 100, Some(0)),
            (&[1, 200, 1], 100, Some(1)),
            (&[7], 0, Some(0)),
        ] {
            assert_eq!(surplus(&minutes(all), most), expect, "{all:?} of {most}");
        }
    }
}
