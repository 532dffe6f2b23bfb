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
use kube::runtime::watcher::Event;
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
pub struct Lean<K> {
    /// The object, or why it cannot be read.
    pub object: DeserializeGuard<K>,
    /// What is known all the same of one that cannot be read: what was read as a whole, and of the rest plain members (a pod's node and
    /// phase).
    pub remains: Option<Box<K>>,
}

impl<K> From<DeserializeGuard<K>> for Lean<K> {
    fn from(object: DeserializeGuard<K>) -> Self {
        Self { object, remains: None }
    }
}

/// The same event about something else.
pub(crate) fn map<A, B>(event: Event<A>, mut to: impl FnMut(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(to(object)),
        Event::InitApply(object) => Event::InitApply(to(object)),
        Event::Delete(object) => Event::Delete(to(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

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

impl How {
    /// What is read of a map of texts.
    fn of_map(self) -> Option<OfMap> {
        match self {
            How::Labels => Some(OfMap::Texts(OTHERS)),
            How::Annotations => Some(OfMap::Texts(0)),
            How::Whole | How::Part | How::Never => None,
        }
    }
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
    of_map: OfMap,
}

/// What is read of a map.
#[derive(Clone, Copy)]
enum OfMap {
    /// Its members, each in its way.
    Members,
    /// The same, and beyond the budget labels, annotations and those that are plain.
    PlainBeyond,
    /// Texts by key: ours, and of others as many as fit into so many bytes.
    Texts(usize),
}

impl<'a> Within<'a> {
    fn whole(budget: &'a mut Budget) -> Self {
        Self { budget, of_map: OfMap::Members }
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
        let map = match self.of_map {
            OfMap::Members => members(all, self.budget, 0)?,
            OfMap::PlainBeyond => members(all, self.budget, PART)?,
            OfMap::Texts(others) => texts(all, self.budget, others)?,
        };
        Ok(map.into())
    }
}

/// Reads the members of a map until the budget is over; of those that follow labels and annotations, and plain ones, as many as fit into
/// `beyond`, if that is not zero.
fn members<'de, A: MapAccess<'de>>(
    mut all: A,
    budget: &mut Budget,
    beyond: usize,
) -> Result<Map<String, Value>, A::Error> {
    let (mut map, mut beyond) = (Map::new(), Budget::of(beyond));
    budget.take(MAP);
    while let Some(key) = all.next_key::<Cow<'de, str>>()? {
        let cost = ENTRY + key.len();
        let value = if !budget.over && budget.take(cost) {
            member(&key, &mut all, budget)?
        } else if beyond.take(cost) {
            let of_map = how(&key).of_map();
            let mut own = Budget::of(if of_map.is_some() { BUDGET } else { beyond.left });
            let seed = Within { budget: &mut own, of_map: of_map.unwrap_or(OfMap::Members) };
            let value = all.next_value_seed(seed)?;
            let mut fits = |value: &Value| is_plain(value) && beyond.take(value.as_str().map_or(0, str::len));
            Some(value).filter(|value| of_map.is_some() || fits(value))
        } else {
            all.next_value::<IgnoredAny>()?;
            None
        };
        if let Some(value) = value {
            map.insert(key.into_owned(), value);
        }
    }
    Ok(map)
}

fn is_plain(value: &Value) -> bool {
    !value.is_null() && !value.is_array() && !value.is_object()
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
    let whole = how.of_map().or((how == How::Whole).then_some(OfMap::Members));
    if let Some(of_map) = whole {
        let value = all.next_value_seed(Within { budget, of_map })?;
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
    type Value = Lean<K>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
        let (mut map, mut over) = (Map::new(), false);
        while let Some(key) = all.next_key::<Cow<'de, str>>()? {
            // A budget for each: what its author writes does not cost the object its name.
            let mut budget = Budget::of(BUDGET);
            let mut value = all.next_value_seed(Within { budget: &mut budget, of_map: OfMap::PlainBeyond })?;
            over |= budget.over;
            if budget.over && key != "metadata" {
                keep_plain(&mut value);
            }
            map.insert(key.into_owned(), value);
        }
        if over {
            return Ok(unreadable("it is larger than Bulkhead reads".to_owned(), map));
        }
        let remains = outline(&map);
        Ok(match serde_json::from_value::<K>(map.into()) {
            Ok(object) => Lean::from(DeserializeGuard(Ok(object))),
            Err(error) => unreadable(error.to_string(), remains),
        })
    }
}

/// A copy of the metadata, and of plain members.
fn outline(map: &Map<String, Value>) -> Map<String, Value> {
    let plain = |value: &Value| match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, member)| is_plain(member))
            .map(|(key, member)| (key.clone(), member.clone()))
            .collect(),
        other => other.clone(),
    };
    let short =
        |(key, value): (&String, &Value)| (key.clone(), if key == "metadata" { value.clone() } else { plain(value) });
    map.iter().map(short).collect()
}

/// Leaves the plain members of a map.
fn keep_plain(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| is_plain(member));
    }
}

fn unreadable<K: DeserializeOwned>(error: String, map: Map<String, Value>) -> Lean<K> {
    let metadata = map.get("metadata").and_then(|value| ObjectMeta::deserialize(value).ok()).unwrap_or_default();
    let object = DeserializeGuard(Err(InvalidObject { error, metadata }));
    Lean { object, remains: serde_json::from_value(map.into()).ok().map(Box::new) }
}

impl<'de, K: DeserializeOwned + Resource> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object(PhantomData))
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
        self.object.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.object.meta_mut()
    }
}

#[cfg(test)]
#[path = "lean_tests.rs"]
mod tests;
