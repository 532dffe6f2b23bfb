//! Every label, annotation, taint, gate and finalizer key that Bulkhead reads or writes, once.
//!
//! Keys under `batch.amazonaws.com/` are those of AWS Batch on EKS, kept so that tools which know them keep working
//! (<https://docs.aws.amazon.com/batch/latest/userguide/eks-jobs.html>). All others are ours, under `bulkhead.dev/`.
//! Knows nothing about the objects that carry them.

/// Label on a namespace, Job or bare Pod: the queue it goes through, or [`QUEUE_NONE`].
pub const QUEUE: &str = "bulkhead.dev/queue";
/// Value of [`QUEUE`] that opts a Job out of its namespace's queue.
pub const QUEUE_NONE: &str = "none";
/// Label with the job id, in label form (`<id>`, `<id>.<child>`, `<id>_<node>`).
pub const JOB_ID: &str = "batch.amazonaws.com/job-id";
/// Annotation with the raw job id (`<id>`, `<id>:<child>`, `<id>#<node>`).
pub const JOB_ID_RAW: &str = "bulkhead.dev/job-id";
/// Label on nodes and pods: UUID of the compute environment.
pub const CE_UUID: &str = "batch.amazonaws.com/compute-environment-uuid";
/// Label and annotation on pods: UID of the node they were dispatched to.
pub const NODE_UID: &str = "batch.amazonaws.com/node-uid";
/// Annotation on pods: AWS name of the compute environment, set by the dispatch.
pub const COMPUTE_ENVIRONMENT: &str = "bulkhead.dev/compute-environment";
/// Annotation on pods: number of the attempt (from 1), set by the dispatch.
pub const ATTEMPT: &str = "bulkhead.dev/attempt";
/// Annotation on a Job: its state and reason, as JSON; written only when it changes.
pub const STATUS: &str = "bulkhead.dev/status";
/// Annotation on a Job: `"true"` while the user holds it (their own `suspend: true`).
pub const SUSPEND: &str = "bulkhead.dev/suspend";
/// Annotation on a Job: `"true"` once the plan released it; what tells our `suspend: false` from a user's.
pub const RELEASED: &str = "bulkhead.dev/released";
/// Annotation on a Job or its template: the user's explicit `hostNetwork` choice (`"true"` or `"false"`).
pub const HOST_NETWORK: &str = "bulkhead.dev/host-network";
/// Annotation on a Job or its template: its units start together or not at all.
pub const GANG: &str = "bulkhead.dev/gang";
/// Annotation on a Job or its template: priority inside its queue.
pub const PRIORITY: &str = "bulkhead.dev/priority";
/// Annotation on a Job or its template: share identifier for fair-share queues.
pub const SHARE: &str = "bulkhead.dev/share";
/// Annotation on a Job or its template: jobs that must succeed first.
pub const DEPENDS_ON: &str = "bulkhead.dev/depends-on";
/// Template annotation: number of children of an Indexed Job.
pub const ARRAY_SIZE: &str = "bulkhead.dev/array-size";
/// Annotation on a pod handed to kube-scheduler: the nodes (comma-separated) on which the plan holds room for it.
pub const HOLD: &str = "bulkhead.dev/hold";
/// Annotation on a node that was tainted because a user labelled it; without it the taint is somebody else's.
pub const TAINTED: &str = "bulkhead.dev/tainted";
/// Annotation on a ComputeEnvironment: what an admin says about machines of which too many seem lost at once.
pub const LOST_MACHINES: &str = "bulkhead.dev/lost-machines";
/// Value of [`LOST_MACHINES`]: they are gone, and may be given up.
pub const LOST_MACHINES_GONE: &str = "gone";
/// Scheduling gate on pods the planner does not judge, until their dispatch.
pub const GATE: &str = "bulkhead.dev/dispatch";
/// Finalizer on a BatchNode until its machine is gone.
pub const MACHINE_FINALIZER: &str = "bulkhead.dev/machine";
/// Finalizer on a pod made for the API until its outcome is stored.
pub const RECORD_FINALIZER: &str = "bulkhead.dev/record";
/// Annotation on a pod made for the API: how often its attempt was placed before (from 0).
pub const PLACEMENT: &str = "bulkhead.dev/placement";
/// Taint key of every batch node; value [`BATCH_TAINT_VALUE`].
pub const BATCH_TAINT: &str = "batch.amazonaws.com/batch-node";
/// Value of the batch taint.
pub const BATCH_TAINT_VALUE: &str = "true";
/// Taint key (NoSchedule) of a node that is being retired.
pub const RETIRING_TAINT: &str = "bulkhead.dev/retiring";
/// Annotation of a pod of a queue that was given the host network: the host ports that it has of its own,
/// `CONTAINER:PORT` separated by spaces. Only the hook for pods reads it.
pub const HOST_NETWORK_GIVEN: &str = "bulkhead.dev/host-network-given";
/// Annotation of a Job of a queue and of its template, the Job's id: labels are more easily taken off than this. Pods of a queue have none.
pub const QUEUED: &str = "bulkhead.dev/queued";
/// Reason of condition `PodScheduled` of a pod that waits in a queue and for which no Job says why.
pub const QUEUED_REASON: &str = "Queued";
/// `schedulerName` of pods that the controller binds itself; served by nobody else.
pub const SCHEDULER_DIRECT: &str = "bulkhead";
/// `schedulerName` of pods that the second kube-scheduler places, with our extender.
pub const SCHEDULER_EXTENDED: &str = "bulkhead-scheduler";
/// Name of the `MutatingWebhookConfiguration` of an installation that sees objects first.
pub const WEBHOOK_CONFIGURATION: &str = "bulkhead";
/// Name of the one that sees what others have added since: the API server calls configurations in the order of their names.
pub const LATE_WEBHOOK_CONFIGURATION: &str = "zz-bulkhead";
/// Both.
pub const WEBHOOK_CONFIGURATIONS: [&str; 2] = [WEBHOOK_CONFIGURATION, LATE_WEBHOOK_CONFIGURATION];
/// Name of the hook in the first that applies the contract to pods of a queue.
pub const POD_HOOK: &str = "pods.bulkhead.dev";
/// Name of the hook in the second for pods whose queue others have named since.
pub const LATE_POD_HOOK: &str = "late-pods.bulkhead.dev";
/// Namespace of an installation.
pub const NAMESPACE: &str = "bulkhead-system";
/// Name of the Service of the AWS Batch API.
pub const API_SERVICE: &str = "bulkhead-api";
/// Name of the `ConfigMap` with the certificates of the authorities that clients of the API should trust.
pub const API_BUNDLE: &str = "bulkhead-api-ca";
/// The controller's user name at the API server; its own writes to Jobs are not corrected by the hooks.
pub const CONTROLLER_USER: &str = "system:serviceaccount:bulkhead-system:bulkhead-controller";
/// User names under which Kubernetes' own Job controller makes pods: with an account for each controller, or without.
pub const JOB_CONTROLLER_USERS: [&str; 2] =
    ["system:serviceaccount:kube-system:job-controller", "system:kube-controller-manager"];
