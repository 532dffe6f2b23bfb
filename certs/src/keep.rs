//! The leader's loop: keeps its Secret filled, every webhook's `caBundle` up to date, and the leaf where those who serve find it.
//!
//! Invariant: a CA is stored before anybody is asked to trust it, a leaf counts as served only when it has been handed on, and every write
//! names the version it was decided on. Each pass starts from what the API server says, so a pass may end anywhere and another process
//! may go on.
//!
//! It does not decide what is issued.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cluster::telemetry::chain;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::{
    admissionregistration::v1::MutatingWebhookConfiguration,
    core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt, watcher},
};

use crate::{
    config::{Config, ConfigError},
    data::{BUNDLE, Data},
    decide::{Action, decide, staggered},
    examine::{Stored, examine},
    inject,
    issue::{self, IssueError},
    memory::Memory,
};

/// No single request may hold up the loop for longer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Steps in one pass: the longest sequence (make everything, trust it) takes three; the rest is for lost races.
const STEPS: usize = 8;

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("cannot {what}")]
    Api {
        what: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("cannot {what}: the API server did not answer within {REQUEST_TIMEOUT:?}")]
    Timeout { what: &'static str },
    #[error("cannot issue a certificate")]
    Issue(#[from] IssueError),
    #[error("somebody else keeps changing the certificates or the webhook configuration")]
    Races,
}

/// Whether there is something left to do in this pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Again,
    Done,
}

/// What keeps certificates and bundles. Only the leader may run it. Trouble with the API server is logged and tried again.
///
/// The error is that of a configuration that cannot work.
pub fn keep(client: Client, config: Config) -> Result<impl Future<Output = ()> + Send + 'static, ConfigError> {
    config.validate()?;
    let mut keeper = Keeper::new(client, config);
    Ok(async move { keeper.run().await })
}

type SecretData = Option<BTreeMap<String, ByteString>>;

struct Keeper {
    secrets: Api<Secret>,
    configurations: Api<MutatingWebhookConfiguration>,
    bundles: Api<ConfigMap>,
    config: Config,
    memory: Memory,
    /// The last trouble that was logged, so that it is logged once and not every few seconds.
    trouble: Option<String>,
    told_absent: Vec<String>,
}

