//! What is reviewed: a pod of about 5 KB as the Job controller makes it, and the review in which the API server sends it.
//!
//! Invariant: of two requests, and of two answers, only the uid differs.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Pod;
use model::keys;
use serde_json::{Value, json};

/// Namespace, queue and environment have the same name.
pub(super) const NAMESPACE: &str = "bench-admission";

/// A text around a uid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Around {
    /// Splits a text where the uid is.
    pub(super) fn split(text: &[u8], uid: &str) -> Result<Self> {
        let places: Vec<usize> =
            text.windows(uid.len()).enumerate().filter(|(_, it)| *it == uid.as_bytes()).map(|(at, _)| at).collect();
        let [at] = places[..] else { anyhow::bail!("the uid {uid} is there {} times", places.len()) };
        Ok(Self { before: text[..at].to_vec(), after: text[at + uid.len()..].to_vec() })
    }

    /// The text with another uid.
    pub(super) fn with(&self, uid: &str) -> Vec<u8> {
        [&self.before, uid.as_bytes(), &self.after].concat()
    }

    /// Whether a text is this one with that uid.
    pub(super) fn is(&self, text: &[u8], uid: &str) -> bool {
        text.strip_prefix(&self.before[..]).and_then(|text| text.strip_suffix(&self.after[..])) == Some(uid.as_bytes())
    }
}

/// The uid of a request by its number.
pub(super) fn uid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The review of the pod.
pub(super) fn review() -> Result<Around> {
    let uid = uid(0);
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {
                "username": "system:serviceaccount:kube-system:job-controller",
                "uid": "6b5f0c9e-3f6f-4f0e-8a0c-2f0f3f1c7d11",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
            },
            "object": of_a_job(),
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    Around::split(review.to_string().as_bytes(), &uid)
}

/// An answer, once it is known that it is right: it lets the pod in, and makes it a pod of the queue.
pub(super) fn right_answer(answer: &[u8], uid: &str) -> Result<Around> {
    let read: Value = serde_json::from_slice(answer).context("the answer is no JSON")?;
    let response = &read["response"];
    ensure!(response["allowed"] == true && response["uid"] == uid, "the pod is not let in: {read}");
    let patch: ByteString = serde_json::from_value(response["patch"].clone()).context("the answer has no patch")?;
    let patch: json_patch::Patch = serde_json::from_slice(&patch.0).context("the patch is no JSON patch")?;
    let mut pod = of_a_job();
    json_patch::patch(&mut pod, &patch).context("the patch does not apply")?;
    ensure!(is_queued(&serde_json::from_value(pod)?), "the patch makes no pod of the queue: {patch}");
    Around::split(answer, uid)
}

/// Whether the whole contract was applied to a pod: its first and its last part are there.
pub(super) fn is_queued(pod: &Pod) -> bool {
    let label = pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(keys::JOB_ID));
    let spec = pod.spec.as_ref().is_some_and(|spec| {
        let tolerates = spec.tolerations.iter().flatten().any(|it| it.key.as_deref() == Some(keys::BATCH_TAINT));
        tolerates && spec.scheduler_name.as_deref() == Some(keys::SCHEDULER_DIRECT)
    });
    label && spec
}

/// The pod as a user would write it; with a queue it is one of it.
pub(super) fn written(queue: Option<&str>) -> Result<Pod> {
    let labels = match queue {
        Some(queue) => json!({"app.kubernetes.io/name": "simulation", keys::QUEUE: queue}),
        None => json!({"app.kubernetes.io/name": "simulation"}),
    };
    Ok(serde_json::from_value(json!({"metadata": {"labels": labels}, "spec": spec()}))?)
}

/// The pod as a Job's controller makes it, with what the API server has added by the time it calls.
pub(super) fn of_a_job() -> Value {
    let mut spec = spec();
    let token = json!({"name": "kube-api-access-7xk2p", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["terminationMessagePath"] = json!("/dev/termination-log");
            container["terminationMessagePolicy"] = json!("File");
            container["imagePullPolicy"] = json!("IfNotPresent");
            container["volumeMounts"].as_array_mut().into_iter().for_each(|mounts| mounts.push(token.clone()));
        }
    }
    spec["volumes"].as_array_mut().into_iter().for_each(|volumes| volumes.push(token_volume()));
    spec["serviceAccount"] = json!("default");
    spec["serviceAccountName"] = json!("default");
    spec["enableServiceLinks"] = json!(true);
    spec["preemptionPolicy"] = json!("PreemptLowerPriority");
    spec["priority"] = json!(0);
    spec["tolerations"] = ["not-ready", "unreachable"]
        .map(|key| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}))
        .into();
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata(), "spec": spec, "status": {}})
}

