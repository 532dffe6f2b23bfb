//! JSON text that no [`Value`] can hold: out of all proportion, or with members that are there twice.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::pointers;

/// Stands where a text comes.
const MARK: &str = "here it comes";

/// Writes JSON with this text in some place of it.
pub fn put(mut value: Value, place: &Index, text: &str) -> String {
    let places = pointers(&value);
    if places.is_empty() {
        return text.to_owned();
    }
    *value.pointer_mut(&places[place.index(places.len())]).expect("it was found there") = json!(MARK);
    value.to_string().replacen(&format!("\"{MARK}\""), text, 1)
}

/// Nested deeper than anybody needs.
pub fn deep() -> impl Strategy<Value = String> + Clone {
    let depth = prop_oneof![110..140_usize, 1..20_000_usize];
    let nested = (depth, select(&[("[", "]"), ("{\"a\":", "}"), ("[[],{\"b\":", "}]")][..]), any::<bool>());
    nested.prop_map(|(depth, (open, close), closed)| {
        let (open, close) = (open.repeat(depth), if closed { close.repeat(depth) } else { String::new() });
        format!("{open}0{close}")
    })
}

/// A string or a number that is out of all proportion; few of them by a megabyte.
pub fn huge() -> impl Strategy<Value = String> + Clone {
    let string = (select(&["x", "\u{e9}", "\\u0001", "\\n", "~1", "/", "\u{1f680}"][..]), 1..50_000_usize)
        .prop_map(|(unit, count)| format!("\"{}\"", unit.repeat(count)));
    let length = prop_oneof![30 => 1..5_000_usize, 1 => Just(1 << 20)];
    let digits = (select(&["9", "1", "0", "0.0", "1e", "-9", "1.", "1e-"][..]), length)
        .prop_map(|(begin, count)| format!("{begin}{}", "9".repeat(count)));
    let number =
        select(&["1e400", "-1e400", "1e-400", "18446744073709551616", "-9223372036854775809", "-0", "1E+2", "01"][..])
            .prop_map(str::to_owned);
    prop_oneof![string, digits, number]
}

/// Writes JSON; each member may get a copy with another value before (true) or behind it, as the copies say in turn.
pub fn twice(value: &Value, copies: &[Option<(Value, bool)>]) -> String {
    write(value, &mut copies.iter().cycle())
}

fn write<'a>(value: &Value, copies: &mut impl Iterator<Item = &'a Option<(Value, bool)>>) -> String {
    match value {
        Value::Object(members) => {
            let mut written = Vec::new();
            for (key, value) in members {
                let (key, text) = (json!(key), write(value, copies));
                match copies.next() {
                    Some(Some((copy, true))) => written.extend([format!("{key}:{copy}"), format!("{key}:{text}")]),
                    Some(Some((copy, false))) => written.extend([format!("{key}:{text}"), format!("{key}:{copy}")]),
                    _ => written.push(format!("{key}:{text}")),
                }
            }
            format!("{{{}}}", written.join(","))
        }
        Value::Array(items) => {
            let written: Vec<String> = items.iter().map(|item| write(item, copies)).collect();
            format!("[{}]", written.join(","))
        }
        other => other.to_string(),
    }
}
