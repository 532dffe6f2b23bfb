//! The bad requests: each is a good one with one member changed. The messages are those that AWS Batch answers.
//!
//! Invariant: whatever is made by mistake has the bad name, so that it can be found and removed.

use serde_json::{Value, json};
use tests::Site;

/// A request that is to be refused.
pub(super) struct Bad {
    pub(super) operation: &'static str,
    pub(super) body: Value,
    /// Part of the message.
    pub(super) message: String,
}

/// Names that requests have.
pub(super) struct Names<'a> {
    /// Its queue and environment are there.
    pub(super) site: &'a Site,
    /// Of an environment and a definition that are there.
    pub(super) good: String,
    /// Of nothing.
    pub(super) bad: String,
}

/// Where a member is (a JSON pointer), what it becomes (`null`: it is left out), and what is said then.
type Change = (&'static str, Value, &'static str);

impl Names<'_> {
    /// A good environment.
    pub(super) fn environment(&self, name: &str) -> Value {
        json!({
            "computeEnvironmentName": name, "type": "MANAGED", "state": "ENABLED",
            "eksConfiguration": {
                "eksClusterArn": "arn:aws:eks:us-east-1:123456789012:cluster/c", "kubernetesNamespace": self.site.namespace,
            },
            "computeResources": {
                "type": "EC2", "allocationStrategy": "BEST_FIT_PROGRESSIVE", "minvCpus": 0, "maxvCpus": 4,
                "instanceTypes": ["m5"], "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"], "instanceRole": "role",
            },
        })
    }

    fn queue(&self) -> Value {
        let order = json!([{"order": 1, "computeEnvironment": self.site.environment}]);
        json!({"jobQueueName": self.bad, "priority": 1, "computeEnvironmentOrder": order})
    }

    /// A good job.
    pub(super) fn job(&self) -> Value {
        json!({"jobName": self.bad, "jobQueue": self.site.queue, "jobDefinition": self.good})
    }

    /// All of them.
    pub(super) fn table(&self) -> Vec<Bad> {
        let mut all = Vec::new();
        all.extend(spoil("CreateComputeEnvironment", &self.environment(&self.bad), environments()));
        all.extend(spoil("CreateJobQueue", &self.queue(), self.queues()));
        all.extend(spoil("RegisterJobDefinition", &definition(&self.bad), definitions()));
        all.extend(spoil("RegisterJobDefinition", &definition(&self.bad), pods()));
        all.extend(spoil("SubmitJob", &self.job(), jobs()));
        all.extend(self.others());
        all
    }

    fn queues(&self) -> Vec<Change> {
        let entry = |order: u32, name: &str| json!({"order": order, "computeEnvironment": name});
        let (there, order) = (self.site.environment.as_str(), "/computeEnvironmentOrder");
        let four: Vec<Value> = (1..=4).map(|number| entry(number, &format!("{there}{number}"))).collect();
        vec![
            ("/jobQueueName", json!("no name!"), "Job Queue name should match a valid pattern."),
            ("/jobQueueName", json!(self.site.queue), "already exists"),
            (order, json!([]), "computeEnvironmentOrder is required."),
            (order, json!(four), "Only 3 environments are allowed in job queue request."),
            (order, json!([entry(1, there), entry(2, there)]), "Duplicate ComputeEnvironments within order list."),
            (order, json!([entry(1, there), entry(1, &self.good)]), "Duplicate ComputeEnvironment order values."),
            (
                order,
                json!([entry(1, &self.bad)]),
                "Compute Environments must be created and valid before attaching them to a job queue",
            ),
        ]
    }

    fn others(&self) -> Vec<Bad> {
        let ids: Vec<String> = (0..101).map(|_| uuid::Uuid::new_v4().to_string()).collect();
        let missing = |member: &str| json!({member: self.bad, "state": "DISABLED"});
        let bad = |operation, body, message: &str| Bad { operation, body, message: message.to_owned() };
        let unknown = json!({"jobName": "job", "jobQueue": self.bad, "jobDefinition": self.good});
        let no_definition = json!({"jobName": "job", "jobQueue": self.site.queue, "jobDefinition": self.bad});
        vec![
            bad("SubmitJob", unknown, &format!("JobQueue {} not found.", self.bad)),
            bad(
                "SubmitJob",
                no_definition,
                &format!("JobDefinition name {} does not exist or is not in ACTIVE status", self.bad),
            ),
            // Two blanks, as AWS has it.
            bad("DescribeJobs", json!({"jobs": ids}), "Maximum number of jobs supported is  100 ."),
            bad("UpdateJobQueue", missing("jobQueue"), "does not exist"),
            // ENABLED, and a queue uses it: whichever is looked at first.
            bad("DeleteComputeEnvironment", json!({"computeEnvironment": self.site.environment}), "Cannot delete, "),
        ]
    }
}

