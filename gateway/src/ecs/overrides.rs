//! `containerOverrides`: a definition's container with what a submission says
//! (<https://docs.aws.amazon.com/batch/latest/APIReference/API_ContainerOverrides.html>).
//!
//! Invariant: pure. Lists that are empty say nothing; variables go by name, requirements by type. The older `vcpus` and `memory` replace only
//! themselves, not what `resourceRequirements` of the definition say.

use super::properties::{ContainerOverrides, ContainerProperties};

/// Applies the overrides.
pub(crate) fn merge(into: &mut ContainerProperties, given: &ContainerOverrides) {
    let ContainerOverrides { vcpus, memory, command, instance_type, environment, resource_requirements } = given;
    if !command.is_empty() {
        into.command.clone_from(command);
    }
    if instance_type.is_some() {
        into.instance_type.clone_from(instance_type);
    }
    for variable in environment {
        // All of that name: of two the last would count.
        let place = into.environment.iter().position(|there| there.name == variable.name);
        into.environment.retain(|there| there.name != variable.name);
        into.environment.insert(place.unwrap_or(into.environment.len()), variable.clone());
    }
    for (amount, given, kind) in [(&mut into.vcpus, vcpus, "VCPU"), (&mut into.memory, memory, "MEMORY")] {
        let is_required = into.resource_requirements.iter().any(|there| there.kind == kind);
        if let Some(given) = given.filter(|_| !is_required) {
            *amount = Some(given);
        }
    }
    // All that were there before, so that a type that is given twice is found out.
    for requirement in resource_requirements {
        into.resource_requirements.retain(|there| there.kind != requirement.kind);
        match requirement.kind.as_str() {
            "VCPU" => into.vcpus = None,
            "MEMORY" => into.memory = None,
            _ => {}
        }
    }
    into.resource_requirements.extend(resource_requirements.iter().cloned());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "tables of JSON read better by value")]
    fn check(given: Value, expect: Value) {
        let mut properties: ContainerProperties = serde_json::from_value(json!({
            "image": "i", "command": ["a"], "memory": 64, "environment": [
                {"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "B", "value": "old"}],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "GPU", "value": "1"}],
        }))
        .unwrap();
        merge(&mut properties, &serde_json::from_value(given.clone()).unwrap());
        let got = serde_json::to_value(properties).unwrap();
        for (member, value) in expect.as_object().unwrap() {
            assert_eq!(got.get(member).unwrap_or(&Value::Null), value, "{given}: {member}");
        }
    }

    #[test]
    fn what_is_sent_replaces_and_what_is_empty_says_nothing() {
        let need = |kind: &str, value: &str| json!({"type": kind, "value": value});
        let all = json!([need("VCPU", "1"), need("GPU", "1")]);
        check(json!({}), json!({"command": ["a"], "memory": 64, "resourceRequirements": all}));
        check(json!({"command": [], "environment": []}), json!({"command": ["a"]}));
        check(json!({"command": ["b", "c"]}), json!({"command": ["b", "c"]}));
        let variables = json!([{"name": "B", "value": "3"}, {"name": "C"}]);
        let expect = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C"}]);
        check(json!({"environment": variables}), json!({"environment": expect}));
        check(json!({"vcpus": 8, "memory": 128}), json!({"vcpus": null, "memory": 128, "resourceRequirements": all}));
        let given = json!([need("MEMORY", "256"), need("VCPU", "4")]);
        let expect = json!([need("GPU", "1"), need("MEMORY", "256"), need("VCPU", "4")]);
        check(json!({"resourceRequirements": given}), json!({"memory": null, "resourceRequirements": expect}));
        // Then the rules of definitions find two.
        let twice = json!([need("VCPU", "4"), need("VCPU", "5")]);
        let expect = json!([need("GPU", "1"), need("VCPU", "4"), need("VCPU", "5")]);
        check(json!({"resourceRequirements": twice}), json!({"resourceRequirements": expect}));
    }
}
