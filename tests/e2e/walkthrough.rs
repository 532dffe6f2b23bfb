//! AWS Batch's own walk-through for Amazon EKS (<https://docs.aws.amazon.com/batch/latest/userguide/getting-started-eks.html>), typed
//! as it is printed there into the unmodified AWS CLI. Names are the document's; the image is one that the cluster has, and jobs
//! sleep for a shorter time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::LogParams;
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture, attempts, brief, eventually, eventually_for, id_of, job, steadily, together};

use crate::{Company, Scenario};

const NAMESPACE: &str = "my-aws-batch-namespace";
const ENVIRONMENT: &str = "My-Eks-CE1";
const QUEUE: &str = "My-Eks-JQ1";
const DEFINITION: &str = "MyJobOnEks_Sleep";
/// A definition whose image is nowhere.
const NO_IMAGE: &str = "MyJobOnEks_NoImage";
const IMAGE: &str = "docker.io/library/no-such-image:1";
/// A machine has to boot first.
const PATIENCE: Duration = Duration::from_mins(4);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "the walk-through of AWS Batch on Amazon EKS runs as printed, with the unmodified AWS CLI",
            short: "walk",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(walk_through(fixture)),
        },
        Scenario {
            name: "an environment whose namespace does not exist is INVALID, says what to do, and is used once that is done",
            short: "nons",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(without_namespace(fixture)),
        },
        Scenario {
            name: "a Job made with kubectl in a queue's namespace is listed by the AWS CLI and by `bulkhead jobs`, and can be waited for",
            short: "both",
            company: Company::Others,
            local_only: true,
            run: |fixture| Box::pin(kubectl_job_is_listed(fixture)),
        },
    ]
}

async fn walk_through(fixture: &Fixture) -> Result<()> {
    let aws = Aws::of(&fixture.world).await?;
    prepare_cluster(fixture).await?;
    make_environment_and_queue(fixture, &aws).await?;
    let registered = aws.run_json("register-job-definition", &sleep_definition()).await?;
    let arn = registered["jobDefinitionArn"].as_str().unwrap_or_default();
    ensure!(arn.contains(&format!(":job-definition/{DEFINITION}:")), "register-job-definition answered {registered}");
    together(vec![
        ("the job that sleeps", Box::pin(sleeps(fixture, &aws))),
        ("the job with overrides", Box::pin(overrides(fixture, &aws))),
        ("the job without image", Box::pin(without_image(fixture, &aws))),
    ])
    .await
}

async fn without_namespace(fixture: &Fixture) -> Result<()> {
    let (aws, namespace) = (Aws::of(&fixture.world).await?, fixture.named("ns"));
    fixture.owns_namespace(&namespace);
    let environment = fixture.unmanaged_in("ce", &namespace).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.ends_jobs_of(&queue);
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let is = async |wanted: &str| {
        eventually(&format!("{environment} is {wanted}"), || async {
            let described = aws.run(&["describe-compute-environments", "--compute-environments", &environment]).await?;
            let one = &described["computeEnvironments"][0];
            let reason = one["statusReason"].as_str().unwrap_or_default().to_owned();
            Ok(if one["status"] == wanted { Ok(reason) } else { Err(format!("{} {reason}", one["status"])) })
        })
        .await
    };
    let reason = is("INVALID").await?;
    let (beginning, advice) =
        ("CLIENT_ERROR - Unable to validate Kubernetes Namespace", format!("kubectl create namespace {namespace}"));
    ensure!(reason.starts_with(beginning) && reason.contains(&advice), "it says {reason}");
    let definition = aws.define(&queue, "0.25", "true", &json!({})).await?;
    let id = aws.submit(&queue, &definition, &json!({})).await?;
    aws.says(&id, "RUNNABLE", "MISCONFIGURATION:COMPUTE_ENVIRONMENT_INVALID").await?;
    fixture.world.kubectl(&["create", "namespace", &namespace]).await?;
    let reason = is("INVALID").await?;
    ensure!(reason.contains("may not create pods") || reason.contains("does not exist"), "it says {reason}");
    fixture.world.bulkhead(&["namespace", "enable", &namespace]).await?;
    aws.reaches(&id, "SUCCEEDED").await?;
    is("VALID").await.map(drop)
}

