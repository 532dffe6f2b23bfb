//! What stands before the first Job: a cluster without batch nodes, Bulkhead in it, an environment, a queue, namespaces.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use testbed::{Cluster, NodeOptions, Release, UpOptions};

use super::blocking;
use super::forms::{ENVIRONMENT, FORMS, MAX_VCPUS, ORDINARY, QUEUE, objects};
use super::voice::Voice;
use crate::image::root;
use crate::install;

/// What the story is told with.
pub(super) struct Stage {
    /// UUID of the environment.
    pub(super) environment_uuid: String,
    /// A cluster administrator.
    pub(super) client: Client,
}

/// Brings the cluster up, with one ordinary node. One of this name that is left over is replaced.
pub(super) async fn cluster(voice: Voice, name: &str, kubernetes: Release) -> Result<Cluster> {
    if Cluster::open(name).is_ok() {
        voice.say("", &format!("A cluster {name} is left over from before: replacing it"));
    }
    let own = name.to_owned();
    blocking(move || Cluster::take_down(&own)).await?;
    voice.say(
        "",
        &format!(
            "A local Kubernetes {kubernetes} comes up (the first time its programs are built, which takes minutes)"
        ),
    );
    let own = name.to_owned();
    let options = UpOptions { kubernetes: Some(kubernetes), ..UpOptions::default() };
    let cluster = blocking(move || Cluster::up(&own, &options)).await?;
    let booting = cluster.clone();
    let options = NodeOptions { name: ORDINARY.to_owned(), ..NodeOptions::default() };
    blocking(move || booting.add_node(&options)).await?;
    voice.say(ORDINARY, "is Ready: one ordinary node, and no batch node");
    Ok(cluster)
}

/// Installs Bulkhead as a user would.
pub(super) async fn bulkhead(voice: Voice, cluster: &Cluster) -> Result<()> {
    voice.say("", "Bulkhead is built and installed: its image, then kubectl apply -f manifests/bulkhead.yaml");
    let cluster = cluster.clone();
    blocking(move || install::install(&cluster)).await
}

/// Makes the environment, the queue and the namespaces, and waits until the environment can be used.
pub(super) async fn stage(voice: Voice, cluster: &Cluster) -> Result<Stage> {
    let own = cluster.clone();
    let uuid = blocking(move || {
        own.kubectl_input(&["apply", "-f", "-"], &objects(&own.provider_url()))?;
        let environment = format!("computeenvironment/{ENVIRONMENT}");
        own.kubectl_run(&["wait", "--for=jsonpath={.status.status}=VALID", "--timeout=60s", &environment])
            .with_context(|| format!("the compute environment {ENVIRONMENT} did not become VALID"))?;
        own.kubectl_run(&["get", &environment, "-o", "jsonpath={.status.uuid}"])
    });
    let environment_uuid = uuid.await?;
    ensure!(!environment_uuid.is_empty(), "the compute environment {ENVIRONMENT} has no UUID in its status");
    voice.say(
        ENVIRONMENT,
        &format!("compute environment: at most {MAX_VCPUS} vCPUs of machines, each goes when idle for 5 s"),
    );
    voice.say(QUEUE, &format!("job queue in front of {ENVIRONMENT}"));
    let namespaces = FORMS.map(|form| form.namespace).join(", ");
    voice.say(
        "",
        &format!("Namespaces {namespaces} get the label bulkhead.dev/queue={QUEUE}; nothing else is asked of users"),
    );
    let clients = ::cluster::client::connect(Some(cluster.kubeconfig())).await?;
    Ok(Stage { environment_uuid, client: clients.retrying })
}

/// Applies the Jobs, as they are.
pub(super) async fn apply(voice: Voice, cluster: Cluster) -> Result<()> {
    for form in FORMS {
        voice.say(form.namespace, &format!("kubectl apply -n {} -f {} ({})", form.namespace, form.file, form.about));
        let cluster = cluster.clone();
        let file = root().join(form.file).display().to_string();
        blocking(move || cluster.kubectl_run(&["apply", "-n", form.namespace, "-f", &file])).await?;
    }
    Ok(())
}
