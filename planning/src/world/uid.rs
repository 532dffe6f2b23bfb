//! UIDs in a few bytes: nearly all are UUIDs, and a hundred thousand of them are compared in each plan.
//!
//! Invariant: ordered as their texts are, so that no order depends on how they are kept.

use std::cmp::Ordering;
use std::sync::Arc;

use uuid::Uuid;

/// A UID, or an id that counts as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Uid {
    /// A UUID as it is usually written: in small letters, with hyphens.
    Uuid(u64, u64),
    /// Any other text.
    Text(Arc<str>),
}

impl Uid {
    /// Of a text.
    pub(crate) fn new(text: &str) -> Self {
        let parsed = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
        match parsed.map(|uuid| (uuid, uuid.as_u64_pair())) {
            Some((uuid, (high, low))) if uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text => {
                Self::Uuid(high, low)
            }
            _ => Self::Text(text.into()),
        }
    }
}

impl Ord for Uid {
    fn cmp(&self, other: &Self) -> Ordering {
        let of = |high: &u64, low: &u64| Uuid::from_u64_pair(*high, *low).hyphenated();
        match (self, other) {
            (Self::Uuid(high, low), Self::Uuid(other_high, other_low)) => (high, low).cmp(&(other_high, other_low)),
            (Self::Text(text), Self::Text(other)) => text.cmp(other),
            (Self::Uuid(high, low), Self::Text(text)) => {
                (*of(high, low).encode_lower(&mut Uuid::encode_buffer())).cmp(text)
            }
            (Self::Text(_), Self::Uuid(..)) => other.cmp(self).reverse(),
        }
    }
}

impl PartialOrd for Uid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_ordered_as_their_texts_are() {
        let texts = [
            "",
            "0",
            "2d044787-c663-4ce6-a6fe-f2baf7e51b04",
            "2D044787-c663-4ce6-a6fe-f2baf7e51b04",
            "2d044787-c663-4ce6-a6fe-f2baf7e51b04:1",
            "2d044787-c663-4ce6-a6fe-f2baf7e51b05",
            "2d044787xc663-4ce6-a6fe-f2baf7e51b04x",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "j",
        ];
        for one in texts {
            for other in texts {
                let (uid, other_uid) = (Uid::new(one), Uid::new(other));
                assert_eq!(uid.cmp(&other_uid), one.cmp(other), "{one} {other}");
                assert_eq!(uid == other_uid, one == other, "{one} {other}");
            }
        }
        assert!(matches!(Uid::new(texts[2]), Uid::Uuid(..)));
    }
}
