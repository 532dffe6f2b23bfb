//! Reads of an object only as much as fits into a budget, and nothing of what nobody looks at.
//!
//! Invariant: while an object is read it takes memory in proportion to the budget, whatever its author put into it, and an object over
//! the budget still has a name and a UID. Does not know what is kept of it.
//! (kube's own guard holds an object two or three times, and a list of empty maps takes a hundred times its length.)

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use model::keys;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Bytes that what is read of an object may take: a hundred times what usual pods take, and a few thousand small containers.
const BUDGET: usize = 2 << 20;
/// Bytes for each list or map of which only the beginning is worth reading.
const PART: usize = 8 << 10;
/// Longest value of a label or annotation that is read.
const TEXT: usize = 8 << 10;
/// Bytes for all labels of others.
const OTHERS: usize = 32 << 10;
/// About what a map takes before there is much in it, and each entry of a list.
const MAP: usize = 640;
const ENTRY: usize = 32;

/// An object as it comes from a watch.
#[derive(Clone, Debug)]
pub struct Lean<K>(pub DeserializeGuard<K>);

/// How a member of an object is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// All of it.
    Whole,
    /// If it fits into a part.
    Part,
    /// Ours, and of others as many as fit.
    Labels,
    /// Those that somebody here looks at.
    Annotations,
    /// Nothing.
    Never,
}

fn how(key: &str) -> How {
    match key {
        // Of a node its images and volumes can be thousands.
        "managedFields" | "images" | "volumesAttached" | "volumesInUse" => How::Never,
        "annotations" => How::Annotations,
        // What a container is told, and what nobody counts.
        "args" | "command" | "env" | "envFrom" | "volumeMounts" | "volumeDevices" | "lifecycle" | "livenessProbe"
        | "readinessProbe" | "startupProbe" | "hostAliases" | "imagePullSecrets" | "dnsConfig" | "securityContext"
        | "readinessGates" | "ports" => How::Part,
        "labels" => How::Labels,
        _ => How::Whole,
    }
}

/// Whether anybody here looks at a label or annotation. These are so few that all of them are read, whatever else is there; another one
/// under our prefixes, which anybody may write, is one of others.
fn is_ours(key: &str) -> bool {
    let others = [keys::K8S_JOB_NAME, keys::K8S_COMPLETION_INDEX, keys::K8S_INDEX_FAILURE_COUNT, keys::K8S_MIRROR]
        .contains(&key);
    [keys::QUEUE, keys::LOST_MACHINES].contains(&key)
        || keys::RESERVED.contains(&key)
        || keys::USER_ANNOTATIONS.contains(&key)
        || others
}

/// What may still be taken.
struct Budget {
    left: usize,
    /// Something was left out because of it.
    over: bool,
}

impl Budget {
    fn of(left: usize) -> Self {
        Self { left, over: false }
    }

    /// Whether so much may be taken; takes it.
    fn take(&mut self, bytes: usize) -> bool {
        self.over |= bytes > self.left;
        self.left = if self.over { 0 } else { self.left - bytes };
        !self.over
    }
}

/// Reads a value within a budget; beyond it `null`, and the rest of lists and maps is skipped.
struct Within<'a> {
    budget: &'a mut Budget,
    /// Of a map: texts by key, ours, and of others as many as fit into so many bytes; unset, its members, each in its way.
    others: Option<usize>,
}

impl<'a> Within<'a> {
    fn whole(budget: &'a mut Budget) -> Self {
        Self { budget, others: None }
    }

    fn texts(budget: &'a mut Budget, others: usize) -> Self {
        Self { budget, others: Some(others) }
    }
}

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Value, E> {
        Ok(if self.budget.take(it.len()) { it.into() } else { Value::Null })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while self.budget.take(ENTRY) {
            let Some(value) = all.next_element_seed(Within::whole(self.budget))? else { return Ok(list.into()) };
            if !self.budget.over {
                list.push(value);
            }
        }
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, all: A) -> Result<Value, A::Error> {
        let map = match self.others {
            None => members(all, self.budget)?,
            Some(others) => texts(all, self.budget, others)?,
        };
        Ok(map.into())
    }
}

