//! The fault table of admission: what goes wrong, what other workloads see of it (nothing), and what batch workloads see.
//!
//! Every row: a Job waits in its queue; something breaks; a Deployment and a Job of an ordinary namespace are made and run; new
//! batch Jobs are taken all the same, and nothing of them runs outside of the contract; what was broken is mended; everything
//! completes inside the contract.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, eventually, job, steadily};

use crate::outage::{DEPLOYMENT, in_contract, promptly};
use crate::rogue::{Authority, Manner, Rogue};
use crate::{Company, Scenario, certificates, hooks};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario(
            "the webhook is gone: others notice nothing, pods of a queue are refused, with a reason, until it is back",
            "gone",
            |fixture| Box::pin(row(fixture, &Gone)),
        ),
        scenario(
            "the webhook hangs for 30 s: others notice nothing, pods of a queue are refused until it answers",
            "hang",
            |fixture| Box::pin(row(fixture, &Misbehaves(Manner::Hangs))),
        ),
        scenario(
            "the webhook answers garbage: others notice nothing, pods of a queue are refused until it answers",
            "garb",
            |fixture| Box::pin(row(fixture, &Misbehaves(Manner::Garbage))),
        ),
        scenario(
            "the webhook's certificate has expired: others notice nothing, the controller renews it",
            "exp",
            |fixture| Box::pin(row(fixture, &Expired)),
        ),
        scenario("every caBundle is wrong: others notice nothing, the controller corrects them", "wrong", |fixture| {
            Box::pin(row(fixture, &WrongBundle))
        }),
        scenario("one of two webhook replicas is dead: nobody notices anything", "half", |fixture| {
            Box::pin(row(fixture, &HalfDead))
        }),
        scenario("the API server is restarted: nothing of a queue is lost or escapes", "api", |fixture| {
            Box::pin(row(fixture, &ApiServer))
        }),
        scenario(
            "the webhook configuration is deleted by hand: others notice nothing, nothing is released, with a reason, until it is back",
            "del",
            |fixture| Box::pin(row(fixture, &Deleted)),
        ),
    ]
}

fn scenario(
    name: &'static str,
    short: &'static str,
    run: for<'a> fn(&'a Fixture) -> BoxFuture<'a, Result<()>>,
) -> Scenario {
    Scenario { name, short, company: Company::Nobody, local_only: true, run }
}

/// What a batch Job that is made during the fault sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    /// It is taken, and none of its pods is made before the fault is over.
    Waits,
    /// It completes as ever.
    Completes,
    /// The hooks were taken away on purpose: it is not made.
    NotMade,
}

/// One kind of fault.
trait Fault: Sync {
    /// Breaks it. What is returned is kept until it is mended.
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>>;
    /// Mends it.
    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>>;
    /// What a new batch Job sees.
    fn new_jobs(&self) -> New;
    /// Words of the reason of a Job that there is room for during the fault; `None`: it starts, or nobody is there to say.
    fn reason(&self) -> Option<(&'static str, &'static str)> {
        None
    }
}

async fn row(fixture: &Fixture, fault: &dyn Fault) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("q", Some(&queue)).await?;
    let ordinary = fixture.namespace("o", None).await?;
    fixture.apply(&namespace, &job("waits", 2, "50m", "16Mi", "true")).await?;
    fixture.waits_with(&namespace, "waits", "CAPACITY:NO_ROOM").await?;

    let kept = fault.start(fixture).await?;
    fixture.apply(&ordinary, &job("late", 2, "50m", "16Mi", "true")).await?;
    fixture.apply(&ordinary, DEPLOYMENT).await?;
    promptly(fixture, &ordinary).await?;
    if fault.new_jobs() != New::NotMade {
        // Taken, whatever the state of the webhook: its policy for Jobs is to ignore failures.
        fixture.apply(&namespace, &job("new", 2, "50m", "16Mi", "true")).await?;
    }
    if fault.new_jobs() == New::Waits {
        refused(fixture, &queue, [&namespace, &ordinary]).await?;
    }
    // Nodes are tainted by the controller, so where it is away nobody can have room for the Job that waits.
    let with_controller = fault.reason().is_some() || fault.new_jobs() == New::Completes;
    if with_controller {
        fixture.label_node(&environment, "n", "1", "1Gi").await?;
    }
    if let Some((code, words)) = fault.reason() {
        let said = fixture.waits_with(&namespace, "waits", code).await?;
        ensure!(said.contains(words), "reason: {said}");
    }
    if fault.new_jobs() == New::Waits {
        steadily(Duration::from_secs(5), "nothing of a queue runs", || async {
            let pods = fixture.pods(&namespace).list(&ListParams::default()).await?.items;
            let names: Vec<String> = pods.iter().map(Pod::name_any).collect();
            Ok(if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) })
        })
        .await?;
    }
    if fault.new_jobs() == New::Completes {
        completed(fixture, &namespace, "new").await?;
    }
    fault.end(fixture).await?;
    drop(kept);
    if !with_controller {
        fixture.label_node(&environment, "n", "1", "1Gi").await?;
    }
    for name in ["waits", "new"] {
        if name == "waits" || fault.new_jobs() != New::NotMade {
            completed(fixture, &namespace, name).await?;
        }
    }
    if fault.new_jobs() == New::Waits {
        fixture.completed(&namespace, "manual").await?;
        let pods = fixture.pods(&namespace).list(&ListParams::default().labels("app=manual")).await?.items;
        ensure!(!pods.is_empty() && pods.iter().all(in_contract), "pods of a Job with its own selector ran outside");
    }
    // Others still do as they did.
    let strays = fixture.pods(&ordinary).list(&ListParams::default()).await?.items;
    ensure!(!strays.is_empty() && !strays.iter().any(in_contract), "pods of an ordinary namespace were touched");
    Ok(())
}