/// What the user names of kubelets begin with.
pub const NODE_USERS: &str = "system:node:";
/// Annotation on the object by which a kubelet shows a pod that it runs by itself.
pub const K8S_MIRROR: &str = "kubernetes.io/config.mirror";
/// The extender's user name at the API server.
pub const EXTENDER_USER: &str = "system:serviceaccount:bulkhead-system:bulkhead-scheduler";
/// The user in whose name the pods of the API's jobs are made: the one that AWS Batch is in a cluster
/// (<https://docs.aws.amazon.com/batch/latest/userguide/getting-started-eks.html>).
pub const BATCH_USER: &str = "aws-batch";
/// Name of the Role that lets [`BATCH_USER`] make pods in a namespace, as AWS Batch's documentation has it.
pub const BATCH_ROLE: &str = "aws-batch-compute-environment-role";
/// Name of the `RoleBinding` that gives it [`BATCH_ROLE`].
pub const BATCH_ROLE_BINDING: &str = "aws-batch-compute-environment-role-binding";
/// Where pods of the API's jobs go that neither job nor environment sends anywhere.
pub const BATCH_NAMESPACE: &str = "default";
/// Prefixes under which every key but the documented user keys is reserved.
pub const RESERVED_PREFIXES: [&str; 2] = ["bulkhead.dev/", "batch.amazonaws.com/"];

/// Every key under [`RESERVED_PREFIXES`] that means something to Bulkhead and is not the user's to write. Policies name them one by one,
/// because to look at all labels of an object takes the API server long.
pub const RESERVED: [&str; 18] = [
    JOB_ID,
    CE_UUID,
    NODE_UID,
    BATCH_TAINT,
    JOB_ID_RAW,
    COMPUTE_ENVIRONMENT,
    ATTEMPT,
    STATUS,
    RELEASED,
    ARRAY_SIZE,
    HOLD,
    TAINTED,
    PLACEMENT,
    MACHINE_FINALIZER,
    RECORD_FINALIZER,
    RETIRING_TAINT,
    HOST_NETWORK_GIVEN,
    QUEUED,
];
/// Annotations under our prefix that users may set on a Job or its pod template.
pub const USER_ANNOTATIONS: [&str; 6] = [HOST_NETWORK, SUSPEND, GANG, PRIORITY, SHARE, DEPENDS_ON];

/// Label the Job controller puts on a Job's pods: the Job's name.
pub const K8S_JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// Label and annotation the Job controller puts on the pods of an Indexed Job: the completion index.
pub const K8S_COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Label the Job controller puts on pods of a Job with `backoffLimitPerIndex`: failures of this index so far.
pub const K8S_INDEX_FAILURE_COUNT: &str = "batch.kubernetes.io/job-index-failure-count";
/// Label by which a Job is handed to Kueue; such Jobs are left outside.
pub const KUEUE_QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// Namespace labels that name a Pod Security level: enforced, warned of, audited.
pub const POD_SECURITY: [&str; 3] =
    ["pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn", "pod-security.kubernetes.io/audit"];
/// The only level that allows the host network.
pub const POD_SECURITY_PRIVILEGED: &str = "privileged";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_ours_is_reserved_or_the_users() {
        let source = include_str!("keys.rs");
        let texts = source
            .lines()
            .filter(|line| line.starts_with("pub const"))
            .flat_map(|line| line.split('"').skip(1).step_by(2));
        // A gate is no key of a map; one is written by admins on environments; prefixes end with the slash.
        let keys = texts.filter(|text| {
            RESERVED_PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
        });
        let mut count = 0;
        for key in keys {
            let known = RESERVED.contains(&key)
                || USER_ANNOTATIONS.contains(&key)
                || [QUEUE, GATE, LOST_MACHINES].contains(&key);
            assert!(known, "{key} is neither reserved nor the user's: add it to a list here, and to the policies");
            count += 1;
        }
        assert!(count > 20, "only {count} keys were found");
    }
}
