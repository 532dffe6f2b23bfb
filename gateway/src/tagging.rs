//! `ListTagsForResource`, `TagResource`, `UntagResource`: tags of environments, queues, definitions and jobs, wherever these are kept.
//!
//! Invariant: a change of tags changes nothing else, and of two at the same time none is lost. Tags of a job are those that it was submitted
//! with: what is asked for does not change after that.

use std::collections::BTreeMap;

use api::{ComputeEnvironment, JobQueue};
use axum::http::Uri;
use model::job::JobId;
use percent_encoding::percent_decode_str;
use planning::access::Ask;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::decode;
use crate::failure::{Failure, Invalid};
use crate::gateway::Gateway;
use crate::names::{Resource, definition, in_arn};
use crate::objects::{Kind, Objects};
use crate::rights::about;
use crate::session::Session;
use crate::stored;
use crate::tags::{count, tags};

/// What is in the path and the query of these operations: they are members like those of a body.
pub(crate) fn in_uri(uri: &Uri) -> Result<Map<String, Value>, Failure> {
    let Some(arn) = uri.path().strip_prefix("/v1/tags/") else { return Ok(Map::new()) };
    let arn = percent_decode_str(arn).decode_utf8();
    let arn = arn.map_err(|_| Failure::Malformed("The resource's ARN in the path is no text".to_owned()))?;
    let mut members = Map::from_iter([("resourceArn".to_owned(), json!(arn))]);
    // As signatures have it: a plus is a plus.
    let pairs = uri.query().unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let keys = pairs.filter(|(name, _)| *name == "tagKeys").map(|(_, value)| percent_decode_str(value).decode_utf8());
    let keys: Vec<Value> = keys
        .map(|key| {
            key.map(|key| json!(key))
                .map_err(|_| Failure::Malformed("A key of a tag in the query is no text".to_owned()))
        })
        .collect::<Result<_, _>>()?;
    if !keys.is_empty() {
        members.insert("tagKeys".to_owned(), Value::Array(keys));
    }
    Ok(members)
}

/// `ListTagsForResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    resource_arn: String,
}

/// `TagResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tag {
    resource_arn: String,
    tags: BTreeMap<String, String>,
}

/// `UntagResource`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Untag {
    resource_arn: String,
    tag_keys: Vec<String>,
}

/// What has tags.
#[derive(Debug, PartialEq, Eq)]
enum Tagged<'a> {
    Environment(&'a str),
    Queue(&'a str),
    Definition(String, u32),
    Job(JobId),
}

/// What an ARN is of.
fn tagged(arn: &str) -> Result<Tagged<'_>, Invalid> {
    if let Some(name) = in_arn(Resource::ComputeEnvironment, arn) {
        return Ok(Tagged::Environment(name));
    }
    if let Some(name) = in_arn(Resource::JobQueue, arn) {
        return Ok(Tagged::Queue(name));
    }
    if in_arn(Resource::JobDefinition, arn).is_some() {
        let named = definition(arn)?;
        let Some(revision) = named.revision else {
            return Invalid::err(format!("{arn} names no revision: tags are those of a revision."));
        };
        return Ok(Tagged::Definition(named.name, revision));
    }
    let job = in_arn(Resource::Job, arn).and_then(|id| id.parse::<JobId>().ok());
    match job {
        Some(id) if id.child.is_some() => {
            Invalid::err(format!("{arn} is a child of an array job: children have no tags of their own."))
        }
        Some(id) => Ok(Tagged::Job(id)),
        None => Invalid::err(format!(
            "{arn} is not the ARN of a compute environment, a job queue, a job definition with revision, or a job."
        )),
    }
}

pub(crate) async fn list<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: List = decode::members(body)?;
    let arn = &request.resource_arn;
    demand(session, arn, "get").await?;
    let found = match tagged(arn)? {
        Tagged::Environment(name) => of_object::<ComputeEnvironment>(session, name).await?,
        Tagged::Queue(name) => of_object::<JobQueue>(session, name).await?,
        Tagged::Definition(name, revision) => {
            let found = session.records()?.definition(&name, Some(revision)).await?;
            found.map(|definition| definition.body.get("tags").cloned().unwrap_or_else(|| json!({})))
        }
        Tagged::Job(id) => session.records()?.jobs(&[id]).await?.first().map(|job| json!(job.spec.tags)),
    };
    Ok(json!({"tags": found.ok_or_else(|| missing(arn))?}))
}

