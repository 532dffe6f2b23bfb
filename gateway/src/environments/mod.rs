//! Operations on compute environments: look up, decide, write.
//!
//! Invariant: what is written was decided on what was read, and is not written if that has changed meanwhile.

mod create;
mod orchestration;
mod request;
mod resources;
mod show;
mod update;

pub(crate) use orchestration::{Orchestration, is_on_fargate};
pub(crate) use show::is_valid;

use api::{ComputeEnvironment, JobQueue};
use kube::ResourceExt as _;
use planning::access::Ask;
use serde_json::{Map, Value, json};

use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::names::{Resource, name_of};
use crate::objects::Objects;
use crate::page;
use crate::session::Session;
use crate::stored;

pub(crate) async fn create<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Create = decode::members(body)?;
    demand(session, "create", &request.compute_environment_name).await?;
    let wanted = create::environment(&request, body, &session.config)?;
    let name = wanted.aws_name().to_owned();
    let taken = Invalid(format!("Object already exists: compute environment {name}"));
    stored::create(&session.objects, wanted, taken).await?;
    Ok(named(session, &name))
}

pub(crate) async fn describe<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    let size = page::size(request.max_results, 100)?;
    let mut all: Vec<ComputeEnvironment> = session.objects.list().await?;
    if !request.compute_environments.is_empty() {
        let given = &request.compute_environments;
        let named = given.iter().map(|given| name_of(Resource::ComputeEnvironment, given));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        all.retain(|environment| named.contains(&environment.aws_name()));
    }
    let mut all = session.seen(all, |it| Ask::environment("get", &it.name_any())).await?;
    all.sort_by(|a, b| a.aws_name().cmp(b.aws_name()));
    let (shown, next) = page::cut(all, |it| it.aws_name(), request.next_token.as_deref(), size);
    let shown = shown.iter().map(|environment| show::detail(environment, &session.config.arn)).collect();
    Ok(page::answer("computeEnvironments", shown, next))
}

pub(crate) async fn update<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::UpdateEnvironment = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    demand(session, "update", given).await?;
    let decide = |stored: &ComputeEnvironment, _: &[JobQueue]| {
        let wanted = update::environment(stored, &request, body)?;
        Ok(Some(wanted).filter(|wanted| wanted.spec != stored.spec))
    };
    stored::update(&session.objects, given, decide).await?;
    Ok(named(session, given))
}

pub(crate) async fn delete<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Delete = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    demand(session, "delete", given).await?;
    // What is gone is deleted.
    stored::delete(&session.objects, given, update::may_delete).await?;
    Ok(json!({}))
}

/// Refuses whoever may not do this with an environment (AWS name).
async fn demand<O: Objects>(session: &Session<O>, verb: &'static str, name: &str) -> Result<(), Failure> {
    let arn = session.config.arn.compute_environment(name);
    session.demand_of::<ComputeEnvironment>(name, |object| Ask::environment(verb, object), &arn).await
}

fn named<O>(gateway: &Gateway<O>, name: &str) -> Value {
    let arn = gateway.config.arn.compute_environment(name);
    json!({"computeEnvironmentName": name, "computeEnvironmentArn": arn})
}
