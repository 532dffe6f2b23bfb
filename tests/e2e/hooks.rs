//! Bulkhead's webhook configurations in the hands of tests: saved, taken away, turned elsewhere, put back.
//!
//! Invariant: whoever changes them runs alone, saves them first and has them put back on cleaning up.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Fixture, eventually, job_with};

const CONFIGURATION: &str = "mutatingwebhookconfiguration";
/// Names of Bulkhead's webhook configurations.
const BULKHEAD: [&str; 2] = model::keys::WEBHOOK_CONFIGURATIONS;

/// The configurations in a List, as they can be created or replaced again; cleaning up puts them back.
pub(crate) async fn save(fixture: &Fixture) -> Result<Value> {
    fixture.disturbs("changes the webhook configurations")?;
    let [first, last] = BULKHEAD;
    let text = fixture.world.kubectl(&["get", CONFIGURATION, first, last, "-o", "json"]).await?;
    let mut hooks: Value = serde_json::from_str(&text)?;
    hooks["metadata"] = json!({});
    for item in hooks["items"].as_array_mut().context("a list without items")? {
        let metadata = item["metadata"].as_object_mut().context("a webhook configuration without metadata")?;
        metadata.retain(|key, _| {
            !["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"].contains(&key.as_str())
        });
    }
    fixture.on_clean(&["replace", "--force", "-f", "-"], &hooks.to_string());
    Ok(hooks)
}

/// Takes the configurations away.
pub(crate) async fn delete(fixture: &Fixture) -> Result<()> {
    let [first, last] = BULKHEAD;
    fixture.world.kubectl(&["delete", CONFIGURATION, first, last]).await.map(drop)
}

/// Puts configurations in place of those that are there, or are not; as a whole, because two ways of naming a client cannot
/// be merged.
pub(crate) async fn put(fixture: &Fixture, hooks: &Value) -> Result<()> {
    fixture.world.kubectl_with(&["replace", "--force", "-f", "-"], &hooks.to_string()).await.map(drop)
}

/// Replaces the configurations that are there, each in one write: at no moment is there none, so nothing slips past the hooks.
pub(crate) async fn replace(fixture: &Fixture, hooks: &str) -> Result<()> {
    fixture.world.kubectl_with(&["replace", "-f", "-"], hooks).await.map(drop)
}

/// The configurations with another client for every hook.
pub(crate) fn with_client(hooks: &Value, client: impl Fn(&Value) -> Value) -> Value {
    let mut hooks = hooks.clone();
    for item in hooks["items"].as_array_mut().into_iter().flatten() {
        for hook in item["webhooks"].as_array_mut().into_iter().flatten() {
            hook["clientConfig"] = client(&hook["clientConfig"]);
        }
    }
    hooks
}

/// Waits until the API server calls the hooks, or calls them no more: its own view of them lags.
pub(crate) async fn in_force(fixture: &Fixture, labelled: &str, wanted: bool) -> Result<()> {
    let probe = job_with("probe", 1, "10m", "16Mi", "true", "");
    eventually(&format!("hooks are in force: {wanted}"), || async {
        let args = ["create", "--dry-run=server", "-n", labelled, "-o", "json", "-f", "-"];
        let answer: Value = serde_json::from_str(&fixture.world.kubectl_with(&args, &probe).await?)?;
        let called = answer["spec"]["suspend"] == json!(true);
        Ok(if called == wanted { Ok(()) } else { Err(format!("called: {called}")) })
    })
    .await
}
