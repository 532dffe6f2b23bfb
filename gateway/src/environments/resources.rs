//! The rules of `computeResources` for environments on Kubernetes
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeResource.html>).
//!
//! Invariant: pure; AWS's words where they are recorded. What is checked is the whole: for a change, what is stored with the change,
//! where the change touches it.

use api::crd::AllocationStrategy;

use super::orchestration::{Orchestration, is_fargate};
use super::request::ComputeResources;
use crate::failure::Invalid;
use crate::limits::one_of;
use crate::tags::tags;

/// `type`: whether machines are spot.
const KINDS: [(&str, bool); 2] = [("EC2", false), ("SPOT", true)];

const STRATEGIES: [(&str, AllocationStrategy); 5] = [
    ("BEST_FIT_PROGRESSIVE", AllocationStrategy::BestFitProgressive),
    ("BEST_FIT_PROGRESSIVE_ORDERED", AllocationStrategy::BestFitProgressiveOrdered),
    ("SPOT_CAPACITY_OPTIMIZED", AllocationStrategy::SpotCapacityOptimized),
    ("SPOT_PRICE_CAPACITY_OPTIMIZED", AllocationStrategy::SpotPriceCapacityOptimized),
    ("SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", AllocationStrategy::SpotCapacityOptimizedPrioritized),
];

/// The strategy that environments for Amazon ECS have if they name none.
pub(crate) const BEST_FIT: &str = "BEST_FIT";
/// Names that stand for many instance types.
const BUNDLES: [&str; 3] = ["optimal", "default_x86_64", ARM];
const ARM: &str = "default_arm64";

/// What of `computeResources` has a meaning here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) strategy: AllocationStrategy,
    pub(crate) min_vcpus: u32,
    pub(crate) max_vcpus: u32,
    pub(crate) instance_types: Vec<String>,
    pub(crate) scale_down_minutes: Option<u32>,
}

/// The word for a strategy.
pub(crate) fn strategy_name(strategy: AllocationStrategy) -> &'static str {
    STRATEGIES.iter().find(|(_, it)| *it == strategy).map_or("BEST_FIT_PROGRESSIVE", |(name, _)| name)
}

/// Checks `computeResources` of a new MANAGED environment.
pub(crate) fn validate(resources: &ComputeResources, orchestration: Orchestration) -> Result<Checked, Invalid> {
    if orchestration == Orchestration::Ecs && is_fargate(resources) {
        not_for_fargate(resources)?;
    }
    let (min_vcpus, max_vcpus) = vcpus(resources, orchestration)?;
    let (instance_types, strategy) = machines(resources, orchestration)?;
    surroundings(resources, orchestration)?;
    Ok(Checked { strategy, min_vcpus, max_vcpus, instance_types, scale_down_minutes: scale_down_minutes(resources)? })
}

/// What nobody can ask for where the provider chooses.
pub(crate) fn not_for_fargate(resources: &ComputeResources) -> Result<(), Invalid> {
    let given = [
        ("minvCpus", resources.min_vcpus.is_some_and(|least| least > 0)),
        ("desiredvCpus", resources.desired_vcpus.is_some()),
        ("instanceTypes", resources.instance_types.as_ref().is_some_and(|types| !types.is_empty())),
        ("instanceRole", resources.instance_role.is_some()),
        ("allocationStrategy", resources.allocation_strategy.is_some()),
        ("ec2Configuration", !resources.ec2_configuration.is_empty()),
        ("launchTemplate", resources.launch_template.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((member, _)) => Invalid::err(format!("computeResources {member} is not applicable for Fargate.")),
        None => Ok(()),
    }
}

/// Which machines are chosen, and how.
pub(crate) fn machines(
    resources: &ComputeResources,
    orchestration: Orchestration,
) -> Result<(Vec<String>, AllocationStrategy), Invalid> {
    if orchestration == Orchestration::Ecs && is_fargate(resources) {
        // Any that the provider has.
        return Ok((Vec::new(), AllocationStrategy::default()));
    }
    let types = instance_types(resources)?;
    let strategy = strategy(resources, &types, orchestration)?;
    Ok((types, strategy))
}

/// What machines have around them on AWS: it has no meaning here.
pub(crate) fn surroundings(resources: &ComputeResources, orchestration: Orchestration) -> Result<(), Invalid> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !given(&resources.security_group_ids) {
        return Invalid::err("Security group ids are required.");
    }
    if !given(&resources.subnets) {
        return Invalid::err("Subnets are required.");
    }
    if resources.instance_role.is_none() && !is_fargate(resources) {
        return Invalid::err("Instance role is required.");
    }
    images(resources, orchestration)?;
    tags(&resources.tags)?;
    tags(&resources.capacity_tags)
}