impl Keeper {
    fn new(client: Client, config: Config) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), &config.namespace),
            bundles: Api::namespaced(client.clone(), &config.namespace),
            configurations: Api::all(client),
            config,
            memory: Memory::default(),
            trouble: None,
            told_absent: Vec::new(),
        }
    }

    async fn run(&mut self) {
        let of_configurations = self.config.webhook_configurations.iter();
        let of_configurations = of_configurations.map(|name| changes(self.configurations.clone(), name).boxed());
        let of_configurations = stream::select_all(of_configurations.collect::<Vec<_>>());
        let secrets = stream::select(
            changes(self.secrets.clone(), &self.config.secret),
            changes(self.secrets.clone(), &self.config.leaf_secret),
        );
        let changes = stream::select(secrets, of_configurations);
        tokio::pin!(changes);
        loop {
            self.pass().await;
            tokio::select! {
                () = tokio::time::sleep(self.config.look_every) => {}
                _ = changes.next() => {}
            }
        }
    }

    async fn pass(&mut self) {
        let steps = self.steps().await;
        // Nobody who is served hangs on it.
        let published = self.publish().await;
        match steps.and(published) {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    tracing::info!("certificates are kept again");
                }
            }
            Err(error) => {
                let trouble = chain(&error);
                if self.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(error = trouble, "certificates cannot be kept, trying again");
                    self.trouble = Some(trouble);
                }
            }
        }
    }

    async fn steps(&mut self) -> Result<(), KeepError> {
        for _ in 0..STEPS {
            if self.step().await? == Step::Done {
                return Ok(());
            }
        }
        Err(KeepError::Races)
    }

    /// Reads everything; then trusts what is stored, or issues what is missing, or finds that all is well.
    async fn step(&mut self) -> Result<Step, KeepError> {
        let secret = within("read the certificates' Secret", self.secrets.get_opt(&self.config.secret)).await?;
        let configurations = self.configurations().await?;
        let data = secret.as_ref().map(|secret| Data::read(secret.data.as_ref()));
        let stored = data.as_ref().map(|data| examine(data, &self.config.names));
        if let Some(stored) = &stored {
            for configuration in &configurations {
                if let Some(patch) = inject::patch(configuration, &stored.bundle()) {
                    return self.inject(&configuration.name_any(), patch).await;
                }
            }
            if stored.leaf.is_ok()
                && let Some(step) = self.hand_on(data.as_ref()).await?
            {
                return Ok(step);
            }
            let bundles: Vec<_> = configurations.iter().flat_map(inject::bundles).collect();
            self.memory.note(stored, &bundles, Instant::now());
        }
        let now = Timestamp::now();
        let times = &self.config.times;
        let settled = stored.as_ref().map(|stored| self.memory.settled(stored, times.settle, Instant::now()));
        let action = decide(stored.as_ref(), settled.unwrap_or_default(), now, times);
        match carry_out(&action, data.unwrap_or_default(), stored.as_ref(), &self.config, now)? {
            None => Ok(Step::Done),
            Some(data) => {
                tell(&action, &self.config.secret);
                self.store(secret, &data).await
            }
        }
    }

    /// Brings the Secret for those who serve to what is stored. `None`: it is.
    async fn hand_on(&self, data: Option<&Data>) -> Result<Option<Step>, KeepError> {
        let (name, wanted) = (&self.config.leaf_secret, data.map(Data::write_leaf));
        let secret = within("read the serving certificate's Secret", self.secrets.get_opt(name)).await?;
        if secret.as_ref().is_some_and(|secret| secret.data == wanted) {
            return Ok(None);
        }
        let step = self.write(name, secret, wanted).await?;
        tracing::info!(secret = name, "the serving certificate is handed on");
        Ok(Some(step))
    }

    /// Brings the `ConfigMap` for clients of the API to what they should trust.
    async fn publish(&self) -> Result<(), KeepError> {
        let secret = within("read the certificates' Secret", self.secrets.get_opt(&self.config.secret)).await?;
        let Some(secret) = secret else { return Ok(()) };
        let bundle = examine(&Data::read(secret.data.as_ref()), &self.config.names).bundle();
        let (name, wanted) = (&self.config.bundle, BTreeMap::from([(BUNDLE.to_owned(), bundle)]));
        let params = PostParams::default();
        let written = match within("read the ConfigMap of the CAs", self.bundles.get_opt(name)).await? {
            Some(found) if found.data.as_ref() == Some(&wanted) => return Ok(()),
            Some(found) => {
                let changed = ConfigMap { data: Some(wanted), ..found };
                within("replace the ConfigMap of the CAs", self.bundles.replace(name, &params, &changed)).await
            }
            None => {
                let metadata = new_secret(&self.config.namespace, name).metadata;
                let new = ConfigMap { metadata, data: Some(wanted), ..ConfigMap::default() };
                within("create the ConfigMap of the CAs", self.bundles.create(&params, &new)).await
            }
        };
        again_after_race(written.map(drop)).map(drop)
    }

    /// Those that are there.
    async fn configurations(&mut self) -> Result<Vec<MutatingWebhookConfiguration>, KeepError> {
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        for name in &self.config.webhook_configurations {
            match within("read a MutatingWebhookConfiguration", self.configurations.get_opt(name)).await? {
                Some(configuration) => found.push(configuration),
                None => absent.push(name.clone()),
            }
        }
        for name in absent.iter().filter(|name| !self.told_absent.contains(name)) {
            tracing::info!(
                configuration = name,
                "there is no MutatingWebhookConfiguration of this name yet; it will be filled when it comes"
            );
        }
        self.told_absent = absent;
        Ok(found)
    }

    async fn inject(&self, name: &str, patch: serde_json::Value) -> Result<Step, KeepError> {
        let patch: Patch<()> = match serde_json::from_value(patch) {
            Ok(patch) => Patch::Json(patch),
            Err(error) => unreachable!("the patch is built from valid operations: {error}"),
        };
        let params = PatchParams::default();
        let written = within("write caBundle", self.configurations.patch(name, &params, &patch)).await;
        if written.is_ok() {
            tracing::info!(configuration = name, "every webhook trusts both CAs");
        }
        again_after_race(written.map(drop))
    }

    async fn store(&self, secret: Option<Secret>, data: &Data) -> Result<Step, KeepError> {
        self.write(&self.config.secret, secret, Some(data.write())).await
    }

    async fn write(&self, name: &str, secret: Option<Secret>, data: SecretData) -> Result<Step, KeepError> {
        let params = PostParams::default();
        let written = if let Some(secret) = secret {
            let secret = Secret { data, ..secret };
            within("replace a Secret of the certificates", self.secrets.replace(name, &params, &secret)).await
        } else {
            let secret = Secret { data, ..new_secret(&self.config.namespace, name) };
            within("create a Secret of the certificates", self.secrets.create(&params, &secret)).await
        };
        again_after_race(written.map(drop))
    }
}