/// What may not be stored meanwhile, and what may and does not escape.
async fn refused(fixture: &Fixture, queue: &str, [namespace, ordinary]: [&str; 2]) -> Result<()> {
    // One that names a queue itself waits for the hooks, wherever it is.
    let mut named: Value = serde_json::from_str(NAMED)?;
    named["metadata"]["labels"][keys::QUEUE] = json!(queue);
    let made = fixture.apply(ordinary, &named.to_string()).await;
    ensure!(made.is_err_and(|error| format!("{error:#}").contains("late-jobs.bulkhead.dev")), "it is stored");
    // So does one that looks as if the hooks had seen it.
    let made = fixture.apply(namespace, &forged(queue)?.to_string()).await;
    ensure!(made.is_err_and(|error| format!("{error:#}").contains("stamped-jobs.bulkhead.dev")), "it is stored");
    // The pods of this one bear no label by which they could be known as a Job's.
    fixture.apply(namespace, MANUAL).await.map(drop)
}

/// A Job that is to name a queue.
const NAMED: &str = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "named"}, "spec": {"template": {"spec":
    {"restartPolicy": "Never", "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["true"]}]}}}}"#;

/// A Job with another's id, on itself and on its pods.
fn forged(queue: &str) -> Result<Value> {
    let mut forged: Value = serde_json::from_str(NAMED)?;
    forged["metadata"]["labels"] = json!({keys::QUEUE: queue, keys::JOB_ID: "another"});
    forged["spec"]["suspend"] = json!(true);
    forged["spec"]["template"]["metadata"] = json!({"labels": forged["metadata"]["labels"]});
    Ok(forged)
}

/// A Job with a selector of its own.
const MANUAL: &str = r#"{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "manual"}, "spec": {
    "manualSelector": true, "selector": {"matchLabels": {"app": "manual"}}, "template": {"metadata": {"labels": {"app": "manual"}}, "spec":
    {"restartPolicy": "Never", "containers": [{"name": "main", "image": "docker.io/library/busybox", "command": ["true"]}]}}}}"#;

/// Waits until a Job has completed, and looks whether its pods went through the queue.
async fn completed(fixture: &Fixture, namespace: &str, name: &str) -> Result<()> {
    fixture.completed(namespace, name).await?;
    let pods = fixture.pods_of(namespace, name).await?;
    ensure!(pods.len() == 2 && pods.iter().all(in_contract), "pods of {namespace}/{name} are outside the contract");
    Ok(())
}

const WEBHOOK: &str = "deployment/bulkhead-webhook";
const CONTROLLER: &str = "statefulset/bulkhead-controller";

async fn scale(fixture: &Fixture, deployment: &str, replicas: u32) -> Result<()> {
    let replicas = format!("--replicas={replicas}");
    fixture.world.kubectl(&["scale", "-n", keys::NAMESPACE, deployment, &replicas]).await?;
    let args = ["rollout", "status", "-n", keys::NAMESPACE, deployment, "--timeout=120s"];
    fixture.world.kubectl(&args).await.map(drop)
}

/// Both replicas are gone.
struct Gone;

impl Fault for Gone {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            fixture.on_clean(&["scale", "-n", keys::NAMESPACE, WEBHOOK, "--replicas=2"], "");
            fixture.on_clean(&["rollout", "status", "-n", keys::NAMESPACE, WEBHOOK, "--timeout=120s"], "");
            scale(fixture, WEBHOOK, 0).await?;
            let pods = fixture.pods(keys::NAMESPACE);
            let webhook = ListParams::default().labels("app.kubernetes.io/component=webhook");
            eventually("no webhook is left", || async {
                let left = pods.list(&webhook).await?.items.len();
                Ok(if left == 0 { Ok(()) } else { Err(format!("{left} pods")) })
            })
            .await?;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(scale(fixture, WEBHOOK, 2))
    }

    fn new_jobs(&self) -> New {
        New::Waits
    }

    fn reason(&self) -> Option<(&'static str, &'static str)> {
        Some(("ADMISSION:PODS_REFUSED", "pods.bulkhead.dev"))
    }
}

fn nothing() -> Box<dyn std::any::Any + Send> {
    Box::new(())
}

/// The hooks are answered by something that misbehaves.
struct Misbehaves(Manner);

