//! The operations of AWS Batch (API version 2016-08-10) and where they are.
//!
//! Invariant: the table is complete, so that an operation that is not built can be told from one that does not exist.

/// An operation that is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    CreateComputeEnvironment,
    DescribeComputeEnvironments,
    UpdateComputeEnvironment,
    DeleteComputeEnvironment,
    CreateJobQueue,
    DescribeJobQueues,
    UpdateJobQueue,
    DeleteJobQueue,
    GetJobQueueSnapshot,
    RegisterJobDefinition,
    DescribeJobDefinitions,
    DeregisterJobDefinition,
    SubmitJob,
    DescribeJobs,
    ListJobs,
    CancelJob,
    TerminateJob,
    CancelJobs,
    TerminateJobs,
    ListTagsForResource,
    TagResource,
    UntagResource,
}

const BUILT: [(Operation, &str); 19] = [
    (Operation::CreateComputeEnvironment, "CreateComputeEnvironment"),
    (Operation::DescribeComputeEnvironments, "DescribeComputeEnvironments"),
    (Operation::UpdateComputeEnvironment, "UpdateComputeEnvironment"),
    (Operation::DeleteComputeEnvironment, "DeleteComputeEnvironment"),
    (Operation::CreateJobQueue, "CreateJobQueue"),
    (Operation::DescribeJobQueues, "DescribeJobQueues"),
    (Operation::UpdateJobQueue, "UpdateJobQueue"),
    (Operation::DeleteJobQueue, "DeleteJobQueue"),
    (Operation::GetJobQueueSnapshot, "GetJobQueueSnapshot"),
    (Operation::RegisterJobDefinition, "RegisterJobDefinition"),
    (Operation::DescribeJobDefinitions, "DescribeJobDefinitions"),
    (Operation::DeregisterJobDefinition, "DeregisterJobDefinition"),
    (Operation::SubmitJob, "SubmitJob"),
    (Operation::DescribeJobs, "DescribeJobs"),
    (Operation::ListJobs, "ListJobs"),
    (Operation::CancelJob, "CancelJob"),
    (Operation::TerminateJob, "TerminateJob"),
    (Operation::CancelJobs, "CancelJobs"),
    (Operation::TerminateJobs, "TerminateJobs"),
];

/// The others. All are called with POST but those of tags, which have a path of their own.
const NOT_BUILT: [&str; 26] = [
    "CreateConsumableResource",
    "CreateQuotaShare",
    "CreateSchedulingPolicy",
    "CreateServiceEnvironment",
    "DeleteConsumableResource",
    "DeleteQuotaShare",
    "DeleteSchedulingPolicy",
    "DeleteServiceEnvironment",
    "DescribeConsumableResource",
    "DescribeQuotaShare",
    "DescribeSchedulingPolicies",
    "DescribeServiceEnvironments",
    "DescribeServiceJob",
    "ListConsumableResources",
    "ListJobsByConsumableResource",
    "ListQuotaShares",
    "ListSchedulingPolicies",
    "ListServiceJobs",
    "SubmitServiceJob",
    "TerminateServiceJob",
    "TerminateServiceJobs",
    "UpdateConsumableResource",
    "UpdateQuotaShare",
    "UpdateSchedulingPolicy",
    "UpdateServiceEnvironment",
    "UpdateServiceJob",
];

/// What a path means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An operation that is built.
    Built(Operation, &'static str),
    /// One that AWS has and Bulkhead has not yet.
    NotBuilt(&'static str),
    /// The method is another one.
    Method,
    /// Nothing.
    Unknown,
}

/// Finds the operation of a request.
pub(crate) fn route(method: &str, path: &str) -> Route {
    let Some(name) = path.strip_prefix("/v1/") else { return Route::Unknown };
    if name.strip_prefix("tags/").is_some_and(|arn| !arn.is_empty()) {
        return match method {
            "GET" => Route::Built(Operation::ListTagsForResource, "ListTagsForResource"),
            "POST" => Route::Built(Operation::TagResource, "TagResource"),
            "DELETE" => Route::Built(Operation::UntagResource, "UntagResource"),
            _ => Route::Method,
        };
    }
    let built = BUILT.iter().find(|(_, it)| it.to_lowercase() == name).map(|(it, text)| Route::Built(*it, text));
    let not_built = || NOT_BUILT.iter().find(|it| it.to_lowercase() == name).map(|it| Route::NotBuilt(it));
    match built.or_else(not_built) {
        None => Route::Unknown,
        Some(_) if method != "POST" => Route::Method,
        Some(route) => route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_its_path() {
        // Three for tags, which are built.
        assert_eq!(BUILT.len() + NOT_BUILT.len() + 3, 48);
        let tag = "/v1/tags/arn%3Aaws%3Abatch%3Aus-east-1%3A123456789012%3Ajob-queue%2Fq";
        for (method, path, expected) in [
            ("POST", "/v1/submitjob", Route::Built(Operation::SubmitJob, "SubmitJob")),
            ("POST", "/v1/listschedulingpolicies", Route::NotBuilt("ListSchedulingPolicies")),
            ("GET", tag, Route::Built(Operation::ListTagsForResource, "ListTagsForResource")),
            ("POST", tag, Route::Built(Operation::TagResource, "TagResource")),
            ("DELETE", tag, Route::Built(Operation::UntagResource, "UntagResource")),
            ("PUT", tag, Route::Method),
            ("GET", "/v1/submitjob", Route::Method),
            ("POST", "/v1/SubmitJob", Route::Unknown),
            ("POST", "/v1/submitjob/", Route::Unknown),
            ("GET", "/v1/tags/", Route::Unknown),
            ("POST", "/submitjob", Route::Unknown),
            ("GET", "/", Route::Unknown),
        ] {
            assert_eq!(route(method, path), expected, "{method} {path}");
        }
    }
}