/// Step 1: the namespace and the rights of the cluster that the document gives to AWS Batch.
async fn prepare_cluster(fixture: &Fixture) -> Result<()> {
    fixture.owns_namespace(NAMESPACE);
    fixture.owns("clusterrole", "aws-batch-cluster-role");
    fixture.owns("clusterrolebinding", "aws-batch-cluster-role-binding");
    let allow = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let (look, rbac) = (["get", "list", "watch"], "rbac.authorization.k8s.io");
    let user = json!([{"kind": "User", "name": "aws-batch", "apiGroup": rbac}]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"name": NAMESPACE}}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "aws-batch-cluster-role"},
            "rules": [
                allow("", &["namespaces"], &["get"]),
                allow("", &["nodes", "pods", "configmaps"], &look),
                allow("apps", &["daemonsets", "deployments", "statefulsets", "replicasets"], &look),
                allow(rbac, &["clusterroles", "clusterrolebindings"], &["get", "list"]),
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "aws-batch-cluster-role-binding"}, "subjects": user,
            "roleRef": {"kind": "ClusterRole", "name": "aws-batch-cluster-role", "apiGroup": rbac},
        },
    ]});
    fixture.world.apply(&list.to_string()).await.map(drop)
}

/// The rest of step 1: the rights in the namespace.
async fn prepare_namespace(fixture: &Fixture) -> Result<()> {
    let allow = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let rbac = "rbac.authorization.k8s.io";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "aws-batch-compute-environment-role", "namespace": NAMESPACE},
            "rules": [
                allow("", &["pods"], &["create", "get", "list", "watch", "delete", "patch"]),
                allow("", &["serviceaccounts"], &["get", "list"]),
                allow(rbac, &["roles", "rolebindings"], &["get", "list"]),
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "aws-batch-compute-environment-role-binding", "namespace": NAMESPACE},
            "subjects": [{"kind": "User", "name": "aws-batch", "apiGroup": rbac}],
            "roleRef": {"kind": "Role", "name": "aws-batch-compute-environment-role", "apiGroup": rbac},
        },
    ]});
    fixture.world.apply(&list.to_string()).await.map(drop)
}

