//! Generators of hostile requests, one per target.

use model::keys;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use siege::json;

use super::junk::{junk, text};
use super::sent::Sent;
use super::valid::valid;
use crate::routes::BODY_LIMIT;

/// Nobody's format.
pub(super) fn arbitrary_bytes() -> impl Strategy<Value = Sent> {
    (hook(), vec(any::<u8>(), 0..2048)).prop_map(|(hook, body)| Sent::new(hook, body))
}

/// Reviews cut off somewhere, with bits flipped.
pub(super) fn cut_and_flipped() -> impl Strategy<Value = Sent> {
    (hook(), json::cut_and_flipped(text_of_valid())).prop_map(|(hook, body)| Sent::new(hook, body))
}

/// Reviews with bytes in them that no text may hold.
pub(super) fn not_utf8() -> impl Strategy<Value = Sent> {
    (hook(), json::not_utf8(text_of_valid())).prop_map(|(hook, body)| Sent::new(hook, body))
}

fn hook() -> impl Strategy<Value = &'static str> {
    select(&["jobs", "pods", "nodes"][..])
}

fn text_of_valid() -> impl Strategy<Value = Vec<u8>> {
    valid().prop_map(|(_, review)| review.to_string().into_bytes())
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

fn changed(chosen: fn(&str) -> bool) -> impl Strategy<Value = Sent> {
    (valid(), json::changes(junk(), text())).prop_map(move |((hook, mut review), changes)| {
        changes.apply(&mut review, chosen);
        Sent::new(hook, review.to_string())
    })
}

/// Reviews with raw JSON text in place of some value, outside or inside of the objects.
fn with_text(text: impl Strategy<Value = String>) -> impl Strategy<Value = Sent> {
    (valid(), any::<Index>(), text)
        .prop_map(|((hook, review), place, text)| Sent::new(hook, json::put(review, &place, &text)))
}

/// Reviews with a value nested deeper than anybody needs; also as the JSON that `kubectl apply` leaves in an annotation.
pub(super) fn deep() -> impl Strategy<Value = Sent> {
    prop_oneof![
        with_text(json::deep()),
        (valid(), json::deep()).prop_map(|((hook, mut review), text)| {
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
    with_text(json::huge())
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
    let copies = vec(prop::option::weighted(0.2, (junk(), any::<bool>())), 1..64);
    (valid(), copies).prop_map(|((hook, review), copies)| Sent::new(hook, json::twice(&review, &copies)))
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

/// The same as requests over a connection, which frames them itself.
pub(super) fn requests() -> impl Strategy<Value = siege::Request> {
    let sent = prop_oneof![8 => any_of_them(), 1 => long_lists(), 1 => odd_heads()];
    sent.prop_map(|Sent { path, body, .. }| siege::Request { path, body })
}
