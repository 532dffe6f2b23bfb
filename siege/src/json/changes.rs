//! Something else in some places of a value.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// What happens to some places.
#[derive(Clone, Debug)]
pub struct Changes(Vec<(Index, Change)>);

#[derive(Clone, Debug)]
enum Change {
    Put(Value),
    Remove,
    Wrap,
    Rename(String),
}

/// Any few changes, with values and names from these.
pub fn changes(
    values: impl Strategy<Value = Value>,
    names: impl Strategy<Value = String>,
) -> impl Strategy<Value = Changes> {
    let change = prop_oneof![
        4 => values.prop_map(Change::Put),
        2 => Just(Change::Remove),
        1 => Just(Change::Wrap),
        1 => names.prop_map(Change::Rename),
    ];
    vec((any::<Index>(), change), 1..6).prop_map(Changes)
}

impl Changes {
    /// Makes them, in places whose pointers are chosen.
    pub fn apply(self, value: &mut Value, chosen: impl Fn(&str) -> bool) {
        for (place, change) in self.0 {
            let mut places = pointers(value);
            places.retain(|pointer| chosen(pointer));
            if !places.is_empty() {
                apply(value, &places[place.index(places.len())], change);
            }
        }
    }
}

/// Pointers to everything in a value, itself apart.
pub fn pointers(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, "", &mut found);
    found
}

fn collect(value: &Value, here: &str, found: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => return,
    };
    for (token, value) in inside {
        let pointer = format!("{here}/{token}");
        collect(value, &pointer, found);
        found.push(pointer);
    }
}

fn apply(value: &mut Value, pointer: &str, change: Change) {
    let (parent, token) = pointer.rsplit_once('/').expect("it begins with one");
    let key = token.replace("~1", "/").replace("~0", "~");
    match (value.pointer_mut(parent).expect("it was found there"), change) {
        (Value::Object(members), Change::Remove) => drop(members.remove(&key)),
        (Value::Object(members), Change::Rename(name)) => {
            if let Some(value) = members.remove(&key) {
                members.insert(name, value);
            }
        }
        (Value::Array(items), Change::Remove | Change::Rename(_)) => drop(items.remove(key.parse().expect("a place"))),
        (parent, Change::Put(value)) => *parent.pointer_mut(&format!("/{token}")).expect("as above") = value,
        (parent, Change::Wrap) => {
            let place = parent.pointer_mut(&format!("/{token}")).expect("as above");
            *place = json!([place.take()]);
        }
        _ => unreachable!("a pointer leads into a list or an object"),
    }
}
