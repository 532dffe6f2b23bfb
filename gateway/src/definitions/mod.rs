//! Operations on job definitions: decide, write, read.
//!
//! Invariant: a revision never changes after it is stored, but for being deregistered.

mod check;
mod pod;
mod pod_check;
mod request;
mod resources;
mod retry;

pub(crate) use check::Body;
pub(crate) use pod::{
    Container, ContainerResources, ContainerSecurity, EksProperties, EmptyDir, EnvVar, Metadata, PodProperties,
    PullSecret, Volume, VolumeMount,
};
pub(crate) use pod_check::{UNNAMED, UNNAMED_INIT, validate as validate_pod};
pub(crate) use request::{Retry, Timeout};
pub(crate) use retry::{retry_strategy, timeout_seconds};

use jiff::Timestamp;
use model::names::ArnBase;
use records::Definition;
use serde_json::{Map, Value, json};

use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::names;
use crate::objects::Objects;
use crate::page;
use crate::privileges;

pub(crate) async fn register<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Register = decode::members(body)?;
    let (name, arn) = (request.job_definition_name.clone(), &gateway.config.arn);
    let kept = check::validate(request)?;
    let asked = match kept.container()? {
        Some(pod) => privileges::asked_of_container(&serde_json::to_value(pod).map_err(|_| Failure::Crashed)?),
        // As it was sent: what AWS has no word for counts, too.
        None => privileges::asked(&body.get("eksProperties").unwrap_or(&Value::Null)["podProperties"]),
    };
    if !asked.is_empty() {
        privileges::may_register(&asked, &gateway.objects.list().await?)?;
    }
    let kept = serde_json::to_value(kept).map_err(|_| Failure::Crashed)?;
    let revision = gateway.records()?.register(&name, &kept, Timestamp::now()).await?;
    let definition = arn.job_definition(&name, revision);
    Ok(json!({"jobDefinitionName": name, "jobDefinitionArn": definition, "revision": revision}))
}

pub(crate) async fn describe<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    let size = page::size(request.max_results, 100)?;
    let active = check::status_filter(&request)?;
    let ids = request.job_definitions.iter().map(|given| names::definition(given));
    let ids = ids.map(|it| it.map(|it| (it.name, it.revision))).collect::<Result<Vec<_>, _>>()?;
    let ids = Some(ids).filter(|ids| !ids.is_empty());
    let name = request.job_definition_name.as_deref();
    let name = name.map(|given| names::name_of(names::Resource::JobDefinition, given)).transpose()?;
    let after = request.next_token.as_deref();
    let page = gateway.records()?.definitions(ids.as_deref(), name, active, after, size).await?;
    let shown = page.items.iter().map(|definition| detail(definition, &gateway.config.arn)).collect();
    Ok(page::answer("jobDefinitions", shown, page.next))
}

pub(crate) async fn deregister<O: Objects>(gateway: &Gateway<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Deregister = decode::members(body)?;
    let definition = names::definition(&request.job_definition)?;
    let Some(revision) = definition.revision else {
        let given = request.job_definition;
        return Err(Invalid(format!("{given} names no revision: use name:revision, or an ARN with revision")).into());
    };
    gateway.records()?.deregister(&definition.name, revision, Timestamp::now()).await?;
    Ok(json!({}))
}

/// `JobDefinition`: a revision as the API shows it.
fn detail(definition: &Definition, arn: &ArnBase) -> Value {
    let Definition { name, revision, active, body, created: _ } = definition;
    let mut detail = body.as_object().cloned().unwrap_or_default();
    let orchestration = if detail.contains_key("containerProperties") { "ECS" } else { "EKS" };
    let shown = json!({
        "jobDefinitionName": name,
        "jobDefinitionArn": arn.job_definition(name, *revision),
        "revision": revision,
        "status": if *active { "ACTIVE" } else { "INACTIVE" },
        "containerOrchestrationType": orchestration,
    });
    detail.extend(shown.as_object().cloned().unwrap_or_default());
    Value::Object(detail)
}
