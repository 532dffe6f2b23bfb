//! Registry, etcd, API server, controller-manager and scheduler of one cluster, as processes of this machine.
//! Invariant: each talks to the API server under an identity of its own. Which files and flags is decided here and in
//! `config`; how a process is kept is in `process`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::cluster::Cluster;
use crate::pki::{Authority, Pair, Subject, ensure_token_keys};
use crate::process::{self, Start};
use crate::slot::{API_PORT, REGISTRY_PORT};
use crate::{command, config, files};

/// Names of the processes in the order they start.
pub(crate) const COMPONENTS: [&str; 5] =
    ["registry", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts what is not running and waits until the API server answers and a pod could be created.
pub(crate) fn start(cluster: &Cluster) -> Result<()> {
    let plan = Plan::prepare(cluster)?;
    for (component, program, args) in [
        ("registry", PathBuf::from("docker-registry"), plan.registry()?),
        ("etcd", cluster.program("etcd"), plan.etcd()),
        ("kube-apiserver", cluster.program("kube-apiserver"), plan.apiserver()),
    ] {
        launch(cluster, component, program, args)?;
    }
    wait(cluster, "the API server", &["etcd", "kube-apiserver"], || {
        cluster.kubectl_run(&["get", "--raw", "/readyz"]).is_ok()
    })?;
    for (component, args) in
        [("kube-controller-manager", plan.controller_manager()), ("kube-scheduler", plan.scheduler()?)]
    {
        launch(cluster, component, cluster.program(component), args)?;
    }
    let address = SocketAddr::from((cluster.slot().gateway(), REGISTRY_PORT));
    wait(cluster, "the image registry", &["registry"], || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    })?;
    wait(cluster, "the default service account", &["kube-controller-manager", "kube-scheduler"], || {
        cluster.kubectl_run(&["get", "serviceaccount", "default", "-n", "default"]).is_ok()
    })
}

/// Starts one process of the control plane unless it runs.
pub(crate) fn launch(cluster: &Cluster, component: &str, program: PathBuf, args: Vec<String>) -> Result<bool> {
    process::start(&Start {
        program,
        args,
        env: std::collections::BTreeMap::new(),
        namespace: None,
        marker: format!("{}/{component}", cluster.name()),
        log: cluster.layout().log(component),
        pid_file: cluster.layout().pid(component),
    })
}

