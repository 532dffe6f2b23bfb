//! Worlds for the closed loop: what is sold, what nodes are really like, and what Jobs ask for.

use model::placement::{NodeTerm, Operator, Requirement, Shape, Toleration};
use proptest::prelude::*;

use super::build::shape;

/// A resource that some offers promise.
pub(super) const GPU: &str = "example.com/gpu";

/// What nodes of an offer are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// What was promised.
    None,
    /// Their devices are there a moment after them.
    LateDevices,
    /// Their devices are promised and never there.
    NoDevices,
    /// They have a taint while they start.
    StartTaint,
    /// They have a taint that nobody promised.
    Taint,
    /// Each has a label of its own, and the first one another that some Jobs do not want.
    Labels,
}

/// What a unit that never ends takes, in thousandths of a CPU.
pub(super) const EVER: i64 = 100;

/// What one Job asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) queue: usize,
    pub(super) count: u32,
    pub(super) parallelism: u32,
    pub(super) milli: i64,
    /// Only this kind of machine will do.
    pub(super) only: Option<usize>,
    pub(super) has_deadline: bool,
    pub(super) judged: bool,
    pub(super) steps: usize,
    pub(super) special: Special,
}

/// What a Job wants beside room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Nothing,
    /// A device.
    Gpu,
    /// To run in spite of taints.
    Tolerates,
    /// Away from what the first node of an offer may have.
    Avoids,
    /// Some room on the node's disk, which no offer speaks of.
    Disk,
}

#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) quirks: Vec<Quirk>,
    /// Which nodes somebody closes when they have joined, by the order of their launches.
    pub(super) cordons: Vec<bool>,
    /// Which offers of [`KINDS`] are sold, and what their nodes keep for themselves.
    pub(super) sold: Vec<(bool, i64)>,
    pub(super) allowed: usize,
    pub(super) spot: bool,
    pub(super) max: i64,
    pub(super) min: i64,
    /// Nodes that are there for good: their size, what others take of it, and whether a unit of [`EVER`] that never ends runs there.
    pub(super) own: Vec<(i64, i64, bool)>,
    pub(super) jobs: Vec<Asked>,
    /// Whether small work keeps coming in behind everything.
    pub(super) stream: bool,
    pub(super) strict: bool,
    /// Which launches fail at first.
    pub(super) fails: Vec<bool>,
    /// Machines that are there at the beginning.
    pub(super) there: Vec<usize>,
}

pub(super) const KINDS: [(&str, i64, bool); 6] = [
    ("m5.large", 2000, false),
    ("m5.xlarge", 4000, true),
    ("m5.2xlarge", 8000, false),
    ("c5.large", 2000, true),
    ("c5.xlarge", 4000, false),
    ("c5.mid", 3000, true),
];
pub(super) const ALLOWED: [&[&str]; 5] = [&[], &["m5"], &["c5"], &["m5.large", "c5.xlarge"], &["m5.2xlarge", "c5"]];

fn asked() -> impl Strategy<Value = Asked> {
    (
        (0..2usize, 1..9u32, 1..7u32),
        prop::sample::select(vec![100i64, 500, 900, 1500, 2500, 3500, 7000]),
        prop::option::weighted(0.2, 0..KINDS.len()),
        (any::<bool>(), prop::bool::weighted(0.9), 1..4usize),
        prop::sample::select(vec![
            Special::Nothing,
            Special::Nothing,
            Special::Gpu,
            Special::Tolerates,
            Special::Avoids,
            Special::Disk,
        ]),
    )
        .prop_map(|((queue, count, parallelism), milli, only, (has_deadline, judged, steps), special)| Asked {
            queue,
            count,
            parallelism,
            milli,
            only,
            has_deadline,
            judged,
            steps,
            special,
        })
}

pub(super) fn given() -> impl Strategy<Value = Given> {
    let quirk = prop::sample::select(vec![
        Quirk::None,
        Quirk::None,
        Quirk::LateDevices,
        Quirk::NoDevices,
        Quirk::StartTaint,
        Quirk::Taint,
        Quirk::Labels,
    ]);
    (
        (prop::collection::vec(quirk, KINDS.len()), prop::collection::vec(prop::bool::weighted(0.2), 8)),
        (prop::collection::vec((prop::bool::weighted(0.7), prop::sample::select(vec![0i64, 100, 600])), KINDS.len())),
        (
            0..ALLOWED.len(),
            prop::bool::weighted(0.2),
            prop::sample::select(vec![0i64, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 9, 10, 12, 16]),
            0..5i64,
        ),
        prop::collection::vec(
            (
                prop::sample::select(vec![500i64, 1000, 4000]),
                prop::sample::select(vec![0i64, 300]),
                prop::bool::weighted(0.3),
            ),
            0..3,
        ),
        prop::collection::vec(asked(), 1..6),
        (prop::bool::weighted(0.7), prop::bool::weighted(0.2)),
        prop::collection::vec(prop::bool::weighted(0.3), 8),
        prop::collection::vec(0..KINDS.len(), 0..5),
    )
        .prop_map(
            |((quirks, cordons), sold, (allowed, spot, max, min), own, jobs, (stream, strict), fails, there)| Given {
                quirks,
                cordons,
                sold,
                allowed,
                spot,
                max,
                min,
                own,
                jobs,
                stream,
                strict,
                fails,
                there,
            },
        )
}

/// What each unit of a Job needs.
pub(super) fn shape_of(asked: &Asked) -> Shape {
    let mut shape = Shape { judged: asked.judged, ..shape(asked.milli) };
    if let Some(only) = asked.only {
        shape.node_selector.insert("kind".into(), KINDS[only].0.into());
    }
    match asked.special {
        Special::Nothing => {}
        Special::Gpu => shape.requests.set(GPU, 1),
        Special::Tolerates => shape.tolerations.push(Toleration { key: None, value: None, effect: None }),
        Special::Avoids => shape.affinity.push(NodeTerm {
            labels: vec![Requirement { key: "first".into(), operator: Operator::DoesNotExist, values: vec![] }],
            fields: vec![],
        }),
        Special::Disk => shape.requests.set("ephemeral-storage", 1 << 20),
    }
    shape
}

/// Whether nodes of an offer become such that a Job can run there.
pub(super) fn keeps(quirk: Quirk, special: Special) -> bool {
    match special {
        Special::Gpu => quirk == Quirk::LateDevices,
        Special::Tolerates => true,
        _ => quirk != Quirk::Taint,
    }
}
