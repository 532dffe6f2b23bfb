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
use serde_json::{Map, Value, json};

use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::names::{Resource, name_of};
use crate::objects::Objects;
use crate::page;
use crate::stored;

pub(crate) async fn create<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request = decode::members(body)?;
    let wanted = create::environment(&request, body, &gateway.config)?;
    let name = wanted.aws_name().to_owned();
    let taken = Invalid(format!("Object already exists: compute environment {name}"));
    stored::create(&gateway.objects, wanted, taken).await?;
    Ok(named(gateway, &name))
}

pub(crate) async fn describe<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    let size = page::size(request.max_results, 100)?;
    let mut all: Vec<ComputeEnvironment> = gateway.objects.list().await?;
    if !request.compute_environments.is_empty() {
        let given = &request.compute_environments;
        let named = given.iter().map(|given| name_of(Resource::ComputeEnvironment, given));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        all.retain(|environment| named.contains(&environment.aws_name()));
    }
    all.sort_by(|a, b| a.aws_name().cmp(b.aws_name()));
    let (shown, next) = page::cut(all, |it| it.aws_name(), request.next_token.as_deref(), size);
    let shown = shown.iter().map(|environment| show::detail(environment, &gateway.config.arn)).collect();
    Ok(page::answer("computeEnvironments", shown, next))
}

pub(crate) async fn update<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::UpdateEnvironment = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    let decide = |stored: &ComputeEnvironment, _: &[JobQueue]| {
        let wanted = update::environment(stored, &request, body)?;
        Ok(Some(wanted).filter(|wanted| wanted.spec != stored.spec))
    };
    stored::update(&gateway.objects, given, decide).await?;
    Ok(named(gateway, given))
}

pub(crate) async fn delete<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Delete = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    // What is gone is deleted.
    stored::delete(&gateway.objects, given, update::may_delete).await?;
    Ok(json!({}))
}

fn named<O>(gateway: &Gateway<O>, name: &str) -> Value {
    let arn = gateway.config.arn.compute_environment(name);
    json!({"computeEnvironmentName": name, "computeEnvironmentArn": arn})
}
