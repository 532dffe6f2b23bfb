//! What a pod requests, as kube-scheduler computes it.
//!
//! Invariant: the same rules for a pod and for the template it is made from: the sum of what runs together, sidecars included;
//! an init container beside the sidecars started before it; requests of the pod as a whole win; overhead on top. What admission adds to a
//! pod is told, and put where the API server puts it
//! (<https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers>, KEP-753, KEP-2837).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use model::quantity;
use model::resources::{PODS, Resources};

use super::Problems;
use super::added::Additions;

/// What the containers of a pod request, before it is added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    containers: Vec<One>,
    /// Of the pod as a whole.
    pod: Resources,
    /// Limits of the pod as a whole; they stand in for requests that nobody states.
    pod_limits: Resources,
    overhead: Resources,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct One {
    role: Role,
    /// Its requests; `None`: it states neither requests nor limits.
    stated: Option<Stated>,
}

/// Requests of a container, where nothing stated is not the same as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    amounts: Resources,
    cpu: bool,
    memory: bool,
}

impl Stated {
    /// From quantities; one that is none counts as zero.
    pub(super) fn read(map: &BTreeMap<String, Quantity>, what: &str, problems: &mut Problems) -> Self {
        let states = |name: &str| map.contains_key(name);
        Self { cpu: states("cpu"), memory: states("memory"), amounts: amounts(Some(map), what, problems) }
    }

    /// With what another has and this has not.
    fn fill(&mut self, other: &Self) {
        if other.cpu && !std::mem::replace(&mut self.cpu, true) {
            self.amounts.cpu = other.amounts.cpu;
        }
        if other.memory && !std::mem::replace(&mut self.memory, true) {
            self.amounts.memory = other.amounts.memory;
        }
        for (name, amount) in &other.amounts.other {
            self.amounts.other.entry(name.clone()).or_insert(*amount);
        }
    }

    /// The larger of each amount.
    pub fn max(&mut self, other: &Self) {
        Resources::max(&mut self.amounts, &other.amounts);
        self.cpu |= other.cpu;
        self.memory |= other.memory;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Main,
    Init,
    Sidecar,
}

impl Requests {
    /// About how much memory it takes.
    pub(super) fn size(&self) -> usize {
        let of = |resources: &Resources| resources.other.keys().map(|name| 64 + name.len()).sum::<usize>();
        let containers = self
            .containers
            .iter()
            .map(|one| size_of::<One>() + one.stated.as_ref().map_or(0, |stated| of(&stated.amounts)));
        containers.sum::<usize>() + of(&self.pod) + of(&self.pod_limits) + of(&self.overhead)
    }

    /// Of a pod template.
    pub fn of_template(spec: &PodSpec, problems: &mut Problems) -> Self {
        Self::read(spec, &|_| None, problems)
    }

    /// Of a pod: a container that is being resized counts with the larger of what it wants and what it has.
    pub fn of_pod(pod: &Pod, problems: &mut Problems) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let status = |name: &str| {
            let status = pod.status.as_ref()?;
            let lists = [&status.container_statuses, &status.init_container_statuses];
            lists.into_iter().flatten().flatten().find(|status| status.name == name)
        };
        Self::read(spec, &status, problems)
    }

