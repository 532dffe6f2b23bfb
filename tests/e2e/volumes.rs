//! Jobs of the API with volumes: kube-scheduler judges where a claim can be had, and a volume that does not mount ends its job.

use anyhow::{Context as _, Result, ensure};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, Site, attempts, brief, together};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "jobs of the API go where their claims can be had, and end if a volume does not mount",
        short: "vol",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(volumes(fixture)),
    }]
}

async fn volumes(fixture: &Fixture) -> Result<()> {
    let site = Site::with_node(fixture, "1", "1Gi").await?;
    together(vec![
        ("a claim on another node", Box::pin(elsewhere(fixture, &site))),
        ("a claim that does not exist yet", Box::pin(late(fixture, &site))),
        ("a volume that does not mount", Box::pin(unmounted(&site))),
        ("a volume that cannot be attached", Box::pin(unattached(fixture, &site))),
    ])
    .await
}

/// Submits a job with a volume at `/data`.
async fn submit(site: &Site, what: &str, script: &str, volume: &Value) -> Result<String> {
    let mut volume = volume.clone();
    volume["name"] = json!("data");
    let container = json!({
        "image": "docker.io/library/busybox",
        "command": ["sh", "-c", script],
        "resources": {"requests": {"cpu": "0.25", "memory": "16Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let pod = json!({"containers": [container], "volumes": [volume]});
    let name = site.definition(what);
    let body = json!({"jobDefinitionName": name, "type": "container", "eksProperties": {"podProperties": pod}});
    site.aws.call("RegisterJobDefinition", &body).await?;
    site.aws.submit(&site.queue, &name, &json!({"retryStrategy": {"attempts": 3}})).await
}

fn claim(name: &str) -> Value {
    json!({"persistentVolumeClaim": {"claimName": name}})
}

/// A volume on one node, of a class of its own, bound when the first pod comes; and, unless it comes later, a claim for it.
async fn volume(fixture: &Fixture, what: &str, node: &str) -> Result<(String, String)> {
    let name = fixture.named(what);
    let path = std::env::temp_dir().join(&name);
    for kind in ["persistentvolume", "storageclass"] {
        fixture.owns(kind, &name);
    }
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let on_node = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [node]});
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": path, "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [class, volume]});
    fixture.apply("default", &list.to_string()).await?;
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": what},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": name, "resources": {"requests": {"storage": "1Mi"}},
        },
    });
    Ok((path.display().to_string(), claim.to_string()))
}

/// The volume is on a node that joins later; the one that is there has room and is refused.
async fn elsewhere(fixture: &Fixture, site: &Site) -> Result<()> {
    let node = fixture.named("b");
    let (path, claims) = volume(fixture, "far", &node).await?;
    fixture.apply(&site.namespace, &claims).await?;
    let id = submit(site, "far", "echo far > /data/out", &claim("far")).await?;
    let said = site.aws.says(&id, "STARTING", "SCHEDULING:KUBE_SCHEDULER - ").await?;
    ensure!(said.contains("persistent volumes"), "it says {said}");
    let labelled = fixture.label_node(&site.environment, "b", "1", "1Gi").await?;
    ensure!(labelled == node, "the node is {labelled}, not {node}");
    let job = site.aws.reaches(&id, "SUCCEEDED").await?;
    ensure!(attempts(&job).len() == 1, "it waited in one attempt: {}", brief(&job));
    let attempt = &attempts(&job)[0];
    ensure!(attempt["nodeName"] == node.as_str(), "the volume is on {node}: {attempt}");
    let written = std::fs::read_to_string(format!("{path}/out")).context("the volume")?;
    ensure!(written == "far\n", "it wrote {written:?}");
    let pod = fixture.pods(&site.namespace).get(attempt["podName"].as_str().unwrap_or_default()).await?;
    let uid = fixture.nodes().get(&node).await?.metadata.uid;
    let said = pod.metadata.annotations.as_ref().and_then(|all| all.get(keys::NODE_UID));
    ensure!(said == uid.as_ref(), "the node is {uid:?}, the pod says {said:?}");
    // What was written belongs to the test.
    std::fs::remove_dir_all(path)?;
    Ok(())
}

/// kube-scheduler says what is missing, and goes on when it is there.
async fn late(fixture: &Fixture, site: &Site) -> Result<()> {
    let (path, claims) = volume(fixture, "late", &fixture.named("n")).await?;
    let id = submit(site, "late", "test -d /data", &claim("late")).await?;
    let said = site.aws.says(&id, "STARTING", "SCHEDULING:KUBE_SCHEDULER - ").await?;
    ensure!(said.contains("\"late\" not found"), "it says {said}");
    fixture.apply(&site.namespace, &claims).await?;
    site.aws.reaches(&id, "SUCCEEDED").await?;
    std::fs::remove_dir_all(path)?;
    Ok(())
}

/// It says why it does not start, and ends, however many attempts there are (`--mount-patience`).
async fn unmounted(site: &Site) -> Result<()> {
    let id = submit(site, "none", "true", &json!({"secret": {"secretName": "none"}})).await?;
    let said = site.aws.says(&id, "STARTING", "FailedMount: ").await?;
    // A busy kubelet has not even asked for the secret in time; it names the volume in any case.
    ensure!(said.contains("\"data\""), "it says {said}");
    let job = site.aws.reaches(&id, "FAILED").await?;
    ensure!(job["statusReason"] == said.as_str(), "it said {said}; now it is {}", brief(&job));
    ensure!(attempts(&job).len() <= 1 && job.get("startedAt").is_none(), "it never ran: {job:#}");
    Ok(())
}

/// Its driver is nowhere, which takes Kubernetes two minutes to say; not the kubelet, but the controller that attaches volumes says it.
async fn unattached(fixture: &Fixture, site: &Site) -> Result<()> {
    let name = fixture.named("csi");
    fixture.owns("persistentvolume", &name);
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain", "csi": {"driver": "nowhere.example.com", "volumeHandle": name},
        },
    });
    let claims = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "csi"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name,
            "resources": {"requests": {"storage": "1Mi"}},
        },
    });
    fixture.apply("default", &volume.to_string()).await?;
    fixture.apply(&site.namespace, &claims.to_string()).await?;
    let id = submit(site, "csi", "true", &claim("csi")).await?;
    let job = site.aws.reaches(&id, "FAILED").await?;
    let said = job["statusReason"].as_str().unwrap_or_default();
    // A kubelet to which the claim is not known yet says so first.
    let by_kubelet = said.starts_with("FailedMount: ") && said.contains("csi");
    let by_controller = said.starts_with("FailedAttachVolume: ") && said.contains(&name);
    ensure!(by_kubelet || by_controller, "it is {}", brief(&job));
    ensure!(attempts(&job).len() <= 1 && job.get("startedAt").is_none(), "it never ran: {job:#}");
    Ok(())
}
