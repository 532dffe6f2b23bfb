//! What the answers of a provider mean. Pure.
//!
//! Invariant: an answer is either understood or an error that shows it; offers and instances are judged one by one, so that a bad one does
//! not take the others with it. Knows nothing about how answers come.

use std::collections::BTreeMap;

use api::provider::{self as wire, ErrorCode, InstanceState};
use model::resources::{PODS, Resources};
use model::snapshot::Offer;
use model::{keys, quantity};
use planning::labels::{HOSTNAME, with_twins};
use planning::machine::books::Listed;
use planning::machine::ending::Answer as Ended;
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::provider::{Launched, List, ProviderError};

/// The kubelet's own default (<https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>, `maxPods`).
const DEFAULT_PODS: i64 = 110;
/// Where an offer has no price its vCPUs stand in, so that smaller is cheaper: 48 millionths of a currency unit per thousandth
/// of a vCPU and hour, about what general-purpose cloud machines cost, so that priced and unpriced offers can be compared.
const STAND_IN_PRICE_PER_MILLI_VCPU: i64 = 48;
/// So much of an unexpected answer is shown.
const SHOWN: usize = 300;

/// So many instances that are not understood are named.
const TOLD: usize = 10;

/// One answer over HTTP.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Who was asked for what.
    pub(super) url: String,
    /// HTTP status.
    pub(super) status: u16,
    /// Body.
    pub(super) body: Vec<u8>,
}

/// Reads the body of a success.
pub(super) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, ProviderError> {
    if !(200..300).contains(&answer.status) {
        return Err(failure(answer));
    }
    serde_json::from_slice(&answer.body).map_err(|error| unexpected(answer, &format!("cannot be read ({error}): ")))
}

/// Reads the answer to a launch: it has to name the machine.
pub(super) fn launched(answer: &Answer, token: &str) -> Result<Launched, ProviderError> {
    let value: Value = read(answer)?;
    if value.get("token").and_then(Value::as_str) != Some(token) {
        return Err(unexpected(answer, "does not name the machine that was asked for: "));
    }
    Ok(Launched { id: value.get("id").and_then(Value::as_str).unwrap_or(token).to_owned() })
}

/// Reads the answer to a termination: 404 is what it is all about. A page that something in front of the provider shows names no machine.
pub(super) fn ended(answer: &Answer, token: &str) -> Result<Ended, ProviderError> {
    let names_it = || {
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        value.is_some_and(|value| value.get("token").and_then(Value::as_str) == Some(token))
    };
    match answer.status {
        404 => Ok(Ended::Unknown),
        200..300 if names_it() => Ok(Ended::Ending),
        200..300 => Ok(Ended::Unclear),
        _ => Err(failure(answer)),
    }
}

/// Reads a list, one instance after the other. One in a state that is not known is there; of one that is there twice the better half counts.
pub(super) fn list(answer: &Answer) -> Result<List, ProviderError> {
    #[derive(serde::Deserialize)]
    struct Loose {
        instances: Vec<Value>,
    }
    let Loose { instances } = read(answer)?;
    let mut list = List::default();
    let mut unclear = Vec::new();
    for (index, instance) in instances.into_iter().enumerate() {
        let Some(token) = instance.get("token").and_then(Value::as_str) else {
            unclear.push(format!("instance {index} has no token"));
            continue;
        };
        let state = instance.get("state").unwrap_or(&Value::Null);
        let listed = match InstanceState::deserialize(state) {
            Ok(InstanceState::Pending | InstanceState::Running) => Listed::Alive,
            Ok(InstanceState::Terminating | InstanceState::Failed) => Listed::Ended,
            Err(_) => {
                unclear
                    .push(format!("instance {token:?} is in state {state}, which is not known: it counts as running"));
                Listed::Alive
            }
        };
        let known = list.machines.entry(token.to_owned()).or_insert(listed);
        if listed == Listed::Alive {
            *known = listed;
        }
    }
    let more = unclear.len().saturating_sub(TOLD);
    list.problems = unclear.into_iter().take(TOLD).collect();
    if more > 0 {
        list.problems.push(format!("{more} more instances are not understood"));
    }
    Ok(list)
}

