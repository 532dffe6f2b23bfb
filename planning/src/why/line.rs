//! Where something is in line: its queue, and what comes before it.
//!
//! Invariant: counts units, as the plan does. Knows nothing about room.

use model::snapshot::{Place, Queue, Snapshot};

use super::Check;
use super::subject::Wanted;
use crate::world::facts::Facts;
use crate::world::lines::{Demand, Line};
use crate::world::rank::Rank;

/// Whether there is a queue that lets it in, and what comes first.
pub(super) fn checks(snapshot: &Snapshot, facts: &Facts<'_>, wanted: &Wanted<'_>) -> Vec<Check> {
    let Some(queue) = snapshot.queues.iter().find(|queue| queue.name == wanted.queue) else {
        return vec![Check::new(false, format!("job queue {} exists", wanted.queue))];
    };
    let mut checks = vec![Check::new(queue.enabled, format!("job queue {} is ENABLED", queue.name))];
    let before = rank(snapshot, wanted).map_or(0, |rank| before(facts.lines.get(&queue.name), &rank));
    let first = before_it(facts, snapshot, queue);
    let since = snapshot.kept_since.get(wanted.uid).map_or_else(String::new, |since| {
        format!("; room has been kept for it since {since}, as far as this leader knows")
    });
    let strict = if queue.strict_fifo { ", and nothing passes a job that waits (strictFifo)" } else { "" };
    let text = match (before, first.as_slice()) {
        (0, []) => format!("nothing waits before it{strict}{since}"),
        (0, _) => format!("it is the first in its queue; {}{strict}{since}", first.join(", ")),
        _ => {
            let others = if first.is_empty() { String::new() } else { format!("; {}", first.join(", ")) };
            format!("{} before it in its queue{others}{strict}{since}", wait(before))
        }
    };
    checks.push(Check::new((before == 0 && first.is_empty()).then_some(true), text));
    checks
}

/// Its place: of a Job that of its first unit that waits.
fn rank(snapshot: &Snapshot, wanted: &Wanted<'_>) -> Option<Rank> {
    if let Some(unit) = wanted.unit {
        return Some(Rank::unit(unit));
    }
    let own = snapshot.units.iter().filter(|unit| unit.job.as_ref().is_some_and(|of| of.uid == wanted.uid));
    let waiting = own.filter(|unit| !matches!(unit.place, Place::Bound { .. })).map(Rank::unit).min();
    waiting.or_else(|| wanted.job.map(Rank::future))
}

fn before(line: Option<&Line>, rank: &Rank) -> u64 {
    let lanes = line.into_iter().flat_map(|line| line.lanes.values());
    lanes.flat_map(|lane| lane.demands.range(..rank)).map(|(_, demand): (_, &Demand)| demand.size()).sum()
}

/// Queues that come before one and want the same environments.
fn before_it(facts: &Facts<'_>, snapshot: &Snapshot, queue: &Queue) -> Vec<String> {
    let names = |queue: &Queue| -> Vec<String> {
        let is_it = |name: &String| {
            let found = snapshot.environments.iter().find(|one| one.name == *name || one.aws_name == *name);
            found.map(|one| one.name.clone())
        };
        queue.environments.iter().filter_map(is_it).collect()
    };
    let own = names(queue);
    let comes_first = |other: &&Queue| (-other.priority, &other.name) < (-queue.priority, &queue.name);
    let mut others: Vec<&Queue> = snapshot.queues.iter().filter(comes_first).collect();
    others.sort_by_key(|other| (-other.priority, &other.name));
    let shares = |other: &&Queue| names(other).iter().any(|name| own.contains(name));
    let told = |other: &Queue| {
        let size = facts.lines.get(&other.name).map_or(0, |line| line.size);
        (size > 0).then(|| format!("{} in queue {}, which comes first", wait(size), other.name))
    };
    others.into_iter().filter(shares).filter_map(told).collect()
}

fn wait(count: u64) -> String {
    if count == 1 { "1 unit waits".to_owned() } else { format!("{count} units wait") }
}
