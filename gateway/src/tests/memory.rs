//! Stores in memory, as simple as they can be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use kube::ResourceExt as _;
use model::job::{JobId, JobRecord, Stop};
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

#[derive(Clone, Default)]
pub(super) struct MemoryRecords(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    jobs: Vec<Kept>,
    definitions: Vec<Definition>,
}

impl MemoryRecords {
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut JobRecord)) {
        change(&mut self.0.lock().unwrap().jobs.iter_mut().find(|job| job.record.id.to_string() == id).unwrap().record);
    }

    pub(super) fn first(&self) -> Kept {
        self.0.lock().unwrap().jobs[0].clone()
    }
}

fn page<T: Clone>(items: &[T], after: Option<&str>, limit: u32) -> Result<Page<T>, RecordsError> {
    let start = after.map_or(Ok(0), str::parse).map_err(|_| RecordsError::Invalid("no token of a page".to_owned()))?;
    let end = items.len().min(start + limit as usize);
    Ok(Page { items: items[start..end].to_vec(), next: (end < items.len()).then(|| end.to_string()) })
}

impl Records for MemoryRecords {
    async fn submit(&self, submission: Submission) -> Result<(), RecordsError> {
        let Submission { record, spec } = submission;
        let children = spec.array_size.map(|_| BTreeMap::new());
        let kept = |record| Kept { record, spec: spec.clone(), attempts: vec![], children: None, requested: None };
        let mut stored = self.0.lock().unwrap();
        for index in 0..spec.array_size.unwrap_or(0) {
            stored.jobs.push(kept(JobRecord { id: record.id.with_child(index), ..record.clone() }));
        }
        stored.jobs.push(Kept { children, ..kept(record) });
        Ok(())
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Kept>, RecordsError> {
        Ok(self.0.lock().unwrap().jobs.iter().filter(|job| ids.contains(&job.record.id)).cloned().collect())
    }

    async fn list(&self, filter: &Filter, after: Option<&str>, limit: u32) -> Result<Page<Kept>, RecordsError> {
        let named = |job: &Kept| match &filter.by {
            Some(By::Name(Pattern::Exact(name))) => job.spec.name == *name,
            _ => true,
        };
        let of = |job: &Kept| match &filter.scope {
            Scope::Queue(queue) => job.spec.queue == *queue && job.record.id.child.is_none(),
            Scope::Children(parent) => job.record.id.job == *parent && job.record.id.child.is_some(),
        };
        let state = |job: &Kept| filter.state.is_none_or(|state| job.record.state == state);
        let jobs = &self.0.lock().unwrap().jobs;
        let found: Vec<Kept> = jobs.iter().filter(|job| of(job) && state(job) && named(job)).cloned().collect();
        page(&found, after, limit)
    }

    async fn request_stop(&self, request: &Request) -> Result<(), RecordsError> {
        let mut stored = self.0.lock().unwrap();
        let job = stored.jobs.iter_mut().find(|job| job.record.id == request.id).unwrap();
        job.requested = Some(request.stop.clone());
        Ok(())
    }

    async fn request_stop_of_queue(&self, queue: &str, stop: &Stop) -> Result<(), RecordsError> {
        let mut stored = self.0.lock().unwrap();
        for job in stored.jobs.iter_mut().filter(|job| job.spec.queue == queue) {
            job.requested = Some(stop.clone());
        }
        Ok(())
    }

    async fn register(&self, name: &str, body: &Value, at: Timestamp) -> Result<u32, RecordsError> {
        let definitions = &mut self.0.lock().unwrap().definitions;
        let revision = 1 + u32::try_from(definitions.iter().filter(|it| it.name == name).count()).unwrap();
        definitions.push(Definition { name: name.to_owned(), revision, active: true, body: body.clone(), created: at });
        Ok(revision)
    }

    async fn definition(&self, name: &str, revision: Option<u32>) -> Result<Option<Arc<Definition>>, RecordsError> {
        let definitions = &self.0.lock().unwrap().definitions;
        let wanted =
            |it: &&Definition| it.name == name && revision.map_or(it.active, |revision| it.revision == revision);
        Ok(definitions.iter().rev().find(wanted).cloned().map(Arc::new))
    }

    async fn definitions(
        &self,
        ids: Option<&[(String, Option<u32>)]>,
        name: Option<&str>,
        active: Option<bool>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Definition>, RecordsError> {
        let listed = |it: &Definition| {
            ids.is_none_or(|ids| {
                ids.iter().any(|(name, rev)| *name == it.name && rev.is_none_or(|rev| rev == it.revision))
            })
        };
        let wanted = |it: &&Definition| {
            listed(it) && name.is_none_or(|name| name == it.name) && active.is_none_or(|active| active == it.active)
        };
        let found: Vec<Definition> = self.0.lock().unwrap().definitions.iter().filter(wanted).cloned().collect();
        page(&found, after, limit)
    }

    async fn deregister(&self, name: &str, revision: u32, _at: Timestamp) -> Result<(), RecordsError> {
        let definitions = &mut self.0.lock().unwrap().definitions;
        for it in definitions.iter_mut().filter(|it| it.name == name && it.revision == revision) {
            it.active = false;
        }
        Ok(())
    }
}
