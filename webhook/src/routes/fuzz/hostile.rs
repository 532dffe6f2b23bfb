//! Generators of hostile requests, one per target.

use model::keys;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::junk::{junk, text};
use super::sent::Sent;
use super::valid::valid;
use crate::routes::BODY_LIMIT;

/// Nobody's format.
pub(super) fn arbitrary_bytes() -> impl Strategy<Value = Sent> {
    (select(&["jobs", "pods", "nodes"][..]), vec(any::<u8>(), 0..2048)).prop_map(|(hook, body)| Sent::new(hook, body))
}

/// Reviews cut off somewhere, with bits flipped.
pub(super) fn cut_and_flipped() -> impl Strategy<Value = Sent> {
    (valid(), any::<Index>(), prop::bool::ANY, vec((any::<Index>(), 0..8_u8), 0..6)).prop_map(
        |((hook, review), end, cut, flips)| {
            let mut body = review.to_string().into_bytes();
            if cut {
                body.truncate(end.index(body.len() + 1));
            }
            for (place, bit) in flips {
                if !body.is_empty() {
                    let place = place.index(body.len());
                    body[place] ^= 1 << bit;
                }
            }
            Sent::new(hook, body)
        },
    )
}

/// Bytes that no JSON text may hold, and escapes that mean no character.
const NOT_UTF8: [&[u8]; 9] = [
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\udfff\\ud800",
    b"\\u0000",
];

/// Reviews with such bytes in them.
pub(super) fn not_utf8() -> impl Strategy<Value = Sent> {
    (valid(), vec((any::<Index>(), select(&NOT_UTF8[..])), 1..4)).prop_map(|((hook, review), insertions)| {
        let mut body = review.to_string().into_bytes();
        for (place, bytes) in insertions {
            let place = place.index(body.len() + 1);
            body.splice(place..place, bytes.iter().copied());
        }
        Sent::new(hook, body)
    })
}

/// Reviews with something else in some places around the objects.
pub(super) fn wrong_shapes() -> impl Strategy<Value = Sent> {
    changed(|pointer| !is_inside_an_object(pointer))
}

/// Reviews of objects with something else in some places.
pub(super) fn odd_objects() -> impl Strategy<Value = Sent> {
    changed(is_inside_an_object)
}

fn is_inside_an_object(pointer: &str) -> bool {
    pointer.starts_with("/request/object/") || pointer.starts_with("/request/oldObject/")
}

/// What happens to a place of a review.
#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Remove,
    Wrap,
    Rename(String),
}

fn changed(chosen: fn(&str) -> bool) -> impl Strategy<Value = Sent> {
    let change = prop_oneof![
        4 => junk().prop_map(Change::Put),
        2 => Just(Change::Remove),
        1 => Just(Change::Wrap),
        1 => text().prop_map(Change::Rename),
    ];
    (valid(), vec((any::<Index>(), change), 1..6)).prop_map(move |((hook, mut review), changes)| {
        for (place, change) in changes {
            let mut places = Vec::new();
            pointers(&review, "", &mut places);
            places.retain(|pointer| chosen(pointer));
            if !places.is_empty() {
                apply(&mut review, &places[place.index(places.len())], change);
            }
        }
        Sent::new(hook, review.to_string())
    })
}