pub(crate) async fn tag<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: Tag = decode::members(body)?;
    tags(&request.tags)?;
    let change_to = |there: &mut Map<String, Value>| {
        there.extend(request.tags.iter().map(|(key, value)| (key.clone(), json!(value))));
        count(there.len())
    };
    change(session, &request.resource_arn, change_to).await
}

pub(crate) async fn untag<O: Objects>(session: &Session<O>, body: &Map<String, Value>) -> Result<Value, Failure> {
    let request: Untag = decode::members(body)?;
    let change_to = |there: &mut Map<String, Value>| {
        there.retain(|key, _| !request.tag_keys.contains(key));
        Ok(())
    };
    change(session, &request.resource_arn, change_to).await
}

/// Changes the tags of a resource, if what comes of it may be.
async fn change<O: Objects>(
    session: &Session<O>,
    arn: &str,
    change: impl Fn(&mut Map<String, Value>) -> Result<(), Invalid>,
) -> Result<Value, Failure> {
    let changed = |there: &Value| -> Result<Option<Value>, Invalid> {
        // kubectl may have written anything: what is not named stays.
        let mut after = there.as_object().cloned().unwrap_or_default();
        change(&mut after)?;
        let after = Value::Object(after);
        Ok((after != *there).then_some(after))
    };
    demand(session, arn, "update").await?;
    match tagged(arn)? {
        Tagged::Environment(name) => change_object::<ComputeEnvironment>(session, name, changed).await?,
        Tagged::Queue(name) => change_object::<JobQueue>(session, name, changed).await?,
        Tagged::Definition(name, revision) => {
            if !change_definition(session, (&name, revision), changed).await? {
                return Err(missing(arn).into());
            }
        }
        Tagged::Job(_) => {
            return Err(Invalid::new(
                "Tags of a job are those that it was submitted with: changing them is not supported by Bulkhead yet.",
            )
            .into());
        }
    }
    Ok(json!({}))
}

/// Refuses whoever may not do this with a resource. Of one that is not there nothing is to be known.
async fn demand<O: Objects>(session: &Session<O>, arn: &str, verb: &'static str) -> Result<(), Failure> {
    let ask = match tagged(arn)? {
        Tagged::Environment(name) => {
            let ask = |object: &str| Ask::environment(verb, object);
            return session.demand_of::<ComputeEnvironment>(name, ask, arn).await;
        }
        Tagged::Queue(name) => {
            return session.demand_of::<JobQueue>(name, |object| Ask::queue(verb, object), arn).await;
        }
        Tagged::Definition(name, _) => {
            let Some(known) = session.records()?.namespace_of_definition(&name).await? else { return Ok(()) };
            Ask::definitions(verb, known.as_deref())
        }
        Tagged::Job(id) => {
            let found = session.records()?.jobs(&[id]).await?;
            let Some(kept) = found.first() else { return Ok(()) };
            about(verb, kept)
        }
    };
    session.demand(&ask, arn).await
}

/// What is kept of a resource, with other tags; `None`: it has these already.
fn with_tags(
    kept: Option<&Map<String, Value>>,
    changed: impl Fn(&Value) -> Result<Option<Value>, Invalid>,
) -> Result<Option<Map<String, Value>>, Invalid> {
    let mut kept = kept.cloned().unwrap_or_default();
    let Some(tags) = changed(kept.get("tags").unwrap_or(&json!({})))? else { return Ok(None) };
    kept.insert("tags".to_owned(), tags);
    Ok(Some(kept))
}

/// Tags of a custom resource.
async fn of_object<K: Kind>(gateway: &Gateway<impl Objects>, name: &str) -> Result<Option<Value>, Failure> {
    let mut all = gateway.objects.list::<K>().await?;
    let found = all.iter_mut().find(|object| object.aws_name() == name);
    let kept = |object: &mut K| object.aws().as_ref().and_then(|aws| aws.get("tags").cloned());
    Ok(found.map(|object| kept(object).unwrap_or_else(|| json!({}))))
}