/// Steps 2 and 3.
async fn make_environment_and_queue(fixture: &Fixture, aws: &Aws) -> Result<()> {
    fixture.owns_of_api(&[ENVIRONMENT], &[QUEUE]);
    let made = aws.run_json("create-compute-environment", &environment()).await?;
    ensure!(made["computeEnvironmentName"] == ENVIRONMENT, "create-compute-environment answered {made}");
    let is = async |wanted: &str| {
        eventually(&format!("{ENVIRONMENT} is {wanted}"), || async {
            let described = aws.run(&["describe-compute-environments", "--compute-environments", ENVIRONMENT]).await?;
            let one = described["computeEnvironments"][0].clone();
            Ok(if one["status"] == wanted {
                Ok(one)
            } else {
                Err(format!("{} {}", one["status"], one["statusReason"]))
            })
        })
        .await
    };
    // The document says to look at this before going on.
    let reason = is("INVALID").await?["statusReason"].as_str().unwrap_or_default().to_owned();
    ensure!(reason.starts_with("CLIENT_ERROR - Unable to validate Kubernetes Namespace"), "it says {reason}");
    for missing in ["aws-batch-compute-environment-role ", "aws-batch-compute-environment-role-binding "] {
        ensure!(reason.contains(missing), "it does not name {missing}: {reason}");
    }
    prepare_namespace(fixture).await?;
    let valid = is("VALID").await?;
    let shown = [&valid["computeEnvironmentArn"], &valid["containerOrchestrationType"]];
    ensure!(shown == [&made["computeEnvironmentArn"], &json!("EKS")], "described is {valid:#}");
    let kept = &valid["computeResources"];
    ensure!(kept["subnets"] == json!(["subnet-1"]) && kept["maxvCpus"] == 128, "computeResources are {kept}");

    let queue = json!({"jobQueueName": QUEUE, "priority": 10,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": ENVIRONMENT}]});
    let made = aws.run_json("create-job-queue", &queue).await?;
    ensure!(made["jobQueueName"] == QUEUE, "create-job-queue answered {made}");
    let described = aws.run(&["describe-job-queues", "--job-queues", QUEUE]).await?;
    let one = &described["jobQueues"][0];
    ensure!(one["state"] == "ENABLED" && one["priority"] == 10, "a queue is seen at once, as it was made: {described}");
    Ok(())
}

fn environment() -> Value {
    json!({
        "computeEnvironmentName": ENVIRONMENT,
        "type": "MANAGED",
        "state": "ENABLED",
        "eksConfiguration": {
            "eksClusterArn": "arn:aws:eks:us-east-1:123456789012:cluster/my-cluster",
            "kubernetesNamespace": NAMESPACE,
        },
        "computeResources": {
            "type": "EC2",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE",
            "minvCpus": 0,
            "maxvCpus": 128,
            "instanceTypes": ["m5"],
            "subnets": ["subnet-1"],
            "securityGroupIds": ["sg-1"],
            "instanceRole": "eks-instance-role",
        },
    })
}

/// Step 4.
fn sleep_definition() -> Value {
    json!({
        "jobDefinitionName": DEFINITION,
        "type": "container",
        "eksProperties": {"podProperties": {
            "hostNetwork": true,
            "containers": [{
                "image": "docker.io/library/busybox",
                // It ignores SIGTERM, like any first process that does not ask for it.
                "command": ["sleep", "30"],
                "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}},
            }],
            "metadata": {"labels": {"environment": "test"}},
        }},
    })
}

/// Step 5, and what the pod shows.
async fn sleeps(fixture: &Fixture, aws: &Aws) -> Result<()> {
    let args = ["submit-job", "--job-queue", QUEUE, "--job-definition", DEFINITION, "--job-name", "My-Eks-Job1"];
    let submitted = aws.run(&args).await?;
    ensure!(submitted["jobName"] == "My-Eks-Job1", "submit-job answered {submitted}");
    let id = id_of(&submitted)?;
    let running = described(aws, &id, "RUNNING").await?;
    let shown = &running["eksProperties"]["podProperties"];
    let of =
        |name: &str| shown[name].as_str().map(ToOwned::to_owned).with_context(|| format!("no {name} in {running:#}"));
    let (pod, node) = (of("podName")?, of("nodeName")?);
    ensure!(running["startedAt"].is_i64() && running.get("stoppedAt").is_none(), "times of {running:#}");
    shows_contract(fixture, &id, &pod, &node).await?;

    let done = described(aws, &id, "SUCCEEDED").await?;
    let [attempt] = attempts(&done) else { anyhow::bail!("attempts: {}", brief(&done)) };
    ensure!(attempt["podName"] == pod && attempt["nodeName"] == node, "it ran as {pod} on {node}; attempt {attempt}");
    let container = &attempt["containers"][0];
    ensure!(container["exitCode"] == 0 && container["reason"] == "Completed", "its container: {container}");
    let [created, started, stopped] = ["createdAt", "startedAt", "stoppedAt"].map(|name| done[name].as_i64());
    ensure!(created.is_some() && created < started && started < stopped, "times of {done:#}");
    ensure!(done["attempts"] == json!([]) && done.get("statusReason").is_none(), "{done:#}");
    Ok(())
}

/// What `kubectl describe pod aws-batch.<uuid>` shows, and what the container sees.
async fn shows_contract(fixture: &Fixture, id: &str, pod: &str, node: &str) -> Result<()> {
    ensure!(pod.starts_with("aws-batch."), "the pod's name is {pod}");
    let text = fixture.world.kubectl(&["describe", "pod", pod, "-n", NAMESPACE]).await?;
    let node_uid = fixture.nodes().get(node).await?.uid().context("the node has no UID")?;
    let environment = fixture.environment_uuid(&model::names::object_name(ENVIRONMENT)).await?;
    let labels = [
        (keys::CE_UUID, environment.as_str()),
        (keys::JOB_ID, id),
        (keys::NODE_UID, &node_uid),
        ("environment", "test"),
    ];
    for (key, value) in labels {
        ensure!(text.contains(&format!("{key}={value}")), "no label {key}={value}: {text}");
    }
    let env = fixture.world.kubectl(&["exec", "-n", NAMESPACE, pod, "--", "env"]).await?;
    for (name, value) in [
        ("AWS_BATCH_JOB_KUBERNETES_NODE_UID", node_uid.as_str()),
        ("AWS_BATCH_JOB_ID", id),
        ("AWS_BATCH_JQ_NAME", QUEUE),
        ("AWS_BATCH_JOB_ATTEMPT", "1"),
        ("AWS_BATCH_CE_NAME", ENVIRONMENT),
    ] {
        ensure!(text.contains(&format!("{name}:")), "kubectl describe does not show {name}: {text}");
        ensure!(env.lines().any(|line| line == format!("{name}={value}")), "no {name}={value} in the container: {env}");
    }
    ensure!(text.contains("Containers:\n  default:"), "the unnamed container is not called default: {text}");
    Ok(())
}

/// Step 6.
async fn overrides(fixture: &Fixture, aws: &Aws) -> Result<()> {
    let input = json!({
        "jobName": "EksWithOverrides", "jobQueue": QUEUE, "jobDefinition": DEFINITION,
        "eksPropertiesOverride": {"podProperties": {"containers": [{"command": ["/bin/sh"], "args": ["-c", "echo hello world"]}]}},
    });
    let id = id_of(&aws.run_json("submit-job", &input).await?)?;
    let done = described(aws, &id, "SUCCEEDED").await?;
    let [attempt] = attempts(&done) else { anyhow::bail!("attempts: {}", brief(&done)) };
    let pod = attempt["podName"].as_str().with_context(|| format!("no podName in {attempt}"))?;
    let text = fixture.pods(NAMESPACE).logs(pod, &LogParams::default()).await?;
    ensure!(text.trim() == "hello world", "it logged {text:?}");
    Ok(())
}

/// Step 7, of a definition that does not speak of hostNetwork.
async fn without_image(fixture: &Fixture, aws: &Aws) -> Result<()> {
    let mut definition = sleep_definition();
    definition["jobDefinitionName"] = json!(NO_IMAGE);
    let pod = &mut definition["eksProperties"]["podProperties"];
    pod["containers"][0]["image"] = json!(IMAGE);
    pod["containers"][0]["resources"]["limits"]["cpu"] = json!("0.25");
    pod.as_object_mut().context("it is an object")?.remove("hostNetwork");
    aws.run_json("register-job-definition", &definition).await?;
    let args = ["submit-job", "--job-queue", QUEUE, "--job-definition", NO_IMAGE, "--job-name", "NoImage"];
    let id = id_of(&aws.run(&args).await?)?;
    let stuck = || async {
        let job = aws.job(&id).await?;
        let reason = job["statusReason"].as_str().unwrap_or_default();
        let stuck = job["status"] == "STARTING" && reason.contains("no-such-image");
        Ok(if stuck { Ok(job) } else { Err(brief(&job)) })
    };
    let what = "the job without image is STARTING and says why";
    let job = eventually_for(PATIENCE, what, stuck).await?;
    steadily(Duration::from_secs(3), what, || async { Ok(stuck().await?.map(drop)) }).await?;
    let name = job["eksProperties"]["podProperties"]["podName"].as_str().with_context(|| format!("{job:#}"))?;
    let pod: Pod = fixture.pods(NAMESPACE).get(name).await?;
    let spec = pod.spec.unwrap_or_default();
    let network = (spec.host_network, spec.dns_policy.as_deref());
    ensure!(network == (Some(true), Some("ClusterFirstWithHostNet")), "hostNetwork and dnsPolicy are {network:?}");

    aws.run(&["terminate-job", "--job-id", &id, "--reason", "there is no such image"]).await?;
    let ended = described(aws, &id, "FAILED").await?;
    let told = (&ended["statusReason"], &ended["isTerminated"]);
    ensure!(told == (&json!("there is no such image"), &json!(true)), "after terminate-job it is {}", brief(&ended));
    eventually("its pod is gone or has ended", || async {
        let pod = fixture.pods(NAMESPACE).get_opt(name).await?;
        let phase = pod.and_then(|pod| pod.status).and_then(|status| status.phase);
        Ok(if matches!(phase.as_deref(), None | Some("Failed" | "Succeeded")) {
            Ok(())
        } else {
            Err(format!("{phase:?}"))
        })
    })
    .await
}

/// Waits, with `aws batch describe-jobs`, until a job is in a state.
async fn described(aws: &Aws, id: &str, state: &str) -> Result<Value> {
    let job = eventually_for(PATIENCE, &format!("job {id} is {state}"), || async {
        let described = aws.run(&["describe-jobs", "--jobs", id]).await?;
        let job = described["jobs"][0].clone();
        let now = job["status"].as_str().unwrap_or_default();
        Ok(if now == state || ["SUCCEEDED", "FAILED"].contains(&now) { Ok(job) } else { Err(brief(&job)) })
    })
    .await?;
    ensure!(job["status"] == state, "job {id} was to be {state}; it is {}", brief(&job));
    Ok(job)
}

async fn kubectl_job_is_listed(fixture: &Fixture) -> Result<()> {
    let own = fixture.api_namespace("api").await?;
    let environment = fixture.unmanaged_in("ce", &own).await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let script = "until test -e /tmp/end; do sleep 0.2; done";
    fixture.apply(&namespace, &job("by-kubectl", 1, "50m", "16Mi", script)).await?;
    let made = fixture.jobs(&namespace).get("by-kubectl").await?;
    let id = made.labels().get(keys::JOB_ID).context("the Job has no job id")?;
    let aws = Aws::of(&fixture.world).await?;
    is_listed(&aws, &queue, id, "RUNNING").await?;

    // A job of the API waits for it.
    let definition = format!("{queue}-after");
    aws.define(&definition, "0.25", "true", &json!({})).await?;
    let after = aws.submit(&queue, &definition, &json!({"dependsOn": [{"jobId": id}]})).await?;
    aws.reaches(&after, "PENDING").await?;
    let pods = fixture.pods_of(&namespace, "by-kubectl").await?;
    let pod = pods.first().context("the Job has no pod")?.name_any();
    fixture.end_with(&namespace, &pod, "touch /tmp/end").await?;
    fixture.completed(&namespace, "by-kubectl").await?;
    is_listed(&aws, &queue, id, "SUCCEEDED").await?;
    aws.reaches(&after, "SUCCEEDED").await?;

    let table = fixture.world.bulkhead(&["jobs", "list", "--queue", &queue]).await?;
    let line = table.lines().find(|line| line.starts_with(id.as_str())).unwrap_or_default();
    ensure!(line.contains("by-kubectl") && line.contains("SUCCEEDED"), "`bulkhead jobs list` shows\n{table}");
    let one: Value = serde_json::from_str(&fixture.world.bulkhead(&["jobs", "show", id, "--json"]).await?)?;
    ensure!(one["jobId"] == id.as_str() && one["status"] == "SUCCEEDED", "`bulkhead jobs show` shows {one:#}");
    let unknown = fixture.world.bulkhead(&["jobs", "show", "no-such-job"]).await;
    let refused = unknown.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("there is no job no-such-job"), "of an unknown job it says {refused:?}");
    Ok(())
}

/// Waits until `list-jobs` shows the Job `by-kubectl` in this state.
async fn is_listed(aws: &Aws, queue: &str, id: &str, state: &str) -> Result<()> {
    eventually(&format!("list-jobs shows the Job as {state}"), || async {
        let listed = aws.run(&["list-jobs", "--job-queue", queue, "--job-status", state]).await?;
        let jobs = listed["jobSummaryList"].as_array().cloned().unwrap_or_default();
        let shown = jobs.iter().any(|job| job["jobId"] == id && job["jobName"] == "by-kubectl");
        Ok(if shown { Ok(()) } else { Err(listed.to_string()) })
    })
    .await
}