/// Adds pointers to everything in a value, itself apart.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => return,
    };
    for (token, value) in inside {
        let pointer = format!("{here}/{token}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

fn apply(review: &mut Value, pointer: &str, change: Change) {
    let (parent, token) = pointer.rsplit_once('/').unwrap();
    let key = token.replace("~1", "/").replace("~0", "~");
    match (review.pointer_mut(parent).unwrap(), change) {
        (Value::Object(members), Change::Remove) => drop(members.remove(&key)),
        (Value::Object(members), Change::Rename(name)) => {
            let value = members.remove(&key).unwrap();
            members.insert(name, value);
        }
        (Value::Array(items), Change::Remove | Change::Rename(_)) => drop(items.remove(key.parse().unwrap())),
        (parent, Change::Put(value)) => *parent.pointer_mut(&format!("/{token}")).unwrap() = value,
        (parent, Change::Wrap) => {
            let place = parent.pointer_mut(&format!("/{token}")).unwrap();
            *place = json!([place.take()]);
        }
        _ => unreachable!("a pointer leads into a list or an object"),
    }
}

/// A text that stands for something that no [`Value`] can hold.
const MARK: &str = "here it comes";

/// Reviews with raw JSON text in place of some value, outside or inside of the objects.
fn with_text(text: impl Strategy<Value = String>) -> impl Strategy<Value = Sent> {
    (valid(), any::<Index>(), text).prop_map(|((hook, mut review), place, text)| {
        let mut places = Vec::new();
        pointers(&review, "", &mut places);
        *review.pointer_mut(&places[place.index(places.len())]).unwrap() = json!(MARK);
        Sent::new(hook, review.to_string().replacen(&format!("\"{MARK}\""), &text, 1))
    })
}

/// Reviews with a value nested deeper than anybody needs; also as the JSON that `kubectl apply` leaves in an annotation.
pub(super) fn deep() -> impl Strategy<Value = Sent> {
    let depth = prop_oneof![110..140_usize, 1..10_000_usize];
    let nested = (depth, select(&[("[", "]"), ("{\"a\":", "}"), ("[[],{\"b\":", "}]")][..]), prop::bool::ANY);
    let text = nested.prop_map(|(depth, (open, close), closed)| {
        let (open, close) = (open.repeat(depth), if closed { close.repeat(depth) } else { String::new() });
        format!("{open}0{close}")
    });
    prop_oneof![
        with_text(text.clone()),
        (valid(), text).prop_map(|((hook, mut review), text)| {
            for place in ["", "/spec/template"] {
                if let Some(annotations) = review.pointer_mut(&format!("/request/object{place}/metadata/annotations")) {
                    annotations["kubectl.kubernetes.io/last-applied-configuration"] = json!(text);
                }
            }
            Sent::new(hook, review.to_string())
        }),
    ]
}

/// Reviews with a string or a number that is out of all proportion.
pub(super) fn huge() -> impl Strategy<Value = Sent> {
    let string = (select(&["x", "\u{e9}", "\\u0001", "\\n", "~1", "/", "\u{1f680}"][..]), 1..50_000_usize)
        .prop_map(|(unit, count)| format!("\"{}\"", unit.repeat(count)));
    let digits = (select(&["9", "1", "0", "0.0", "1e", "-9", "1.", "1e-"][..]), 1..5_000_usize)
        .prop_map(|(begin, count)| format!("{begin}{}", "9".repeat(count)));
    let number =
        select(&["1e400", "-1e400", "1e-400", "18446744073709551616", "-9223372036854775809", "-0", "1E+2", "01"][..])
            .prop_map(str::to_owned);
    with_text(prop_oneof![string, digits, number])
}

/// Reviews with a long list or a large map in some place, which names may be Bulkhead's own.
pub(super) fn long_lists() -> impl Strategy<Value = Sent> {
    let places = select(
        &[
            "/request/object/metadata/labels",
            "/request/object/metadata/annotations",
            "/request/object/metadata/ownerReferences",
            "/request/object/spec/containers",
            "/request/object/spec/containers/0/env",
            "/request/object/spec/initContainers/0/ports",
            "/request/object/spec/schedulingGates",
            "/request/object/spec/tolerations",
            "/request/object/spec/taints",
            "/request/object/spec/template/metadata/labels",
            "/request/oldObject/metadata/annotations",
        ][..],
    );
    let items = select(vec![
        json!({}),
        json!({"name": "AWS_BATCH_JOB_ID"}),
        json!({"name": keys::GATE}),
        json!({"key": keys::BATCH_TAINT, "operator": "Exists"}),
        json!({"containerPort": 80}),
        json!([]),
    ]);
    (valid(), places, vec(items, 1..3), 1..1_500_usize).prop_map(|((hook, mut review), place, items, count)| {
        if let Some(long) = review.pointer_mut(place) {
            *long = if long.is_object() {
                (0..count).map(|index| (format!("bulkhead.dev/{index}"), json!("x"))).collect()
            } else {
                items.into_iter().cycle().take(count).collect()
            };
        }
        Sent::new(hook, review.to_string())
    })
}

/// Reviews with members that are there twice.
pub(super) fn duplicate_keys() -> impl Strategy<Value = Sent> {
    let copies = vec(prop::option::weighted(0.2, (junk(), prop::bool::ANY)), 1..64);
    (valid(), copies)
        .prop_map(|((hook, review), copies)| Sent::new(hook, write_twice(&review, &mut copies.into_iter().cycle())))
}

/// Writes JSON; each member may get a copy with another value before or behind it.
fn write_twice(value: &Value, copies: &mut impl Iterator<Item = Option<(Value, bool)>>) -> String {
    match value {
        Value::Object(members) => {
            let mut written = Vec::new();
            for (key, value) in members {
                let (key, text) = (json!(key), write_twice(value, copies));
                match copies.next().flatten() {
                    Some((copy, true)) => written.extend([format!("{key}:{copy}"), format!("{key}:{text}")]),
                    Some((copy, false)) => written.extend([format!("{key}:{text}"), format!("{key}:{copy}")]),
                    None => written.push(format!("{key}:{text}")),
                }
            }
            format!("{{{}}}", written.join(","))
        }
        Value::Array(items) => {
            let written: Vec<String> = items.iter().map(|item| write_twice(item, copies)).collect();
            format!("[{}]", written.join(","))
        }
        other => other.to_string(),
    }
}

/// Reviews with any uid, or with none.
pub(super) fn odd_uids() -> impl Strategy<Value = Sent> {
    (valid(), prop::option::of(prop_oneof![text().prop_map(Value::from), junk()])).prop_map(
        |((hook, mut review), uid)| {
            match uid {
                Some(uid) => review["request"]["uid"] = uid,
                None => drop(review["request"].as_object_mut().unwrap().remove("uid")),
            }
            Sent::new(hook, review.to_string())
        },
    )
}

/// Timeouts that are none, or far too long.
const QUERIES: [&str; 12] = [
    "",
    "?",
    "?timeout",
    "?timeout=",
    "?timeout=-3s",
    "?timeout=0s",
    "?timeout=9999999999999999999h",
    "?timeout=NaNs",
    "?timeout=1e3s",
    "?timeout=3s&timeout=10s",
    "?timeout=%33s",
    "?timeout=2562047h47m16.854775807s",
];

/// Good reviews behind a head that lies.
pub(super) fn odd_heads() -> impl Strategy<Value = Sent> {
    let announced = prop_oneof![
        Just(None),
        (0..20_000_usize).prop_map(Some),
        select(&[BODY_LIMIT, BODY_LIMIT + 1, usize::MAX][..]).prop_map(Some),
    ];
    (valid(), select(&QUERIES[..]), announced).prop_map(|((hook, review), query, announced)| Sent {
        path: format!("/{hook}{query}"),
        announced,
        end: None,
        body: review.to_string().into_bytes(),
    })
}

/// Good reviews of which only some comes, whatever their head announces.
pub(super) fn halves() -> impl Strategy<Value = Sent> {
    let announced = prop_oneof![Just(None), Just(Some(BODY_LIMIT))];
    (valid(), any::<Index>(), any::<bool>(), announced).prop_map(|((hook, review), end, breaks, announced)| {
        let mut body = review.to_string().into_bytes();
        body.truncate(end.index(body.len() + 1));
        Sent { announced, end: Some(breaks), ..Sent::new(hook, body) }
    })
}

/// Bodies of every kind.
pub(super) fn any_of_them() -> impl Strategy<Value = Sent> {
    let small = prop_oneof![arbitrary_bytes(), cut_and_flipped(), not_utf8(), odd_uids()];
    prop_oneof![4 => small, 4 => wrong_shapes(), 1 => odd_objects(), 1 => deep(), 1 => huge(), 2 => duplicate_keys()]
}