/// A good definition, of a job that never finds room.
pub(super) fn definition(name: &str) -> Value {
    json!({
        "jobDefinitionName": name, "type": "container",
        "eksProperties": {"podProperties": {"containers": [{
            "image": "docker.io/library/busybox", "command": ["echo", "Ref::word"],
            "resources": {"requests": {"cpu": "64", "memory": "16Mi"}},
        }]}},
        "parameters": {"word": "hello"},
    })
}

fn spoil(operation: &'static str, good: &Value, changes: Vec<Change>) -> impl Iterator<Item = Bad> {
    changes.into_iter().map(move |(pointer, value, message)| Bad {
        operation,
        body: changed(good, pointer, value),
        message: message.to_owned(),
    })
}

/// A value with one member changed, added, or (`null`) left out. The last part of the pointer is the name of a member.
fn changed(good: &Value, pointer: &str, value: Value) -> Value {
    let mut body = good.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    let name = name.replace("~1", "/");
    if let Some(Value::Object(members)) = body.pointer_mut(parent) {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    body
}

fn environments() -> Vec<Change> {
    vec![
        ("/computeEnvironmentName", json!("no name!"), "Compute Environment name should match a valid pattern."),
        ("/state", json!("DISABLED"), "Compute Environment must be created in ENABLED state."),
        ("/computeResources", Value::Null, "computeResources must be provided for a MANAGED compute environment"),
        ("/unmanagedvCpus", json!(1), "unmanagedvCpus is not applicable for managed Compute Environment."),
        ("/computeResources/minvCpus", Value::Null, "Resource minvCpus is required."),
        ("/computeResources/minvCpus", json!(-1), "minvCpus should be greater than or equal to 0."),
        ("/computeResources/minvCpus", json!(5), "maxvCpus should be greater than or equal to minvCpus."),
        ("/computeResources/desiredvCpus", json!(9), "desiredvCpus should be between minvCpus and maxvCpus."),
        ("/computeResources/instanceRole", Value::Null, "Instance role is required."),
        ("/computeResources/instanceTypes", json!([]), "Resource instanceTypes are required."),
        (
            "/computeResources/instanceTypes",
            json!(["m5", "m6g"]),
            "arm-based instance type cannot be used with other instance types.",
        ),
        ("/computeResources/securityGroupIds", json!([]), "Security group ids are required."),
        (
            "/computeResources/allocationStrategy",
            Value::Null,
            "allocationStrategy is required for EKS Compute Environments.",
        ),
        (
            "/computeResources/type",
            json!("FARGATE"),
            "Supported compute types for EKS compute environments are [EC2, SPOT].",
        ),
        ("/eksConfiguration/eksClusterArn", json!("my-cluster"), "eksClusterArn must be an EKS cluster ARN."),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("No_Namespace"),
            "kubernetesNamespace must be a valid Kubernetes namespace.",
        ),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("default"),
            "kubernetesNamespace cannot be the default Kubernetes namespace.",
        ),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("kube-system"),
            "kubernetesNamespace cannot be a reserved Kubernetes system namespace.",
        ),
        (
            "/eksConfiguration/kubernetesNamespace",
            json!("bulkhead-system"),
            "kubernetesNamespace cannot be bulkhead-system, which is Bulkhead's own.",
        ),
        ("/tags", json!({"aws:team": "x"}), "'aws:team' is not a valid value for TagKey"),
    ]
}

fn definitions() -> Vec<Change> {
    vec![
        ("/jobDefinitionName", json!("no name!"), "Job definition name should match a valid pattern."),
        (
            "/eksProperties",
            Value::Null,
            "ECS ContainerProperties, ecsProperties, or eksProperties is required when using type container.",
        ),
        (
            "/containerProperties",
            json!({"image": "busybox", "vcpus": 1, "memory": 16}),
            "Cannot use both ECS containerProperties and eksProperties",
        ),
        ("/propagateTags", json!(true), "Batch on EKS does not support tag propagation."),
        (
            "/tags",
            json!({"version": "2.8.1+mc(0.10.0)"}),
            "'2.8.1+mc(0.10.0)' is not a valid value for TagValue - it contains illegal characters",
        ),
        ("/retryStrategy", json!({"attempts": 11}), "RetryAttempts must be between 1 and 10."),
        (
            "/retryStrategy",
            json!({"attempts": 2, "evaluateOnExit": [{"action": "EXIT"}]}),
            "EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason",
        ),
        (
            "/timeout",
            json!({"attemptDurationSeconds": 59}),
            "AttemptDurationSeconds in Timeout must be at least 60 seconds.",
        ),
        ("/schedulingPriority", json!(10_000), "Scheduling priority must be between 0 and 9999."),
    ]
}

