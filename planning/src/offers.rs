//! Which machine to launch for work that found no room, and why none where there is none.
//!
//! Invariant: an environment's vCPUs never exceed its limit, whatever the demand. Knows nothing about how launches happen.

use jiff::Timestamp;
use model::placement::Shape;
use model::snapshot::{Offer, Scaling, Setback};

use crate::explain::Note;
use crate::promise::Promise;
use crate::room::Rooms;

/// Launches of one environment that may be under way at the same time; more would hide a provider's failure for longer.
pub(crate) const LAUNCHES_IN_FLIGHT: usize = 10;

/// The offers on which a unit of `shape` can run, some time: allowed in the environment, large enough, within its limit. Or why none is.
pub(crate) fn fitting<'a>(rooms: &Rooms<'_>, scaling: &'a Scaling, shape: &Shape) -> Result<Vec<&'a Offer>, Note> {
    let environment = &rooms.environment.aws_name;
    let offers = scaling.offers.as_ref().map_err(|message| Note::provider(environment, message))?;
    let allowed: Vec<&Offer> = offers.iter().filter(|offer| is_allowed(scaling, offer)).collect();
    if allowed.is_empty() {
        return Err(Note::no_offer(environment, scaling, offers));
    }
    let large: Vec<&Offer> = allowed.iter().copied().filter(|offer| rooms.promise_of(offer).suits(shape)).collect();
    if large.is_empty() {
        // A node that it can run on is there already, and no other will be like it.
        let nodes = rooms.rooms.iter().filter(|room| room.node.is_some() && room.suits(shape)).count();
        if nodes > 0 {
            return Err(Note::no_room(environment, shape, nodes));
        }
        let promises: Vec<Promise> = allowed.iter().map(|offer| rooms.promise_of(offer)).collect();
        let largest = promises.iter().max_by_key(|promise| (promise.room.cpu, promise.room.memory));
        let taint = promises.iter().find_map(|promise| promise.keeps_away(shape));
        let room = largest.map(|promise| promise.room.clone()).unwrap_or_default();
        return Err(Note::too_large(environment, shape, &room, taint));
    }
    let within: Vec<&Offer> = large.iter().copied().filter(|offer| offer.milli_vcpus <= scaling.max_milli).collect();
    if within.is_empty() {
        let least = large.iter().map(|offer| offer.milli_vcpus).min().unwrap_or_default();
        return Err(Note::max_resource(environment, least, scaling.max_milli));
    }
    Ok(within)
}

/// Those of the [`fitting`] offers that can be had now. Everything that is launched, or that nodes make way for, is one of these.
pub(crate) fn available<'a>(
    rooms: &Rooms<'_>,
    scaling: &'a Scaling,
    shape: &Shape,
    now: Timestamp,
) -> Result<Vec<&'a Offer>, Note> {
    let environment = &rooms.environment.aws_name;
    let fitting = fitting(rooms, scaling, shape)?;
    if let Some(setback) = setback(scaling, None, now) {
        return Err(Note::setback(environment, None, setback));
    }
    let mut refused = None;
    let mut available = Vec::new();
    for offer in fitting {
        match setback(scaling, Some(&offer.name), now) {
            None => available.push(offer),
            Some(setback) => {
                refused = refused.or_else(|| Some(Note::setback(environment, Some(&offer.name), setback)));
            }
        }
    }
    refused.filter(|_| available.is_empty()).map_or(Ok(available), Err)
}

/// The offer to launch for `count` units of `shape`, or why there is none.
pub(crate) fn choose<'a>(
    rooms: &Rooms<'a>,
    scaling: &'a Scaling,
    shape: &Shape,
    count: u32,
    now: Timestamp,
) -> Result<&'a Offer, Note> {
    let environment = &rooms.environment.aws_name;
    let available = available(rooms, scaling, shape, now)?;
    let left = scaling.max_milli - rooms.used_milli;
    let affordable: Vec<&Offer> = available.iter().copied().filter(|offer| offer.milli_vcpus <= left).collect();
    if affordable.is_empty() {
        let least = available.iter().map(|offer| offer.milli_vcpus).min().unwrap_or_default();
        return Err(Note::limit(environment, rooms.used_milli, scaling.max_milli, least));
    }
    if rooms.coming >= LAUNCHES_IN_FLIGHT {
        return Err(Note::in_flight(environment, rooms.coming));
    }
    cheapest(rooms, &affordable, shape, count).ok_or_else(|| Note::too_large(environment, shape, &shape.requests, None))
}

/// The cheapest offer of those that an environment may use, for keeping `minvCpus`.
pub(crate) fn cheapest_of_all(scaling: &Scaling, left: i64, now: Timestamp) -> Option<&Offer> {
    let offers = scaling.offers.as_ref().ok()?;
    let usable = |offer: &&Offer| {
        is_allowed(scaling, offer)
            && offer.milli_vcpus <= left
            && setback(scaling, None, now).is_none()
            && setback(scaling, Some(&offer.name), now).is_none()
    };
    offers.iter().filter(usable).min_by_key(|offer| (offer.price_micros, offer.milli_vcpus, &offer.name))
}

/// The earliest end of a setback that still holds.
pub(crate) fn next_retry(scaling: &Scaling, now: Timestamp) -> Option<Timestamp> {
    scaling.setbacks.iter().map(|setback| setback.until).filter(|until| *until > now).min()
}

fn is_allowed(scaling: &Scaling, offer: &Offer) -> bool {
    let family = offer.name.split('.').next().unwrap_or_default();
    let named = |name: &String| *name == offer.name || name == family;
    (scaling.instance_types.is_empty() || scaling.instance_types.iter().any(named)) && (!scaling.spot || offer.spot)
}

fn setback<'a>(scaling: &'a Scaling, offer: Option<&str>, now: Timestamp) -> Option<&'a Setback> {
    scaling.setbacks.iter().find(|setback| setback.offer.as_deref() == offer && setback.until > now)
}

/// Lowest price per unit that would really run on it; of equals the larger machine, so that there are fewer.
pub(crate) fn cheapest<'a>(rooms: &Rooms<'_>, offers: &[&'a Offer], shape: &Shape, count: u32) -> Option<&'a Offer> {
    offers.iter().copied().min_by_key(|offer| {
        let fit = capacity(&rooms.promise_of(offer).room, shape).clamp(1, i64::from(count.max(1)));
        // Micro-prices per thousand units keep the division exact enough without floats.
        (offer.price_micros.saturating_mul(1000) / fit, -offer.milli_vcpus, offer.name.clone())
    })
}

/// How many units of a shape an empty node takes.
pub(crate) fn capacity(room: &model::resources::Resources, shape: &Shape) -> i64 {
    let of = |name: &str, wanted: i64| if wanted > 0 { room.get(name) / wanted } else { i64::MAX };
    let others = shape.requests.other.iter().map(|(name, wanted)| of(name, *wanted));
    others.fold(of("cpu", shape.requests.cpu).min(of("memory", shape.requests.memory)), i64::min)
}