    fn read<'a>(
        spec: &PodSpec,
        status: &impl Fn(&str) -> Option<&'a ContainerStatus>,
        problems: &mut Problems,
    ) -> Self {
        let mut read =
            |container: &Container, role| One { role, stated: stated(container, status(&container.name), problems) };
        let mut containers = Vec::new();
        for container in spec.init_containers.iter().flatten() {
            let role = if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init };
            containers.push(read(container, role));
        }
        containers.extend(spec.containers.iter().map(|container| read(container, Role::Main)));
        let whole = spec.resources.as_ref();
        Self {
            containers,
            pod: whole_pod(whole.and_then(|resources| resources.requests.as_ref()), "the pod's requests", problems),
            pod_limits: whole_pod(whole.and_then(|resources| resources.limits.as_ref()), "the pod's limits", problems),
            overhead: amounts(spec.overhead.as_ref(), "the pod's overhead", problems),
        }
    }

    /// The sum, one of `pods` included, with what is added until the pod is stored.
    pub fn effective(&self, added: &Additions) -> Resources {
        let nothing = Resources::default();
        let states = added.each.is_some() || self.containers.iter().any(|container| container.stated.is_some());
        let whole = self.pod != nothing || self.pod_limits != nothing;
        let mut total = self.of_containers(added.each.as_ref(), if states || whole { &nothing } else { &added.once });
        let pod = self.of_pod_as_a_whole();
        for name in names(&pod) {
            total.set(name, pod.get(name));
        }
        total.add(added.overhead.as_ref().unwrap_or(&self.overhead));
        total.set(PODS, 1);
        total
    }

    /// Requests of the pod as a whole. Where it has limits, what containers request stands in for what it does not, and then its limits;
    /// that is settled before `LimitRanges` are looked at.
    fn of_pod_as_a_whole(&self) -> Resources {
        let mut pod = self.pod.clone();
        if self.pod_limits == Resources::default() {
            return pod;
        }
        let containers = self.of_containers(None, &Resources::default());
        for name in ["cpu", "memory"].into_iter().filter(|name| containers.get(name) > 0) {
            if pod.get(name) == 0 {
                pod.set(name, containers.get(name));
            }
        }
        for name in names(&self.pod_limits) {
            if pod.get(name) == 0 {
                pod.set(name, self.pod_limits.get(name));
            }
        }
        pod
    }

    /// The sum of the containers; `each` fills up what each states, `once` is for the first that is no init container.
    fn of_containers(&self, each: Option<&Stated>, once: &Resources) -> Resources {
        let mut of_first = Some(once);
        let mut together = Resources::default();
        let mut sidecars = Resources::default();
        let mut starting = Resources::default();
        for container in &self.containers {
            let mut stated = container.stated.clone().unwrap_or_default();
            if let Some(each) = each {
                stated.fill(each);
            }
            let mut requests = stated.amounts;
            if let Some(once) = of_first.take_if(|_| container.role == Role::Main) {
                requests.add(once);
            }
            match container.role {
                Role::Main => together.add(&requests),
                Role::Sidecar => {
                    together.add(&requests);
                    sidecars.add(&requests);
                    Resources::max(&mut starting, &sidecars);
                }
                Role::Init => {
                    requests.add(&sidecars);
                    Resources::max(&mut starting, &requests);
                }
            }
        }
        Resources::max(&mut together, &starting);
        together
    }
}

fn names(resources: &Resources) -> impl Iterator<Item = &str> {
    let fixed = ["cpu", "memory"].into_iter().filter(|name| resources.get(name) != 0);
    fixed.chain(resources.other.keys().map(String::as_str))
}

fn stated(container: &Container, status: Option<&ContainerStatus>, problems: &mut Problems) -> Option<Stated> {
    let what = format!("container {}", container.name);
    let spec = container.resources.as_ref().and_then(|resources| merged(resources, &what, problems));
    let Some(status) = status else { return spec };
    let mut larger = spec?;
    Resources::max(&mut larger.amounts, &amounts(status.allocated_resources.as_ref(), &what, problems));
    let actual = status.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    Resources::max(&mut larger.amounts, &amounts(actual, &what, problems));
    Some(larger)
}

/// Requests, with limits where there is no request, as the API server sets them on pods (and not on templates).
fn merged(resources: &ResourceRequirements, what: &str, problems: &mut Problems) -> Option<Stated> {
    let filled = |map: &Option<BTreeMap<String, Quantity>>| map.clone().filter(|map| !map.is_empty());
    let mut all = match (filled(&resources.limits), filled(&resources.requests)) {
        (None, None) => return None,
        (limits, requests) => [limits.unwrap_or_default(), requests.unwrap_or_default()],
    };
    let [limits, requests] = &mut all;
    limits.append(requests);
    Some(Stated::read(limits, what, problems))
}

/// Only CPU, memory and huge pages can be requested for a pod as a whole.
fn whole_pod(map: Option<&BTreeMap<String, Quantity>>, what: &str, problems: &mut Problems) -> Resources {
    let mut resources = amounts(map, what, problems);
    resources.other.retain(|name, _| name.starts_with("hugepages-"));
    resources
}

/// Amounts from quantities; one that is none counts as zero.
pub(super) fn amounts(map: Option<&BTreeMap<String, Quantity>>, what: &str, problems: &mut Problems) -> Resources {
    let texts = map.into_iter().flatten().map(|(name, quantity)| (name.as_str(), quantity.0.as_str()));
    from_texts(texts, what, problems)
}

/// Amounts from quantities in text form, such as a queue's default requests; one that is none counts as zero.
pub fn from_texts<'a>(
    texts: impl Iterator<Item = (&'a str, &'a str)>,
    what: &str,
    problems: &mut Problems,
) -> Resources {
    let mut resources = Resources::default();
    for (name, text) in texts {
        let amount = if name == "cpu" { quantity::milli(text) } else { quantity::units(text) };
        match amount {
            Ok(amount) => resources.set(name, amount.max(0)),
            Err(error) => problems.push(format!("{what}: {name}: {error}; counted as zero")),
        }
    }
    resources
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
