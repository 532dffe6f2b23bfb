//! Operations on compute environments: look up, decide, write.
//!
//! Invariant: what is written was decided on what was read, and is not written if that has changed meanwhile.

mod create;
mod request;
mod resources;
mod show;
mod update;

pub(crate) use show::is_valid;
pub(crate) use update::STATES;

use api::ComputeEnvironment;
use serde_json::{Map, Value, json};

use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::names::{Resource, name_of};
use crate::objects::{ObjectError, Objects};
use crate::page;

/// How often a change is decided anew because somebody else was faster.
const TRIES: usize = 4;

pub(crate) async fn create<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request = decode::members(body)?;
    let existing: Vec<ComputeEnvironment> = gateway.objects.list().await?;
    let wanted = create::environment(&request, body, gateway.config.default_provider.as_ref())?;
    let name = wanted.aws_name().to_owned();
    if find(&existing, &name).is_some() {
        return Err(taken(&name).into());
    }
    match gateway.objects.create(wanted).await {
        Ok(_) => Ok(named(gateway, &name)),
        Err(ObjectError::Taken) => Err(taken(&name).into()),
        Err(error) => Err(error.into()),
    }
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
    let request: request::Change = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    for _ in 0..TRIES {
        let all: Vec<ComputeEnvironment> = gateway.objects.list().await?;
        let Some(stored) = find(&all, given) else {
            return Err(Invalid(format!("Compute environment {given} does not exist")).into());
        };
        let wanted = update::environment(stored, &request, body)?;
        if wanted.spec == stored.spec {
            return Ok(named(gateway, given));
        }
        match gateway.objects.replace(wanted).await {
            Ok(_) => return Ok(named(gateway, given)),
            Err(ObjectError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ObjectError::Changed.into())
}

pub(crate) async fn delete<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Delete = decode::members(body)?;
    let given = name_of(Resource::ComputeEnvironment, &request.compute_environment)?;
    for _ in 0..TRIES {
        let all: Vec<ComputeEnvironment> = gateway.objects.list().await?;
        // What is gone is deleted.
        let Some(stored) = find(&all, given) else { return Ok(json!({})) };
        update::may_delete(stored, &gateway.objects.list().await?)?;
        match gateway.objects.delete(stored).await {
            Ok(()) | Err(ObjectError::Gone) => return Ok(json!({})),
            Err(ObjectError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Invalid::new("Cannot delete, resource is being modified").into())
}

/// The environment of an AWS name.
pub(crate) fn find<'a>(all: &'a [ComputeEnvironment], name: &str) -> Option<&'a ComputeEnvironment> {
    all.iter().find(|environment| environment.aws_name() == name)
}

fn taken(name: &str) -> Invalid {
    Invalid(format!("Object already exists: compute environment {name}"))
}

fn named<O>(gateway: &Gateway<O>, name: &str) -> Value {
    let arn = gateway.config.arn.compute_environment(name);
    json!({"computeEnvironmentName": name, "computeEnvironmentArn": arn})
}
