//! Hostile JSON, made of good JSON. Decides only.

mod bytes;
mod changes;
mod texts;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

pub use bytes::{cut_and_flipped, not_utf8};
pub use changes::{Changes, changes, pointers};
pub use texts::{deep, huge, put, twice};

/// Good values that were spoiled in any of the ways that there are.
pub fn hostile(
    good: impl Strategy<Value = Value> + Clone + 'static,
    junk: impl Strategy<Value = Value> + Clone + 'static,
) -> BoxedStrategy<Vec<u8>> {
    let names = any::<String>();
    let copies = prop::collection::vec(prop::option::weighted(0.2, (junk.clone(), any::<bool>())), 1..64);
    let texts = prop_oneof![deep(), huge()];
    prop_oneof![
        4 => (good.clone(), changes(junk, names)).prop_map(|(mut value, changes)| {
            changes.apply(&mut value, |_| true);
            value.to_string().into_bytes()
        }),
        2 => cut_and_flipped(good.clone().prop_map(|value| value.to_string().into_bytes())),
        1 => not_utf8(good.clone().prop_map(|value| value.to_string().into_bytes())),
        1 => (good.clone(), any::<Index>(), texts)
            .prop_map(|(value, place, text)| put(value, &place, &text).into_bytes()),
        1 => (good, copies).prop_map(|(value, copies)| twice(&value, &copies).into_bytes()),
    ]
    .boxed()
}
