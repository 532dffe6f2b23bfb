//! The watches of network policies: each kind is looked for, and followed as long as the cluster has it.
//!
//! Invariant: a watch never ends while the process runs. A kind that the cluster does not have is looked for again and again, because
//! its definition may come at any time.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResourceList};
use kube::core::ApiResource;
use kube::runtime::watcher;
use kube::runtime::watcher::{Config, Error, Event};
use kube::{Api, Client, ResourceExt as _};

use super::known::Policy;
use super::named::Named;
use super::{KINDS, Kind, Policies};
use crate::tasks::Tasks;
use crate::telemetry::chain;

/// Time between two looks for a kind, and after a failure.
const PAUSE: Duration = Duration::from_secs(10);

/// Objects of a page; each may have 1.5 MiB.
const PAGE: u32 = 16;

/// Starts a watch for each kind.
pub fn spawn(client: &Client, policies: &Policies, tasks: &mut Tasks) {
    for kind in KINDS {
        let follow = follow(client.clone(), kind, policies.clone());
        tasks.spawn_interruptible(&format!("watch of {}.{}", kind.plural, kind.group), follow);
    }
}

async fn follow(client: Client, kind: Kind, policies: Policies) {
    let mut trouble: Option<String> = None;
    loop {
        let failed = match served(&client, kind).await {
            Ok(None) => {
                policies.change(|known| known.absent(kind));
                None
            }
            Ok(Some(resource)) => watch(&client, kind, &resource, &policies).await,
            Err(error) => Some(chain(&error)),
        };
        if let Some(error) = &failed {
            policies.change(|known| known.failed(kind));
            if trouble.as_ref() != Some(error) {
                tracing::warn!(kind = kind.plural, group = kind.group, error, "network policies cannot be read");
            }
        }
        trouble = failed;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows objects of a kind until that fails; says how. `None`: the kind is gone.
async fn watch(client: &Client, kind: Kind, resource: &ApiResource, policies: &Policies) -> Option<String> {
    let api: Api<Named> = Api::all_with(client.clone(), resource);
    let mut events = std::pin::pin!(watcher(api, Config::default().page_size(PAGE)));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => policies.change(|known| known.take(kind, named(event))),
            Err(error) if code(&error) == Some(404) => return None,
            // Versions expire; the watch lists again by itself.
            Err(error) if code(&error) == Some(410) => {}
            Err(error) => return Some(chain(&error)),
        }
    }
    None
}

fn code(error: &Error) -> Option<u16> {
    match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

fn named(event: Event<Named>) -> Event<Policy> {
    let name = |object: Named| (object.namespace(), object.name_any());
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(name(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(name(object)),
        Event::Delete(object) => Event::Delete(name(object)),
    }
}

/// The kind as the cluster serves it, in the version it prefers; `None`: it does not.
async fn served(client: &Client, kind: Kind) -> Result<Option<ApiResource>, kube::Error> {
    let Some(group) = get::<APIGroup>(client, &format!("/apis/{}", kind.group)).await? else { return Ok(None) };
    let preferred = group.preferred_version.into_iter().chain(group.versions);
    for version in preferred {
        let list = get::<APIResourceList>(client, &format!("/apis/{}", version.group_version)).await?;
        let resources = list.map(|list| list.resources).unwrap_or_default();
        if let Some(found) = resources.into_iter().find(|resource| resource.name == kind.plural) {
            return Ok(Some(ApiResource {
                group: kind.group.to_owned(),
                api_version: version.group_version,
                version: version.version,
                kind: found.kind,
                plural: found.name,
            }));
        }
    }
    Ok(None)
}

/// What is at a path; `None`: nothing is.
async fn get<K>(client: &Client, path: &str) -> Result<Option<K>, kube::Error>
where
    K: serde::de::DeserializeOwned + Debug,
{
    let request = axum::http::Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    match client.request(request).await {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}
