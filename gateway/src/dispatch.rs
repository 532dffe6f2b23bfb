//! From an operation to what does it.
//!
//! Invariant: one line per operation.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::objects::Objects;
use crate::operation::Operation;
use crate::session::Session;
use crate::{definitions, environments, jobs, queues, tagging};

pub(crate) async fn perform<O: Objects>(
    session: &Session<O>,
    operation: Operation,
    body: &Map<String, Value>,
) -> Result<Value, Failure> {
    match operation {
        Operation::CreateComputeEnvironment => environments::create(session, body).await,
        Operation::DescribeComputeEnvironments => environments::describe(session, body).await,
        Operation::UpdateComputeEnvironment => environments::update(session, body).await,
        Operation::DeleteComputeEnvironment => environments::delete(session, body).await,
        Operation::CreateJobQueue => queues::create(session, body).await,
        Operation::DescribeJobQueues => queues::describe(session, body).await,
        Operation::UpdateJobQueue => queues::update(session, body).await,
        Operation::DeleteJobQueue => queues::delete(session, body).await,
        Operation::GetJobQueueSnapshot => queues::snapshot(session, body).await,
        Operation::RegisterJobDefinition => definitions::register(session, body).await,
        Operation::DescribeJobDefinitions => definitions::describe(session, body).await,
        Operation::DeregisterJobDefinition => definitions::deregister(session, body).await,
        Operation::SubmitJob => jobs::submit(session, body).await,
        Operation::DescribeJobs => jobs::describe(session, body).await,
        Operation::ListJobs => jobs::list(session, body).await,
        Operation::CancelJob => jobs::cancel(session, body).await,
        Operation::TerminateJob => jobs::terminate(session, body).await,
        Operation::CancelJobs => jobs::cancel_all(session, body).await,
        Operation::TerminateJobs => jobs::terminate_all(session, body).await,
        Operation::ListTagsForResource => tagging::list(session, body).await,
        Operation::TagResource => tagging::tag(session, body).await,
        Operation::UntagResource => tagging::untag(session, body).await,
    }
}