async fn change_object<K: Kind>(
    gateway: &Gateway<impl Objects>,
    name: &str,
    changed: impl Fn(&Value) -> Result<Option<Value>, Invalid>,
) -> Result<(), Failure> {
    stored::update(&gateway.objects, name, |stored: &K, _: &[K::Other]| {
        let mut wanted = stored.clone();
        let Some(aws) = with_tags(wanted.aws().as_ref(), &changed)? else { return Ok(None) };
        *wanted.aws() = Some(aws);
        Ok(Some(wanted))
    })
    .await
}

/// False: there is none of this revision.
async fn change_definition<O>(
    gateway: &Gateway<O>,
    (name, revision): (&str, u32),
    changed: impl Fn(&Value) -> Result<Option<Value>, Invalid>,
) -> Result<bool, Failure> {
    let mut refused = None;
    let decide = |body: &Value| {
        let with = with_tags(body.as_object(), &changed).unwrap_or_else(|invalid| {
            refused = Some(invalid);
            None
        });
        with.map(Value::Object)
    };
    let found = gateway.records()?.change_definition(name, revision, decide).await?;
    refused.map_or(Ok(found), |invalid| Err(invalid.into()))
}

fn missing(arn: &str) -> Invalid {
    Invalid(format!("Resource {arn} does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_what_has_tags() {
        let arn = |resource: &str| format!("arn:aws:batch:us-east-1:123456789012:{resource}");
        let id = "2d044787-c663-4ce6-a6fe-f2baf7e51b04";
        for (given, expect) in [
            (arn("compute-environment/a"), Ok(Tagged::Environment("a"))),
            (arn("job-queue/a"), Ok(Tagged::Queue("a"))),
            (arn("job-definition/a:2"), Ok(Tagged::Definition("a".to_owned(), 2))),
            (arn(&format!("job/{id}")), Ok(Tagged::Job(id.parse().unwrap()))),
            (arn("job-definition/a"), Err("names no revision")),
            (arn("job-definition/a:x"), Err("does not end in the number of a revision")),
            (arn(&format!("job/{id}:1")), Err("is a child of an array job")),
            (arn("job/x"), Err("is not the ARN of")),
            (arn("scheduling-policy/a"), Err("is not the ARN of")),
            ("a".to_owned(), Err("is not the ARN of")),
        ] {
            match (tagged(&given), expect) {
                (Ok(got), Ok(expect)) => assert_eq!(got, expect, "{given}"),
                (Err(Invalid(said)), Err(part)) => assert!(said.contains(part), "{given}: {said}"),
                (got, expect) => panic!("{given}: {got:?}, not {expect:?}"),
            }
        }
    }

    #[test]
    fn path_and_query_are_read_as_clients_write_them() {
        let read = |uri: &str| in_uri(&uri.parse().unwrap()).map(Value::Object).ok();
        for (uri, expect) in [
            ("/v1/tags/arn%3Aaws%3Ab%2Fq", Some(json!({"resourceArn": "arn:aws:b/q"}))),
            ("/v1/tags/arn:aws:b/q", Some(json!({"resourceArn": "arn:aws:b/q"}))),
            (
                "/v1/tags/a?tagKeys=x%20y&tagKeys=z%2B&other=1",
                Some(json!({"resourceArn": "a", "tagKeys": ["x y", "z+"]})),
            ),
            ("/v1/tags/a?tagKeys=x+y", Some(json!({"resourceArn": "a", "tagKeys": ["x+y"]}))),
            ("/v1/tags/a?tagKeys=%FF", None),
            ("/v1/tags/a?tagKeys=", Some(json!({"resourceArn": "a", "tagKeys": [""]}))),
            ("/v1/tags/%FF", None),
            ("/v1/submitjob?tagKeys=x", Some(json!({}))),
        ] {
            assert_eq!(read(uri), expect, "{uri}");
        }
    }
}