/// Reads the offers, and says what is wrong with those that are left out.
pub(super) fn offers(answer: &Answer) -> Result<(Vec<Offer>, Vec<String>), ProviderError> {
    #[derive(serde::Deserialize)]
    struct Loose {
        offers: Vec<Value>,
    }
    let Loose { offers } = read(answer)?;
    let mut good = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, value) in offers.into_iter().enumerate() {
        let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        match offer(value) {
            Ok(offer) if !good.contains_key(&offer.name) => drop(good.insert(offer.name.clone(), (index, offer))),
            Ok(_) => problems.push(format!("offer {name:?} is there twice")),
            Err(problem) => problems.push(format!("offer {name:?}: {problem}")),
        }
    }
    let mut good: Vec<(usize, Offer)> = good.into_values().collect();
    good.sort_by_key(|(index, _)| *index);
    Ok((good.into_iter().map(|(_, offer)| offer).collect(), problems))
}

/// Converts one offer: what pods can request is what is sold, except for what the provider says about it.
fn offer(value: Value) -> Result<Offer, String> {
    let wire::Offer { name, cpu, memory, resources, allocatable, zone, labels, price_micros, spot } =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let milli_vcpus = quantity::milli(&cpu).map_err(|error| format!("cpu: {error}"))?;
    if milli_vcpus <= 0 {
        return Err(format!("cpu {cpu:?} must be more than zero"));
    }
    let mut room = Resources::default().with(PODS, DEFAULT_PODS);
    let sold = [("cpu".to_owned(), cpu), ("memory".to_owned(), memory)];
    for (resource, amount) in sold.iter().map(|(name, amount)| (name, amount)).chain(&resources).chain(&allocatable) {
        let parse = if resource == "cpu" { quantity::milli } else { quantity::units };
        match parse(amount).map_err(|error| format!("{resource}: {error}"))? {
            negative if negative < 0 => return Err(format!("{resource} {amount:?} must not be negative")),
            amount => room.set(resource, amount),
        }
    }
    let stand_in = milli_vcpus.saturating_mul(STAND_IN_PRICE_PER_MILLI_VCPU);
    let price_micros = price_micros.map_or(stand_in, |price| i64::try_from(price).unwrap_or(i64::MAX));
    let labels = all_labels(&name, zone, labels)?;
    Ok(Offer { name, milli_vcpus, allocatable: room, price_micros, spot, labels })
}

/// The labels that make a node of this kind, under all their names; whoever launches it asks for them
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).
fn all_labels(
    offer: &str,
    zone: Option<String>,
    more: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let kind = ("node.kubernetes.io/instance-type", Some(offer.to_owned()));
    let mut labels: BTreeMap<String, String> = [kind, ("topology.kubernetes.io/zone", zone)]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.filter(|value| is_label_value(value))?)))
        .collect();
    for (key, value) in more {
        if keys::RESERVED_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
            return Err(format!("label {key:?} is reserved: Bulkhead sets it itself"));
        }
        if key == HOSTNAME {
            return Err(format!("label {key:?} differs from node to node, so an offer cannot have it"));
        }
        if !is_label_key(&key) || !(value.is_empty() || is_label_value(&value)) {
            return Err(format!("{key:?}: {value:?} cannot be a label"));
        }
        labels.insert(key, value);
    }
    with_twins(&mut labels);
    Ok(labels)
}

/// `name` or `prefix/name` (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>).
fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let part = |part: &str| is_label_value(part) && !part.contains(|c: char| c.is_ascii_uppercase() || c == '_');
    is_label_value(name) && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(part))
}

fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && edge(text.chars().next())
        && edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What an answer that is no success means. A code counts with its own status only: anything else may come after a machine was made.
fn failure(answer: &Answer) -> ProviderError {
    let url = answer.url.clone();
    let coded = serde_json::from_slice::<wire::ProviderError>(&answer.body).ok();
    match (answer.status, coded.map(|coded| (coded.code, coded.message))) {
        (503, Some((ErrorCode::InsufficientCapacity, message))) => ProviderError::InsufficientCapacity { url, message },
        (400, Some((ErrorCode::InvalidRequest, message))) => ProviderError::InvalidRequest { url, message },
        (429, Some((ErrorCode::TryLater, message))) => ProviderError::TryLater { url, message },
        // Something in front of the provider may limit rates.
        (429, _) => ProviderError::TryLater { url, message: shown(answer) },
        _ => unexpected(answer, ""),
    }
}

fn unexpected(answer: &Answer, problem: &str) -> ProviderError {
    let text = format!("{problem}{}", shown(answer));
    ProviderError::Unexpected { url: answer.url.clone(), status: answer.status, text }
}

fn shown(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text = text.trim();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if text.is_empty() => "(no text)".to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
