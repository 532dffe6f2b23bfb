//! Reading and changing objects of any kind as JSON.
//!
//! Invariant: what is missing already (an object, its kind, its namespace) is no error; a wait ends at its time limit with
//! what it waited for and advice. Objects are never written back whole, so nothing unknown is lost.

use std::time::Duration;

use anyhow::{Context as _, bail};
use cluster::gone;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::{Client, Resource};
use serde_json::Value;

/// Fast enough for people, slow enough for the API server.
const POLL: Duration = Duration::from_secs(1);
/// Objects in one answer to a list.
const PAGE: u32 = 500;

/// The cluster, with the time that each step may wait.
pub(super) struct Access {
    client: Client,
    timeout: Duration,
}

/// One object: kind, namespace, name.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) kind: ApiResource,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// What a patch came to.
pub(super) enum Patched {
    Done,
    /// It was changed or removed in between: look again.
    Changed,
    /// The API server does not allow this change.
    Refused(String),
}

/// The kind of a type.
pub(super) fn kind<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

impl Target {
    /// The target of an object that was listed.
    pub(super) fn of(kind: &ApiResource, object: &Value) -> Self {
        Self {
            kind: kind.clone(),
            namespace: text(object, "/metadata/namespace").map(str::to_owned),
            name: text(object, "/metadata/name").unwrap_or_default().to_owned(),
        }
    }

    /// An object without namespace.
    pub(super) fn global(kind: &ApiResource, name: &str) -> Self {
        Self { kind: kind.clone(), namespace: None, name: name.to_owned() }
    }
}

/// As people write it: `Job science/train`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.kind, self.name),
            None => write!(f, "{} {}", self.kind.kind, self.name),
        }
    }
}

/// The string at a JSON pointer.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

impl Access {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// All objects of a kind that match; none if the kind does not exist.
    pub(super) async fn list(
        &self,
        kind: &ApiResource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> anyhow::Result<Vec<Value>> {
        let api = self.api(kind, namespace);
        let mut params = params.clone().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = match api.list(&params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(objects),
                page => page.with_context(|| format!("cannot list {}", kind.plural))?,
            };
            for object in page.items {
                objects.push(serde_json::to_value(object).with_context(|| format!("a {} cannot be read", kind.kind))?);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// One object, if it is there.
    pub(super) async fn get(&self, target: &Target) -> anyhow::Result<Option<Value>> {
        let found = self.api(&target.kind, target.namespace.as_deref()).get_opt(&target.name).await;
        let found = found.with_context(|| format!("cannot read {target}"))?;
        found.map(serde_json::to_value).transpose().with_context(|| format!("{target} cannot be read"))
    }

    /// Deletes an object with what it owns; false: it was not there.
    pub(super) async fn delete(&self, target: &Target, uid: Option<&str>) -> anyhow::Result<bool> {
        let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        let api = self.api(&target.kind, target.namespace.as_deref());
        let answer = api.delete(&target.name, &params).await;
        let done = gone::unless_gone(&api, &target.name, uid, answer).await;
        Ok(done.with_context(|| format!("cannot delete {target}"))?.is_some())
    }

    /// Sends a merge patch.
    pub(super) async fn patch(&self, target: &Target, patch: &Value) -> anyhow::Result<Patched> {
        let api = self.api(&target.kind, target.namespace.as_deref());
        match api.patch(&target.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(Patched::Done),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(Patched::Changed),
            Err(kube::Error::Api(status)) if status.code == 422 => Ok(Patched::Refused(status.message)),
            Err(error) => Err(error).with_context(|| format!("cannot change {target}")),
        }
    }

    /// Repeats `look` until it has nothing more to name. `look` may act.
    pub(super) async fn until_none(
        &self,
        advice: &str,
        look: impl AsyncFnMut() -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<()> {
        let left = self.at_most(self.timeout, look).await?;
        if !left.is_empty() {
            bail!("after {} s still there: {}; {advice}", self.timeout.as_secs(), shown(&left));
        }
        Ok(())
    }

    /// The same, for at most `limit`; what is still there then is no error.
    pub(super) async fn at_most(
        &self,
        limit: Duration,
        mut look: impl AsyncFnMut() -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Vec<String>> {
        let begun = tokio::time::Instant::now();
        loop {
            let left = look().await?;
            if left.is_empty() || begun.elapsed() >= limit.min(self.timeout) {
                return Ok(left);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn api(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }
}

/// A list for people: not all of a thousand names.
pub(super) fn shown(names: &[String]) -> String {
    const MOST: usize = 10;
    match names.len().checked_sub(MOST) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::batch::v1::Job;
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

    #[test]
    fn objects_are_named_as_people_write_them() {
        let job = json!({"metadata": {"namespace": "science", "name": "train"}});
        assert_eq!(Target::of(&kind::<Job>(), &job).to_string(), "Job science/train");
        assert_eq!(Target::global(&kind::<Node>(), "n1").to_string(), "Node n1");
    }

    #[test]
    fn long_lists_are_cut() {
        let names = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>();
        assert_eq!(shown(&names(2)), "0, 1");
        assert_eq!(shown(&names(10)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9");
        assert_eq!(shown(&names(12)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