/// How long an idle machine stays, if that is said; 0 says nothing.
pub(crate) fn scale_down_minutes(resources: &ComputeResources) -> Result<Option<u32>, Invalid> {
    match resources.scaling_policy.as_ref().and_then(|policy| policy.min_scale_down_delay_minutes) {
        None | Some(0) => Ok(None),
        Some(minutes @ 20..=10_080) => Ok(u32::try_from(minutes).ok()),
        Some(minutes) => {
            Invalid::err(format!("minScaleDownDelayMinutes must be 0 or between 20 and 10080, got {minutes}."))
        }
    }
}

/// The least and the most.
pub(crate) fn vcpus(resources: &ComputeResources, orchestration: Orchestration) -> Result<(u32, u32), Invalid> {
    let least = (orchestration == Orchestration::Ecs && is_fargate(resources)).then_some(0);
    let Some(min) = resources.min_vcpus.or(least) else { return Invalid::err("Resource minvCpus is required.") };
    let Some(max) = resources.max_vcpus else { return Invalid::err("Resource maxvCpus is required.") };
    if min < 0 {
        return Invalid::err("minvCpus should be greater than or equal to 0.");
    }
    if max < min {
        return Invalid::err("maxvCpus should be greater than or equal to minvCpus.");
    }
    if resources.desired_vcpus.is_some_and(|desired| desired < min || desired > max) {
        return Invalid::err("desiredvCpus should be between minvCpus and maxvCpus.");
    }
    match (u32::try_from(min), u32::try_from(max)) {
        (Ok(min), Ok(max)) => Ok((min, max)),
        _ => Invalid::err(format!("maxvCpus must be at most {}.", u32::MAX)),
    }
}

fn instance_types(resources: &ComputeResources) -> Result<Vec<String>, Invalid> {
    let types = resources.instance_types.clone().unwrap_or_default();
    if types.is_empty() {
        return Invalid::err("Resource instanceTypes are required.");
    }
    let arm = types.iter().filter(|name| is_arm(name)).count();
    if arm > 0 && arm < types.len() {
        return Invalid::err("arm-based instance type cannot be used with other instance types.");
    }
    // Offers do not say which processors their machines have, so nothing would ever be launched, or the wrong machines.
    if types.iter().any(|name| name == ARM) {
        return Invalid::err(format!(
            "instanceTypes {ARM} is not supported by Bulkhead: name instance types or families that the node provider offers."
        ));
    }
    Ok(types)
}

/// Whether an instance type or family has Graviton processors: a `g` after the generation (`m6g`, `c7gn.large`), or `a1`.
fn is_arm(name: &str) -> bool {
    let family = name.split('.').next().unwrap_or_default();
    let generation = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let options = generation.trim_start_matches(|c: char| c.is_ascii_digit());
    name == ARM || family == "a1" || (options != generation && options.starts_with('g'))
}