impl Fault for Misbehaves {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            let hooks = hooks::save(fixture).await?;
            let rogue = Rogue::start(fixture, self.0).await?;
            hooks::replace(fixture, &hooks::with_client(&hooks, |_| rogue.client()).to_string()).await?;
            Ok(Box::new((rogue, hooks)) as Box<dyn std::any::Any + Send>)
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            // With the manifest; the controller fills in the certificates.
            hooks::replace(fixture, MANIFEST).await
        })
    }

    fn new_jobs(&self) -> New {
        New::Waits
    }

    fn reason(&self) -> Option<(&'static str, &'static str)> {
        Some(("ADMISSION:PODS_REFUSED", "pods.bulkhead.dev"))
    }
}

/// What installs the hooks.
const MANIFEST: &str = include_str!("../../manifests/parts/90-webhooks.yaml");

/// The replicas serve a certificate that is over. Nobody renews it until the controller is back.
struct Expired;

impl Fault for Expired {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            fixture.without_controller().await?;
            let authority = Authority::new()?;
            let leaf = authority.issue("bulkhead-webhook.bulkhead-system.svc", true)?;
            let data = BTreeMap::from(
                [("tls.crt", &leaf.certificate), ("tls.key", &leaf.key)]
                    .map(|(key, text)| (key, ByteString(text.clone().into_bytes()))),
            );
            let secrets: Api<Secret> = Api::namespaced(fixture.world.client.clone(), keys::NAMESPACE);
            secrets
                .patch("bulkhead-webhook-tls", &PatchParams::default(), &Patch::Merge(json!({"data": data})))
                .await?;
            let hooks = hooks::save(fixture).await?;
            hooks::replace(fixture, &hooks::with_client(&hooks, |client| trusting(client, &authority)).to_string())
                .await?;
            certificates::serve(fixture, &leaf.certificate).await?;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(scale(fixture, CONTROLLER, 1))
    }

    fn new_jobs(&self) -> New {
        New::Waits
    }
}

fn trusting(client: &Value, authority: &Authority) -> Value {
    let mut client = client.clone();
    client["caBundle"] = json!(ByteString(authority.certificate.clone().into_bytes()));
    client
}

/// Every caBundle trusts somebody else.
struct WrongBundle;

impl Fault for WrongBundle {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            fixture.without_controller().await?;
            let authority = Authority::new()?;
            let hooks = hooks::save(fixture).await?;
            hooks::replace(fixture, &hooks::with_client(&hooks, |client| trusting(client, &authority)).to_string())
                .await?;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(scale(fixture, CONTROLLER, 1))
    }

    fn new_jobs(&self) -> New {
        New::Waits
    }
}

/// One replica dies without a word; its Deployment makes another one.
struct HalfDead;

impl Fault for HalfDead {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            let pods = fixture.pods(keys::NAMESPACE);
            let webhook = ListParams::default().labels("app.kubernetes.io/component=webhook");
            let all = pods.list(&webhook).await?.items;
            let one = all.first().context("no webhook")?.name_any();
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            pods.delete(&one, &now).await?;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let args = ["rollout", "status", "-n", keys::NAMESPACE, WEBHOOK, "--timeout=120s"];
            fixture.world.kubectl(&args).await.map(drop)
        })
    }

    fn new_jobs(&self) -> New {
        New::Completes
    }
}

/// The API server ends and comes back.
struct ApiServer;

impl Fault for ApiServer {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            let cluster = fixture.world.local()?.clone();
            tokio::task::spawn_blocking(move || cluster.restart_api_server()).await??;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, _: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn new_jobs(&self) -> New {
        New::Completes
    }
}

/// Somebody deletes the hooks and the policies. What is new is not theirs any more, so nothing is made here; what waits, waits.
struct Deleted;

impl Fault for Deleted {
    fn start<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<Box<dyn std::any::Any + Send>>> {
        Box::pin(async {
            hooks::save(fixture).await?;
            fixture.on_clean(&["apply", "-f", "-"], POLICIES);
            let label = "app.kubernetes.io/name=bulkhead";
            for kind in ["validatingadmissionpolicybindings", "validatingadmissionpolicies"] {
                fixture.world.kubectl(&["delete", kind, "-l", label]).await?;
            }
            hooks::delete(fixture).await?;
            Ok(nothing())
        })
    }

    fn end<'a>(&'a self, fixture: &'a Fixture) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            fixture.world.apply(POLICIES).await?;
            fixture.world.apply(MANIFEST).await.map(drop)
        })
    }

    fn new_jobs(&self) -> New {
        New::NotMade
    }

    fn reason(&self) -> Option<(&'static str, &'static str)> {
        Some(("ADMISSION:HOOKS_MISSING", "apply Bulkhead's manifest again"))
    }
}

/// What installs the policies.
const POLICIES: &str = concat!(
    include_str!("../../manifests/parts/91-policies-of-nodes.yaml"),
    "---\n",
    include_str!("../../manifests/parts/91-policies-of-pods.yaml"),
    "---\n",
    include_str!("../../manifests/parts/91-policies-of-queues.yaml"),
    "---\n",
    include_str!("../../manifests/parts/91-policies-of-templates.yaml"),
    "---\n",
    include_str!("../../manifests/parts/92-policies-queues.yaml"),
);
