//! Any JSON, with the words in it that decisions depend on.

use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts that mean something somewhere, or are awkward everywhere.
const WORDS: [&str; 22] = [
    "",
    "true",
    "false",
    "none",
    "fast",
    "batch",
    "broken",
    "missed",
    "CREATE",
    "UPDATE",
    "UpdateOptions",
    "Job",
    "Indexed",
    "default-scheduler",
    "4294967296",
    "-1",
    "a/b~c~0~1",
    "../../secrets",
    "a b?c#d%00",
    "\u{0}\r\n",
    "\u{202e}\u{1f680}\u{fffd}",
    "{\"spec\":{\"hostNetwork\":false}}",
];

/// Any small JSON value.
pub(super) fn junk() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => number(),
        4 => text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// Any text.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![2 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned), 1 => any::<String>()]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(&[0, 1, -1, i64::MIN, i64::MAX, 1 << 32][..]).prop_map(Value::from),
    ]
}