fn pods() -> Vec<Change> {
    let container = "/eksProperties/podProperties/containers/0/resources";
    let resources = |requests: Value| json!({"requests": requests});
    vec![
        ("/eksProperties/podProperties/containers", json!([]), "Containers must be provided for Batch on EKS jobs."),
        ("/eksProperties/podProperties/hostPID", json!(true), "(hostPID: true). No compute environment allows that"),
        (
            "/eksProperties/podProperties/volumes",
            json!([{"name": "v", "hostPath": {"path": "/"}}]),
            "(volumes[0].hostPath). No compute environment allows that",
        ),
        (
            "/eksProperties/podProperties/containers/0/securityContext",
            json!({"privileged": true}),
            "(containers[0].securityContext.privileged: true). No compute environment allows that",
        ),
        (
            "/eksProperties/podProperties/metadata",
            json!({"namespace": "bulkhead-system"}),
            "kubernetesNamespace cannot be bulkhead-system, which is Bulkhead's own.",
        ),
        (container, Value::Null, "cpu and memory resources must be provided."),
        (
            container,
            resources(json!({"cpu": "0.1", "memory": "16Mi"})),
            "Value 0.1 for type cpu in resources is not valid. Provide a valid number and unit.",
        ),
        (container, resources(json!({"cpu": "1", "memory": "2Gi"})), "Value 2Gi for type memory is not valid."),
        (
            container,
            resources(json!({"cpu": "1", "memory": "16Mi", "hugepages-2Mi": "2Mi"})),
            "hugepages-2Mi is not a supported type for resources.",
        ),
        (
            container,
            json!({"requests": {"cpu": "2", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "16Mi"}}),
            "cpu request must be <= to cpu limit if both are provided.",
        ),
        (
            container,
            json!({"requests": {"cpu": "1", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}}),
            "memory request must be equal to memory limit if both are provided.",
        ),
        (
            "/eksProperties/podProperties/containers/0/volumeMounts",
            json!([{"name": "nowhere", "mountPath": "/x"}]),
            "The volumeMounts name is required for eksProperties.",
        ),
        (
            "/eksProperties/podProperties/containers/0/imagePullPolicy",
            json!("Sometimes"),
            "Unsupported image pull policy value.",
        ),
        ("/eksProperties/podProperties/dnsPolicy", json!("None"), "Unsupported DNS policy value."),
        (
            "/eksProperties/podProperties/metadata",
            json!({"labels": {"batch.amazonaws.com/job-id": "mine"}}),
            "The prefix batch.amazonaws.com of the pod label key cannot contain terms from the following [kubernetes.io, \
             k8s.io, batch.amazonaws.com].",
        ),
    ]
}

fn jobs() -> Vec<Change> {
    let ids = || uuid::Uuid::new_v4().to_string();
    let many: Vec<Value> = (0..21).map(|_| json!({"jobId": ids()})).collect();
    // With the other members 31 KiB.
    let long = "x".repeat(31 * 1024 - 400);
    vec![
        ("/jobName", json!("no name!"), "Job name should match valid pattern"),
        ("/dependsOn", json!(many), "Job cannot have more than 20 dependencies"),
        ("/parameters", json!({"word": long}), "Job size must be less than 30 KiB, got 31 KiB"),
        (
            "/containerOverrides",
            json!({"command": ["true"]}),
            "Container overrides or node overrides should not be set for Batch on EKS jobs.",
        ),
        (
            "/shareIdentifier",
            json!("share"),
            // The missing blank is AWS's.
            "Job with shareIdentifier or schedulingPriority can onlybe submitted to job queue with fair share scheduling policy.",
        ),
        (
            "/eksPropertiesOverride",
            json!({"podProperties": {"containers": [{"command": ["echo", "Ref::other"]}]}}),
            "Unable to substitute value. No parameter found for reference other",
        ),
        ("/arrayProperties", json!({"size": 1}), ""),
        ("/retryStrategy", json!({"attempts": 0}), "RetryAttempts must be between 1 and 10."),
        (
            "/timeout",
            json!({"attemptDurationSeconds": 1}),
            "AttemptDurationSeconds in Timeout must be at least 60 seconds.",
        ),
    ]
}
