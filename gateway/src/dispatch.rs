//! From an operation to what does it.
//!
//! Invariant: one line per operation.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::objects::Objects;
use crate::operation::Operation;
use crate::{definitions, environments, jobs, queues, tagging};

pub(crate) async fn perform<O: Objects>(
    gateway: &Arc<Gateway<O>>,
    operation: Operation,
    body: &Map<String, Value>,
) -> Result<Value, Failure> {
    match operation {
        Operation::CreateComputeEnvironment => environments::create(gateway, body).await,
        Operation::DescribeComputeEnvironments => environments::describe(gateway, body).await,
        Operation::UpdateComputeEnvironment => environments::update(gateway, body).await,
        Operation::DeleteComputeEnvironment => environments::delete(gateway, body).await,
        Operation::CreateJobQueue => queues::create(gateway, body).await,
        Operation::DescribeJobQueues => queues::describe(gateway, body).await,
        Operation::UpdateJobQueue => queues::update(gateway, body).await,
        Operation::DeleteJobQueue => queues::delete(gateway, body).await,
        Operation::GetJobQueueSnapshot => queues::snapshot(gateway, body).await,
        Operation::RegisterJobDefinition => definitions::register(gateway, body).await,
        Operation::DescribeJobDefinitions => definitions::describe(gateway, body).await,
        Operation::DeregisterJobDefinition => definitions::deregister(gateway, body).await,
        Operation::SubmitJob => jobs::submit(gateway, body).await,
        Operation::DescribeJobs => jobs::describe(gateway, body).await,
        Operation::ListJobs => jobs::list(gateway, body).await,
        Operation::CancelJob => jobs::cancel(gateway, body).await,
        Operation::TerminateJob => jobs::terminate(gateway, body).await,
        Operation::CancelJobs => jobs::cancel_all(gateway, body).await,
        Operation::TerminateJobs => jobs::terminate_all(gateway, body).await,
        Operation::ListTagsForResource => tagging::list(gateway, body).await,
        Operation::TagResource => tagging::tag(gateway, body).await,
        Operation::UntagResource => tagging::untag(gateway, body).await,
    }
}
