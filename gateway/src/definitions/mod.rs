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
use planning::access::Ask;
use records::Definition;
use serde_json::{Map, Value, json};

use crate::auth::Caller;
use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::names;
use crate::objects::Objects;
use crate::page;
use crate::privileges;
use crate::session::Session;

/// How often a revision is stored anew because somebody else was faster.
const TRIES: usize = 3;

pub(crate) async fn register<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Register = decode::members(body)?;
    let (name, arn) = (request.job_definition_name.clone(), &session.config.arn);
    let kept = check::validate(request)?;
    let asked = match kept.container()? {
        Some(pod) => privileges::asked_of_container(&serde_json::to_value(pod).map_err(|_| Failure::Crashed)?),
        // As it was sent: what AWS has no word for counts, too.
        None => privileges::asked(&body.get("eksProperties").unwrap_or(&Value::Null)["podProperties"]),
    };
    if !asked.is_empty() {
        privileges::may_register(&asked, &session.objects.list().await?)?;
    }
    let kept = serde_json::to_value(kept).map_err(|_| Failure::Crashed)?;
    let revision = store(session, &name, &kept).await?;
    let definition = arn.job_definition(&name, revision);
    Ok(json!({"jobDefinitionName": name, "jobDefinitionArn": definition, "revision": revision}))
}

pub(crate) async fn describe<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Describe = decode::members(body)?;
    let size = page::size(request.max_results, 100)?;
    let active = check::status_filter(&request)?;
    let ids = request.job_definitions.iter().map(|given| names::definition(given));
    let ids = ids.map(|it| it.map(|it| (it.name, it.revision))).collect::<Result<Vec<_>, _>>()?;
    let ids = Some(ids).filter(|ids| !ids.is_empty());
    let name = request.job_definition_name.as_deref();
    let name = name.map(|given| names::name_of(names::Resource::JobDefinition, given)).transpose()?;
    let after = session.page_in(request.next_token.as_deref())?;
    let page = session.records()?.definitions(ids.as_deref(), name, active, after.as_deref(), size).await?;
    let seen = session.seen(page.items, |definition| Ask::definitions("get", definition.namespace.as_deref())).await?;
    let shown = seen.iter().map(|definition| detail(definition, &session.config.arn)).collect();
    Ok(page::answer("jobDefinitions", shown, session.page_out(page.next)))
}

pub(crate) async fn deregister<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: request::Deregister = decode::members(body)?;
    let definition = names::definition(&request.job_definition)?;
    let Some(revision) = definition.revision else {
        let given = request.job_definition;
        return Err(Invalid(format!("{given} names no revision: use name:revision, or an ARN with revision")).into());
    };
    let records = session.records()?;
    // Of one that never was there is nothing to refuse.
    if let Some(known) = records.namespace_of_definition(&definition.name).await? {
        let arn = session.config.arn.job_definition(&definition.name, revision);
        session.demand(&Ask::definitions("delete", known.as_deref()), &arn).await?;
    }
    records.deregister(&definition.name, revision, Timestamp::now()).await?;
    Ok(json!({}))
}

/// Stores a revision, if the caller may: in the namespace of those that there are, else in his own.
async fn store<O: Objects>(session: &Session<O>, name: &str, kept: &Value) -> Result<u32, Failure> {
    let records = session.records()?;
    for _ in 0..TRIES {
        let known = records.namespace_of_definition(name).await?;
        let own = match session.caller {
            Caller::Anybody => None,
            Caller::Known(_) => Some(session.home().to_owned()),
        };
        let verb = if known.is_some() { "update" } else { "create" };
        let home = known.unwrap_or(own);
        let arn = session.config.arn.job_definition_name(name);
        session.demand(&Ask::definitions(verb, home.as_deref()), &arn).await?;
        match records.register(name, kept, Timestamp::now(), home.as_deref()).await {
            // Somebody was faster: the name is his.
            Err(records::Error::Conflict(_)) => {}
            stored => return Ok(stored?),
        }
    }
    Err(Invalid::new("Cannot register, the job definition is being made by somebody else").into())
}

/// `JobDefinition`: a revision as the API shows it.
fn detail(definition: &Definition, arn: &ArnBase) -> Value {
    let Definition { name, revision, active, body, created: _, namespace: _ } = definition;
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
