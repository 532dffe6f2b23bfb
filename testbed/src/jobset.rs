//! The JobSet controller (sigs.k8s.io/jobset), as a process of this machine: somebody else's controller that makes Jobs and keeps
//! an eye on them. Invariant: it acts under an identity of its own and listens on the cluster's bridge only.
//!
//! Its webhooks are not registered, so a JobSet has to say what they would fill in.

use anyhow::Result;
use serde_json::json;

use crate::binaries::{self, Binary};
use crate::cluster::Cluster;
use crate::control_plane;
use crate::files;
use crate::pki::{Authority, Subject};
use crate::slot::JOBSET_PORT;

impl Cluster {
    /// Installs JobSet and starts its controller unless it runs.
    pub fn start_jobset(&self) -> Result<()> {
        let program = binaries::ensure(&[Binary::JobSet])?.remove(0);
        let _shared = self.share()?;
        let authority = Authority::ensure(self.layout())?;
        let kubeconfig =
            control_plane::identity(self, &authority, "jobset", &Subject { name: "jobset", ..Subject::default() })?;
        let definitions = std::fs::read_to_string(binaries::jobset_definitions(&program))?;
        self.kubectl_input(&["apply", "--server-side", "-f", "-"], &definitions)?;
        self.kubectl_input(&["apply", "-f", "-"], &rights().to_string())?;
        let serving = authority.ensure_pair(
            "jobset-serving",
            &Subject { name: "jobset-serving", addresses: vec![self.slot().gateway().into()], ..Subject::default() },
        )?;
        let certificates = self.layout().pki("jobset");
        files::write(&certificates.join("tls.crt"), &std::fs::read_to_string(&serving.cert)?)?;
        files::write_secret(&certificates.join("tls.key"), &std::fs::read_to_string(&serving.key)?)?;
        let config = json!({
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            "internalCertManagement": {"enable": false},
            "leaderElection": {"leaderElect": false},
            "metrics": {"bindAddress": "0"},
            "health": {"healthProbeBindAddress": "0"},
            "webhook": {"host": self.slot().gateway().to_string(), "port": JOBSET_PORT, "certDir": certificates},
        });
        let path = self.layout().config("jobset.yaml");
        files::write(&path, &serde_json::to_string_pretty(&config)?)?;
        let args = vec![format!("--kubeconfig={}", kubeconfig.display()), format!("--config={}", path.display())];
        control_plane::launch(self, "jobset", program, args)?;
        Ok(())
    }
}

/// What JobSet may do: what its own manifest gives it, less what its webhooks and metrics need.
fn rights() -> serde_json::Value {
    let allow = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let all = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let write = ["get", "patch", "update"];
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "jobset"},
            "rules": [
                allow("", &["events"], &["create", "patch", "update", "watch"]),
                allow("", &["nodes"], &["get", "list", "watch"]),
                allow("", &["pods", "services"], &all),
                allow("batch", &["jobs"], &all),
                allow("batch", &["jobs/status"], &write),
                allow("jobset.x-k8s.io", &["jobsets"], &all),
                allow("jobset.x-k8s.io", &["jobsets/status"], &write),
                allow("jobset.x-k8s.io", &["jobsets/finalizers"], &["update"]),
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "jobset"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "jobset"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jobset"}],
        },
    ]})
}