fn metadata() -> Value {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "simulation-28402",
        "uid": "2d0d7c60-7c0f-4d0e-9f0b-6f1d0b9a2c55", "controller": true, "blockOwnerDeletion": true});
    json!({
        "generateName": "simulation-28402-",
        "namespace": NAMESPACE,
        "labels": {
            "app.kubernetes.io/name": "simulation",
            "batch.kubernetes.io/controller-uid": "2d0d7c60-7c0f-4d0e-9f0b-6f1d0b9a2c55",
            keys::K8S_JOB_NAME: "simulation-28402",
            keys::JOB_ID: "3c1e6a0e-52d8-4a63-9d0c-0d3f5c1b7a92",
            keys::QUEUE: NAMESPACE,
        },
        "annotations": {"example.com/cost-center": "research-4711"},
        "finalizers": ["batch.kubernetes.io/job-tracking"],
        "ownerReferences": [job],
        "managedFields": [managed_fields()],
    })
}

fn managed_fields() -> Value {
    let all = json!({".": {}, "f:args": {}, "f:command": {}, "f:env": {".": {}, "k:{\"name\":\"INPUT\"}": {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {".": {}, "f:limits": {}, "f:requests": {}},
        "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}, "f:volumeMounts": {}});
    json!({
        "manager": "kube-controller-manager",
        "operation": "Update",
        "apiVersion": "v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {
                "f:finalizers": {".": {}, "v:\"batch.kubernetes.io/job-tracking\"": {}},
                "f:generateName": {},
                "f:labels": {".": {}, "f:app.kubernetes.io/name": {}, "f:batch.kubernetes.io/job-name": {}},
                "f:ownerReferences": {".": {}, "k:{\"uid\":\"2d0d7c60-7c0f-4d0e-9f0b-6f1d0b9a2c55\"}": {}},
            },
            "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": all, "k:{\"name\":\"upload\"}": {}}, "f:restartPolicy": {}},
        },
    })
}

fn spec() -> Value {
    json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000},
        "initContainers": [container("fetch", &["sh", "-c", "cp -r /inputs/$(INPUT) /work/"])],
        "containers": [
            container("main", &["simulate", "--steps", "200000", "--input", "/work/$(INPUT)", "--output", "/work/out"]),
            container("upload", &["upload", "--watch", "/work/out", "--target", "s3://results/simulation/28402"]),
        ],
        "volumes": [
            {"name": "work", "emptyDir": {"sizeLimit": "10Gi"}},
            {"name": "settings", "configMap": {"name": "simulation-settings", "defaultMode": 420}},
        ],
    })
}

fn container(name: &str, command: &[&str]) -> Value {
    json!({
        "name": name,
        "image": "registry.example.com/research/simulation:2026.1.4",
        "command": command,
        "env": [
            {"name": "INPUT", "value": "set-28402"},
            {"name": "OMP_NUM_THREADS", "value": "2"},
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        ],
        "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "4Gi"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}, {"name": "settings", "mountPath": "/etc/simulation", "readOnly": true}],
    })
}

fn token_volume() -> Value {
    json!({"name": "kube-api-access-7xk2p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_has_about_5_kb_and_is_one() {
        let pod = of_a_job();
        let length = pod.to_string().len();
        assert!((4_500..5_500).contains(&length), "{length} bytes");
        let typed: Pod = serde_json::from_value(pod).unwrap();
        assert!(!is_queued(&typed));
        assert!(!is_queued(&written(Some("q")).unwrap()));
    }

    #[test]
    fn a_text_is_told_by_everything_but_its_uid() {
        let around = Around::split(b"a-1-b", "1").unwrap();
        assert_eq!(around.with("22"), b"a-22-b");
        assert!(around.is(b"a-22-b", "22"));
        for (text, uid) in [("a-22-b", "2"), ("a-22-c", "22"), ("", "22"), ("a--b", "22")] {
            assert!(!around.is(text.as_bytes(), uid), "{text}");
        }
        assert!(Around::split(b"1 and 1", "1").is_err());
        assert!(Around::split(b"none", "1").is_err());
    }

    #[test]
    fn an_answer_that_changes_nothing_is_not_right() {
        let uid = uid(7);
        let answer = json!({"response": {"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": "W10="}});
        let error = right_answer(answer.to_string().as_bytes(), &uid).unwrap_err();
        assert!(error.to_string().contains("makes no pod of the queue"), "{error}");
    }
}