fn strategy(
    resources: &ComputeResources,
    types: &[String],
    orchestration: Orchestration,
) -> Result<AllocationStrategy, Invalid> {
    let kind = resources.kind.as_deref().unwrap_or_default();
    let is_ecs = orchestration == Orchestration::Ecs;
    let Some((_, spot)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        return Invalid::err(match orchestration {
            Orchestration::Eks => "Supported compute types for EKS compute environments are [EC2, SPOT].",
            Orchestration::Ecs => "computeResources.type must be one of [EC2, SPOT, FARGATE, FARGATE_SPOT].",
        });
    };
    let Some(name) = resources.allocation_strategy.as_deref().or(is_ecs.then_some(BEST_FIT)) else {
        return Invalid::err("allocationStrategy is required for EKS Compute Environments.");
    };
    if name == BEST_FIT && *spot && resources.spot_iam_fleet_role.is_none() {
        return Invalid::err("compute resource spotIamFleetRole is required.");
    }
    // What comes nearest: of the types that fit the cheapest, and others when there are no more of them.
    let best_fit = (is_ecs && name == BEST_FIT).then_some(AllocationStrategy::BestFitProgressive);
    let strategy = best_fit.map_or_else(|| one_of("allocationStrategy", name, &STRATEGIES), Ok)?;
    if *spot && strategy == AllocationStrategy::BestFitProgressiveOrdered {
        return Invalid::err("Allocation strategy BEST_FIT_PROGRESSIVE_ORDERED requires compute resource type EC2.");
    }
    if !*spot && strategy.is_spot() {
        return Invalid::err(format!("Allocation strategy {name} requires compute resource type SPOT."));
    }
    let ordered = [AllocationStrategy::BestFitProgressiveOrdered, AllocationStrategy::SpotCapacityOptimizedPrioritized];
    if ordered.contains(&strategy) && types.iter().any(|name| BUNDLES.contains(&name.as_str())) {
        return Invalid::err(format!(
            "Instance type bundles (e.g. optimal, default_x86_64) are not allowed for {name} allocation strategy. \
             Specify instance families or types directly."
        ));
    }
    // Only the strategy says here whether machines are spot; this one is what comes nearest.
    let lowest_price = *spot && strategy == AllocationStrategy::BestFitProgressive;
    Ok(if lowest_price { AllocationStrategy::SpotPriceCapacityOptimized } else { strategy })
}

fn images(resources: &ComputeResources, orchestration: Orchestration) -> Result<(), Invalid> {
    if resources.ec2_configuration.len() > 2 {
        return Invalid::err("ec2Configuration can have at most 2 entries.");
    }
    for image in &resources.ec2_configuration {
        if !image.image_type.as_deref().unwrap_or_default().starts_with(&format!("{}_", orchestration.name())) {
            return Invalid::err("Invalid imageType in ComputeResources.ec2Configuration");
        }
        let minor = |version: &str| version.strip_prefix("1.")?.parse::<u32>().ok();
        let supported = |version: &String| minor(version).is_some_and(|minor| minor >= 30);
        if !image.image_kubernetes_version.as_ref().is_none_or(supported) {
            return Invalid::err("At least one imageKubernetesVersion in EC2Configuration is not supported.");
        }
    }
    let overrides = resources.launch_template.as_ref().map(|it| it.overrides.as_slice()).unwrap_or_default();
    if overrides.len() > 10 {
        return Invalid::err("LaunchTemplate.overrides size cannot be greater than 10");
    }
    if overrides.iter().any(|it| it.target_instance_types.is_empty()) {
        return Invalid::err("LaunchTemplate.overrides.targetInstanceTypes[] is required");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_is_told_by_the_name() {
        for name in ["m6g", "c7gn.large", "t4g.micro", "a1.large", "x2gd", "im4gn", "g5g", "default_arm64"] {
            assert!(is_arm(name), "{name}");
        }
        for name in ["m5", "g4dn.xlarge", "optimal", "default_x86_64", "local.small", "p4d", "i3en"] {
            assert!(!is_arm(name), "{name}");
        }
    }
}
