//! What somebody must be allowed to do in Kubernetes for what he wants of Bulkhead's API.
//!
//! Invariant: pure; a right is asked for as a role gives it, so that what is missing can be said in the words in which it is given. Does not
//! know who has which right.

use std::collections::BTreeSet;

use serde_json::Value;

/// API group of Bulkhead's resources; some of them are there only so that roles can name them.
const GROUP: &str = "bulkhead.dev";

/// Names of objects are not longer than this.
const LONGEST_NAME: usize = 253;

/// One question to the API server's authorizers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ask {
    /// What is to be done.
    pub verb: &'static str,
    /// API group of the resource.
    pub group: &'static str,
    /// Resource, in the plural; with a part of it as roles name it: `batchjobs/log`.
    pub resource: &'static str,
    /// `None`: it has none.
    pub namespace: Option<String>,
    /// `None`: all of them.
    pub name: Option<String>,
}

impl Ask {
    fn new(verb: &'static str, resource: &'static str, namespace: Option<&str>, name: Option<&str>) -> Self {
        let (namespace, name) = (namespace.map(str::to_owned), name.map(str::to_owned));
        Self { verb, group: GROUP, resource, namespace, name }
    }

    /// About a compute environment, by its object name.
    pub fn environment(verb: &'static str, name: &str) -> Self {
        Self::new(verb, "computeenvironments", None, Some(name))
    }

    /// About a job queue, by its object name.
    pub fn queue(verb: &'static str, name: &str) -> Self {
        Self::new(verb, "jobqueues", None, Some(name))
    }

    /// About the job definitions of a namespace; of nobody's: of all namespaces.
    pub fn definitions(verb: &'static str, namespace: Option<&str>) -> Self {
        Self::new(verb, "jobdefinitions", namespace, None)
    }

    /// About the jobs whose pods go to a namespace; where that is not known: to all namespaces.
    pub fn jobs(verb: &'static str, namespace: Option<&str>) -> Self {
        Self::new(verb, "batchjobs", namespace, None)
    }

    /// About what the jobs printed whose pods go to a namespace, as for jobs.
    pub fn output(namespace: Option<&str>) -> Self {
        Self::new("get", "batchjobs/log", namespace, None)
    }

    fn core(verb: &'static str, resource: &'static str, namespace: &str, name: &str) -> Self {
        Self { group: "", ..Self::new(verb, resource, Some(namespace), Some(name)) }
    }

    /// Whether there can be such an object: what is longer than any name is in no role, and is not asked for.
    pub fn is_possible(&self) -> bool {
        self.namespace.as_ref().is_none_or(|name| name.len() <= 63)
            && self.name.as_ref().is_none_or(|name| name.len() <= LONGEST_NAME)
    }

    /// The same about all objects of the kind; `None`: it is that already.
    pub fn of_all(&self) -> Option<Self> {
        self.name.is_some().then(|| Self { name: None, ..self.clone() })
    }

    /// The resource, and which part of it.
    pub fn parts(&self) -> (&'static str, Option<&'static str>) {
        self.resource.split_once('/').map_or((self.resource, None), |(resource, part)| (resource, Some(part)))
    }

    /// As in `create batchjobs.bulkhead.dev in namespace team`.
    pub fn sentence(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let short = |name: &str| name.chars().take(LONGEST_NAME).collect::<String>();
        let name = self.name.as_deref().map(|name| format!(" {}", short(name))).unwrap_or_default();
        let (resource, part) = self.parts();
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        let namespaced = matches!(resource, "batchjobs" | "jobdefinitions");
        let place = match self.namespace.as_deref() {
            Some(namespace) => format!(" in namespace {}", short(namespace)),
            None if namespaced => " in all namespaces".to_owned(),
            None => String::new(),
        };
        format!("{} {resource}{group}{part}{name}{place}", self.verb)
    }
}

/// To have a job whose pod has this spec run in a namespace; `privileged`: it asks for more than Pod Security's baseline allows.
pub fn to_run(pod: &Value, privileged: bool, namespace: &str) -> Vec<Ask> {
    let mut all = vec![Ask::jobs("create", Some(namespace))];
    // The default account is that of every pod that names none.
    if let Some(name) = pod["serviceAccountName"].as_str().filter(|name| !matches!(*name, "" | "default")) {
        all.push(Ask::core("use", "serviceaccounts", namespace, name));
    }
    let named = |list: &Value, path: &[&str]| -> BTreeSet<String> {
        let items = list.as_array().into_iter().flatten();
        let found = items.filter_map(|item| path.iter().try_fold(item, |at, step| at.get(step))?.as_str());
        found.map(str::to_owned).collect()
    };
    let volumes = &pod["volumes"];
    let mut secrets = named(volumes, &["secret", "secretName"]);
    secrets.extend(named(&pod["imagePullSecrets"], &["name"]));
    for (resource, names) in [
        ("secrets", secrets),
        ("persistentvolumeclaims", named(volumes, &["persistentVolumeClaim", "claimName"])),
        ("configmaps", named(volumes, &["configMap", "name"])),
    ] {
        all.extend(names.iter().map(|name| Ask::core("get", resource, namespace, name)));
    }
    if privileged {
        all.push(Ask::new("use", "podsecuritylevels", Some(namespace), Some("privileged")));
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_pod_uses_is_asked_for_by_name() {
        let pod = json!({
            "serviceAccountName": "robot",
            "imagePullSecrets": [{"name": "registry"}, {"name": "both"}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "both"}},
                {"name": "b", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "c", "configMap": {"name": "settings"}},
                {"name": "d", "emptyDir": {}},
            ],
        });
        let said = |pod: &Value, privileged| to_run(pod, privileged, "n").iter().map(Ask::sentence).collect::<Vec<_>>();
        let expect = [
            "create batchjobs.bulkhead.dev in namespace n",
            "use serviceaccounts robot in namespace n",
            "get secrets both in namespace n",
            "get secrets registry in namespace n",
            "get persistentvolumeclaims data in namespace n",
            "get configmaps settings in namespace n",
            "use podsecuritylevels.bulkhead.dev privileged in namespace n",
        ];
        assert_eq!(said(&pod, true), expect);
        assert_eq!(said(&json!({"serviceAccountName": "default", "containers": []}), false), expect[..1]);
    }

    #[test]
    fn a_right_is_said_as_people_give_it() {
        for (ask, expect) in [
            (Ask::queue("use", "q"), "use jobqueues.bulkhead.dev q"),
            (Ask::queue("use", "q").of_all().unwrap(), "use jobqueues.bulkhead.dev"),
            (Ask::environment("delete", "e"), "delete computeenvironments.bulkhead.dev e"),
            (Ask::definitions("get", Some("n")), "get jobdefinitions.bulkhead.dev in namespace n"),
            (Ask::jobs("get", None), "get batchjobs.bulkhead.dev in all namespaces"),
            (Ask::output(Some("n")), "get batchjobs.bulkhead.dev/log in namespace n"),
        ] {
            assert_eq!(ask.sentence(), expect);
        }
        assert_eq!(Ask::jobs("get", Some("n")).of_all(), None);
        let long = Ask::queue("use", &"é".repeat(300));
        assert!(!long.is_possible() && Ask::queue("use", "q").is_possible() && long.sentence().chars().count() < 300);
    }
}
