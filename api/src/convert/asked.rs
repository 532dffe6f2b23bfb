//! What a Job of the Job door asks for, as its record shows it: its pod in the words of the AWS Batch API.
//!
//! Invariant: only what the API has a word for; the rest is on the Job itself. Values of environment variables are left out: whoever may
//! read records need not be allowed to read Jobs. Judges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::jiff::Timestamp;
use model::job::JobId;
use model::keys;
use serde_json::{Map, Value, json};

use super::label;

/// What the record of a Job shows besides what the planner knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its job id.
    pub id: JobId,
    /// When it ended.
    pub stopped: Option<Timestamp>,
    /// Why it failed, in the Job controller's words.
    pub failure: Option<String>,
    /// `eksProperties.podProperties` as JSON; without what its containers are told if that is long.
    pub pod: Arc<str>,
}

impl Asked {
    /// `eksProperties.podProperties`.
    pub fn pod_properties(&self) -> Value {
        serde_json::from_str(&self.pod).unwrap_or_else(|_| json!({}))
    }
}

/// Longest text of a pod that is kept of each Job.
const LONGEST_POD: usize = 4 << 10;
/// What is left out of one that is longer.
const TOLD: [&str; 3] = ["env", "args", "command"];

/// A pod's properties as text that is not long.
fn text(mut pod: Value) -> Arc<str> {
    let whole = pod.to_string();
    if whole.len() <= LONGEST_POD {
        return whole.into();
    }
    for list in ["containers", "initContainers"] {
        for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(members) = container.as_object_mut() else { continue };
            members.retain(|name, _| !TOLD.contains(&name.as_str()));
        }
    }
    let rest = pod.to_string();
    if rest.len() <= LONGEST_POD { rest.into() } else { "{}".into() }
}

/// What the record of a Job shows; `None`: its id is not one of ours.
pub fn asked(job: &Job) -> Option<Asked> {
    let id = label(&job.metadata, keys::JOB_ID)?.parse().ok()?;
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ended = conditions
        .filter(|condition| condition.status == "True")
        .find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed"));
    let failure = ended.filter(|condition| condition.type_ == "Failed").map(|condition| {
        let words = [condition.reason.as_deref(), condition.message.as_deref()];
        words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ")
    });
    let spec = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    Some(Asked {
        id,
        stopped: ended.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
        failure,
        pod: text(spec.map_or_else(|| json!({}), pod)),
    })
}

fn pod(spec: &PodSpec) -> Value {
    let list = |containers: &[Container]| containers.iter().map(container).collect::<Vec<_>>();
    let mut pod = Map::from_iter([("containers".to_owned(), json!(list(&spec.containers)))]);
    if let Some(init) = spec.init_containers.as_deref().filter(|init| !init.is_empty()) {
        pod.insert("initContainers".to_owned(), json!(list(init)));
    }
    let mut put = |name: &str, value: Option<Value>| drop(value.map(|value| pod.insert(name.to_owned(), value)));
    put("serviceAccountName", spec.service_account_name.as_ref().map(|name| json!(name)));
    put("hostNetwork", spec.host_network.map(|it| json!(it)));
    Value::Object(pod)
}

fn container(container: &Container) -> Value {
    let mut shown = Map::from_iter([("name".to_owned(), json!(container.name))]);
    let mut put = |name: &str, value: Option<Value>| drop(value.map(|value| shown.insert(name.to_owned(), value)));
    put("image", container.image.as_ref().map(|image| json!(image)));
    put("command", container.command.as_ref().map(|words| json!(words)));
    put("args", container.args.as_ref().map(|words| json!(words)));
    let env = container.env.iter().flatten().filter(|variable| variable.value_from.is_none());
    let env: Vec<Value> = env.map(|variable| json!({"name": variable.name})).collect();
    put("env", (!env.is_empty()).then(|| json!(env)));
    let amounts = |amounts: Option<&BTreeMap<String, Quantity>>| {
        amounts.filter(|amounts| !amounts.is_empty()).map(|amounts| {
            let texts = amounts.iter().map(|(name, amount)| (name.clone(), json!(amount.0)));
            Value::Object(texts.collect())
        })
    };
    if let Some(resources) = &container.resources {
        let mut all = Map::new();
        all.extend(amounts(resources.limits.as_ref()).map(|it| ("limits".to_owned(), it)));
        all.extend(amounts(resources.requests.as_ref()).map(|it| ("requests".to_owned(), it)));
        put("resources", (!all.is_empty()).then_some(Value::Object(all)));
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_shown_in_the_words_of_the_api() {
        let job: Job = serde_json::from_value(json!({
            "metadata": {"name": "pi", "labels": {keys::JOB_ID: "2d044787-c663-4ce6-a6fe-f2baf7e51b04"}},
            "spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "pi", "image": "perl", "command": ["perl"], "args": ["-v"],
                    "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "resources": {"requests": {"cpu": "1"}},
                }],
            }}},
            "status": {"conditions": [{
                "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }]},
        }))
        .unwrap();
        let asked = asked(&job).unwrap();
        assert_eq!(asked.failure.as_deref(), Some("BackoffLimitExceeded: too many"));
        assert_eq!(asked.stopped, Some("2026-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!(
            asked.pod_properties(),
            json!({"containers": [{
                "name": "pi", "image": "perl", "command": ["perl"], "args": ["-v"],
                "env": [{"name": "A"}], "resources": {"requests": {"cpu": "1"}},
            }]})
        );
    }

    #[test]
    fn of_a_long_pod_what_its_containers_are_told_is_left_out() {
        let container = |args: usize| json!({"name": "c", "image": "i", "args": vec!["a"; args]});
        let short = json!({"containers": [container(10)]});
        assert_eq!(serde_json::from_str::<Value>(&text(short.clone())).unwrap(), short);
        assert_eq!(&*text(json!({"containers": [container(10_000)]})), r#"{"containers":[{"image":"i","name":"c"}]}"#);
        assert_eq!(&*text(json!({"containers": vec![container(0); 1000]})), "{}");
    }

    #[test]
    fn a_job_without_an_id_of_ours_has_no_record() {
        let job = |id: &str| serde_json::from_value(json!({"metadata": {"labels": {keys::JOB_ID: id}}})).unwrap();
        assert_eq!(asked(&job("x")), None);
        assert_eq!(asked(&Job::default()), None);
    }
}
