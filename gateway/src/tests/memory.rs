//! Objects in memory, as simple as they can be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use kube::ResourceExt as _;
use serde_json::{Value, json};

use crate::*;

#[derive(Clone, Default)]
pub(super) struct MemoryObjects(Arc<Mutex<BTreeMap<(String, String), Value>>>);

impl MemoryObjects {
    /// Does what the controller does.
    pub(super) fn validate(&self) {
        for object in self.0.lock().unwrap().values_mut() {
            object["status"] = json!({"status": "VALID", "statusReason": "Healthy"});
        }
    }

    /// Does what an admin may do.
    pub(super) fn allow_privileged(&self, name: &str) {
        let mut all = self.0.lock().unwrap();
        all.get_mut(&("ComputeEnvironment".to_owned(), name.to_owned())).unwrap()["spec"]["allowPrivileged"] =
            json!(true);
    }

    /// kubectl writes tags.
    pub(super) fn set_tags(&self, kind: &str, name: &str, tags: &Value) {
        let mut objects = self.0.lock().unwrap();
        objects.get_mut(&(kind.to_owned(), name.to_owned())).unwrap()["spec"]["aws"]["tags"] = tags.clone();
    }

    pub(super) fn get(&self, kind: &str, name: &str) -> Value {
        self.0.lock().unwrap()[&(kind.to_owned(), name.to_owned())].clone()
    }

    fn key<K: Kind>(name: &str) -> (String, String) {
        (K::kind(&()).into_owned(), name.to_owned())
    }
}

impl Objects for MemoryObjects {
    async fn list<K: Kind>(&self) -> Result<Vec<K>, ObjectError> {
        let all = self.0.lock().unwrap();
        let kind = K::kind(&());
        let of_kind = all.iter().filter(|((it, _), _)| *it == kind);
        Ok(of_kind.map(|(_, object)| serde_json::from_value(object.clone()).unwrap()).collect())
    }

    async fn create<K: Kind>(&self, mut object: K) -> Result<K, ObjectError> {
        let mut all = self.0.lock().unwrap();
        object.meta_mut().resource_version = Some("1".to_owned());
        let key = Self::key::<K>(&object.name_any());
        if all.contains_key(&key) {
            return Err(ObjectError::Taken);
        }
        all.insert(key, serde_json::to_value(&object).unwrap());
        Ok(object)
    }

    async fn replace<K: Kind>(&self, mut object: K) -> Result<K, ObjectError> {
        let mut all = self.0.lock().unwrap();
        let stored = all.get_mut(&Self::key::<K>(&object.name_any())).ok_or(ObjectError::Gone)?;
        if stored["metadata"]["resourceVersion"] != json!(object.resource_version()) {
            return Err(ObjectError::Changed);
        }
        let next = object.resource_version().unwrap().parse::<u32>().unwrap() + 1;
        object.meta_mut().resource_version = Some(next.to_string());
        *stored = serde_json::to_value(&object).unwrap();
        Ok(object)
    }

    async fn delete<K: Kind>(&self, object: &K) -> Result<(), ObjectError> {
        self.0.lock().unwrap().remove(&Self::key::<K>(&object.name_any())).map(drop).ok_or(ObjectError::Gone)
    }
}