/// What the Secret holds after the action; `None` when nothing changes.
pub(crate) fn carry_out(
    action: &Action,
    mut data: Data,
    stored: Option<&Stored>,
    config: &Config,
    now: Timestamp,
) -> Result<Option<Data>, IssueError> {
    let (ca_life, leaf_life) = (config.times.ca_life, config.times.leaf_life);
    match *action {
        Action::Nothing => return Ok(None),
        Action::Everything { .. } => {
            let second = issue::ca(now, ca_life)?;
            let end = now.checked_add(ca_life).unwrap_or(Timestamp::MAX);
            let life = staggered(ca_life, end, now);
            let first = issue::ca(now, life)?;
            let first_end = now.checked_add(life).unwrap_or(Timestamp::MAX);
            data.leaf = issue::leaf(&first, first_end, &config.names, now, leaf_life)?;
            data.cas = [first, second];
        }
        Action::Leaf { signer, .. } => {
            let ca = stored.and_then(|stored| stored.cas[signer].as_ref().ok());
            let end = ca.map_or(now, |ca| ca.certificate.not_after);
            data.leaf = issue::leaf(&data.cas[signer], end, &config.names, now, leaf_life)?;
        }
        Action::Ca { slot, life, .. } => data.cas[slot] = issue::ca(now, life)?,
    }
    Ok(Some(data))
}

fn tell(action: &Action, secret: &str) {
    match action {
        Action::Nothing => {}
        Action::Everything { why } => tracing::info!(secret, %why, "issuing both CAs and the serving certificate"),
        Action::Leaf { signer, why } => {
            tracing::info!(secret, %why, ca = signer + 1, "issuing a new serving certificate");
        }
        Action::Ca { slot, why, .. } => tracing::info!(secret, %why, ca = slot + 1, "issuing a new CA"),
    }
}

fn new_secret(namespace: &str, name: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([("app.kubernetes.io/part-of".to_owned(), "bulkhead".to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// A sign for every change of one object, also for troubles of the watch, which looks again by itself.
pub(crate) fn changes<K>(api: Api<K>, name: &str) -> impl Stream<Item = ()> + Send + use<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, only).default_backoff().map(|event| {
        if let Err(error) = event {
            tracing::debug!(error = chain(&error), "a watch failed and goes on");
        }
    })
}

async fn within<T>(what: &'static str, request: impl Future<Output = kube::Result<T>>) -> Result<T, KeepError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|source| KeepError::Api { what, source: Box::new(source) }),
        Err(_) => Err(KeepError::Timeout { what }),
    }
}

/// Somebody else's write in between is no trouble: everything is read again.
fn again_after_race(written: Result<(), KeepError>) -> Result<Step, KeepError> {
    match written {
        Err(KeepError::Api { source, .. }) if is_race(&source) => Ok(Step::Again),
        other => other.map(|()| Step::Again),
    }
}

/// 409: the version is an old one, or the object exists by now. 404: it is gone by now.
fn is_race(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409))
}