/// Polls until `done`, giving up when one of the components ends.
pub(crate) fn wait(cluster: &Cluster, what: &str, components: &[&str], done: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !done() {
        for component in components {
            if !process::state(&cluster.layout().pid(component)).alive {
                let log = process::last_lines(&cluster.layout().log(component));
                bail!("{component} ended while waiting for {what}; {log}");
            }
        }
        if Instant::now() > end {
            let log = process::last_lines(&cluster.layout().log(components[components.len() - 1]));
            bail!("{what} is not ready after {} s; {log}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Writes a kubeconfig for a user with a certificate of its own and returns its path.
pub(crate) fn identity(
    cluster: &Cluster,
    authority: &Authority<'_>,
    stem: &str,
    subject: &Subject<'_>,
) -> Result<PathBuf> {
    let pair = authority.ensure_pair(stem, subject)?;
    let path = cluster.layout().config(&format!("{stem}.kubeconfig"));
    let text = config::kubeconfig(&cluster.slot().api_url(), &cluster.layout().pki("ca.crt"), &pair);
    files::write_secret(&path, &serde_json::to_string_pretty(&text)?)?;
    Ok(path)
}

/// Files of the control plane, made once.
struct Plan<'c> {
    cluster: &'c Cluster,
    serving: Pair,
    kubelet_client: Pair,
    token_private: PathBuf,
    token_public: PathBuf,
    controller_manager: PathBuf,
    scheduler: PathBuf,
}

impl<'c> Plan<'c> {
    fn prepare(cluster: &'c Cluster) -> Result<Self> {
        let slot = cluster.slot();
        let authority = Authority::ensure(cluster.layout())?;
        let client = |stem: &str, name: &str, group: Option<&str>| {
            identity(cluster, &authority, stem, &Subject { name, group, ..Subject::default() })
        };
        client("admin", "kubernetes-admin", Some("system:masters"))?;
        client("kube-proxy", "system:kube-proxy", None)?;
        let controller_manager = client("kube-controller-manager", "system:kube-controller-manager", None)?;
        let scheduler = client("kube-scheduler", "system:kube-scheduler", None)?;
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let serving = authority.ensure_pair(
            "serving",
            &Subject {
                name: "kube-apiserver",
                group: None,
                addresses: vec![slot.gateway().into(), slot.api_service().into(), local],
                hosts: vec!["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
            },
        )?;
        // The group lets it past the kubelets' authorization, which asks this same API server.
        let kubelet_client = authority.ensure_pair(
            "apiserver-kubelet-client",
            &Subject { name: "kube-apiserver-kubelet-client", group: Some("system:masters"), ..Subject::default() },
        )?;
        let (token_private, token_public) = ensure_token_keys(cluster.layout())?;
        Ok(Self { cluster, serving, kubelet_client, token_private, token_public, controller_manager, scheduler })
    }

    fn registry(&self) -> Result<Vec<String>> {
        let layout = self.cluster.layout();
        let path = layout.config("registry.yaml");
        let text = config::registry(self.cluster.slot(), &layout.config("registry"));
        files::write(&path, &serde_json::to_string_pretty(&text)?)?;
        Ok(vec!["serve".to_owned(), path.display().to_string()])
    }

    fn etcd(&self) -> Vec<String> {
        let (client, peer) = self.cluster.slot().etcd_ports();
        flags(&format!(
            "--unsafe-no-fsync --data-dir={data} --listen-client-urls=http://127.0.0.1:{client} \
             --advertise-client-urls=http://127.0.0.1:{client} --listen-peer-urls=http://127.0.0.1:{peer} \
             --initial-advertise-peer-urls=http://127.0.0.1:{peer} --initial-cluster=default=http://127.0.0.1:{peer}",
            data = self.cluster.layout().etcd_data().display(),
        ))
    }

    fn apiserver(&self) -> Vec<String> {
        let (slot, layout) = (self.cluster.slot(), self.cluster.layout());
        flags(&format!(
            "--etcd-servers=http://127.0.0.1:{etcd} --secure-port={API_PORT} --bind-address={gateway} \
             --advertise-address={gateway} --tls-cert-file={cert} --tls-private-key-file={key} --client-ca-file={ca} \
             --kubelet-client-certificate={kubelet_cert} --kubelet-client-key={kubelet_key} \
             --kubelet-certificate-authority={ca} --kubelet-preferred-address-types=InternalIP \
             --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
             --service-account-issuer=https://kubernetes.default.svc.cluster.local \
             --service-account-key-file={public} --service-account-signing-key-file={private} \
             --service-cluster-ip-range={services} --enable-aggregator-routing=true",
            etcd = slot.etcd_ports().0,
            gateway = slot.gateway(),
            cert = self.serving.cert.display(),
            key = self.serving.key.display(),
            ca = layout.pki("ca.crt").display(),
            kubelet_cert = self.kubelet_client.cert.display(),
            kubelet_key = self.kubelet_client.key.display(),
            public = self.token_public.display(),
            private = self.token_private.display(),
            services = slot.services(),
        ))
    }

    fn controller_manager(&self) -> Vec<String> {
        let layout = self.cluster.layout();
        let mut args = self.client_flags(&self.controller_manager);
        args.extend(flags(&format!(
            "--kubeconfig={kubeconfig} --use-service-account-credentials=true --leader-elect=false \
             --service-account-private-key-file={private} --root-ca-file={ca} --cluster-signing-cert-file={ca} \
             --cluster-signing-key-file={ca_key} --controllers=*,-node-ipam-controller \
             --kube-api-qps=200 --kube-api-burst=400",
            kubeconfig = self.controller_manager.display(),
            private = self.token_private.display(),
            ca = layout.pki("ca.crt").display(),
            ca_key = layout.pki("ca.key").display(),
        )));
        args
    }

    fn scheduler(&self) -> Result<Vec<String>> {
        let path = self.cluster.layout().config("kube-scheduler.yaml");
        files::write(&path, &serde_json::to_string_pretty(&config::scheduler(&self.scheduler))?)?;
        let mut args = self.client_flags(&self.scheduler);
        args.push(format!("--config={}", path.display()));
        Ok(args)
    }

    /// How a component serves, and how it checks who asks it.
    fn client_flags(&self, kubeconfig: &Path) -> Vec<String> {
        flags(&format!(
            "--bind-address={gateway} --tls-cert-file={cert} --tls-private-key-file={key} \
             --authentication-kubeconfig={kubeconfig} --authorization-kubeconfig={kubeconfig}",
            gateway = self.cluster.slot().gateway(),
            cert = self.serving.cert.display(),
            key = self.serving.key.display(),
            kubeconfig = kubeconfig.display(),
        ))
    }
}

fn flags(line: &str) -> Vec<String> {
    command::words(line).into_iter().map(str::to_owned).collect()
}