/// Reads the members of a map until the budget is over.
fn members<'de, A: MapAccess<'de>>(mut all: A, budget: &mut Budget) -> Result<Map<String, Value>, A::Error> {
    let mut map = Map::new();
    if budget.take(MAP) {
        while let Some(key) = all.next_key::<Cow<'de, str>>()? {
            if budget.over || !budget.take(ENTRY + key.len()) {
                all.next_value::<IgnoredAny>()?;
                break;
            }
            if let Some(value) = member(&key, &mut all, budget)? {
                map.insert(key.into_owned(), value);
            }
        }
    }
    while all.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(map)
}

/// Reads texts by key: all that are ours, and of others as many as fit into so many bytes.
fn texts<'de, A: MapAccess<'de>>(
    mut all: A,
    budget: &mut Budget,
    others: usize,
) -> Result<Map<String, Value>, A::Error> {
    let mut map = Map::new();
    let given = others.min(budget.left);
    let mut others = Budget::of(given);
    while let Some(key) = all.next_key::<Cow<'de, str>>()? {
        let ours = is_ours(&key);
        if !ours && others.left == 0 {
            all.next_value::<IgnoredAny>()?;
            continue;
        }
        let text = all.next_value_seed(Within::whole(&mut Budget::of(TEXT)))?;
        let cost = 2 * ENTRY + key.len() + text.as_str().map_or(0, str::len);
        let from = if ours { &mut *budget } else { &mut others };
        if from.take(cost) && text.is_string() {
            map.insert(key.into_owned(), text);
        }
    }
    budget.left = budget.left.saturating_sub(given - others.left);
    Ok(map)
}

/// Reads a member in its way. A part is taken from the whole, but what it leaves out does not count as over the budget. A plain value is read
/// whatever it is called: in some maps users choose the keys.
fn member<'de, A: MapAccess<'de>>(key: &str, all: &mut A, budget: &mut Budget) -> Result<Option<Value>, A::Error> {
    let how = how(key);
    let whole = match how {
        How::Whole => Some(Within::whole(budget)),
        How::Labels => Some(Within::texts(budget, OTHERS)),
        How::Annotations => Some(Within::texts(budget, 0)),
        How::Part | How::Never => None,
    };
    if let Some(whole) = whole {
        let value = all.next_value_seed(whole)?;
        return Ok((!budget.over && !value.is_null()).then_some(value));
    }
    let mut own = Budget::of(budget.left.min(PART));
    let before = own.left;
    let value = all.next_value_seed(Within::whole(&mut own))?;
    let nested = value.is_array() || value.is_object();
    if how == How::Never && nested {
        return Ok(None);
    }
    budget.left -= before - own.left;
    // Half a command would pass for a whole one. Of ports it matters only that there are some.
    let is_cut = how == How::Part && own.over && key != "ports";
    Ok((!value.is_null() && !is_cut).then_some(value))
}

/// The members of an object itself.
struct Object<K>(PhantomData<K>);

impl<'de, K: DeserializeOwned + Resource> Visitor<'de> for Object<K> {
    type Value = DeserializeGuard<K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let (mut map, mut over) = (Map::new(), false);
        while let Some(key) = all.next_key::<Cow<'de, str>>()? {
            // A budget for each: what its author writes does not cost the object its name.
            let mut budget = Budget::of(BUDGET);
            let value = all.next_value_seed(Within::whole(&mut budget))?;
            over |= budget.over;
            if !budget.over || key == "metadata" {
                map.insert(key.into_owned(), value);
            }
        }
        let meta = |value: Option<&Value>| -> ObjectMeta {
            value.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default()
        };
        let invalid = |error, metadata| DeserializeGuard(Err(InvalidObject { error, metadata }));
        if over {
            return Ok(invalid("it is larger than Bulkhead reads".to_owned(), meta(map.get("metadata"))));
        }
        let metadata = map.get("metadata").cloned();
        Ok(match serde_json::from_value::<K>(map.into()) {
            Ok(object) => DeserializeGuard(Ok(object)),
            Err(error) => invalid(error.to_string(), meta(metadata.as_ref())),
        })
    }
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object(PhantomData)).map(Self)
    }
}

impl<K: Resource> Resource for Lean<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
#[path = "lean_tests.rs"]
mod tests;
