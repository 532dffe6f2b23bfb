//! The scenes of `bench plan`: what each is made of, and how far its plan should come.
//!
//! Invariant: a scene is the same every time. Does not measure.

/// How full the nodes are before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing fits anywhere.
    Full,
    /// One node is empty, nothing fits on the others.
    One,
    /// All are empty.
    Empty,
}

/// Who asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Jobs of the API, of so many kinds in turn.
    Attempts(usize),
    /// Suspended Jobs of one pod each, of so many kinds in turn.
    Jobs(usize),
    /// Jobs of the API, all but the last of which ask for a GPU that nobody has.
    Gpus,
}

/// One scene.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    /// Its name.
    pub(super) name: &'static str,
    /// Nodes, in equal parts in each environment.
    pub(super) nodes: usize,
    /// How full they are.
    pub(super) room: Room,
    /// Units that wait, in equal parts in each queue.
    pub(super) units: usize,
    /// Who they are.
    pub(super) work: Work,
    /// Queues.
    pub(super) queues: usize,
    /// Environments; more than one: as many as there are queues, one for each.
    pub(super) environments: usize,
    /// The environments are MANAGED and have no node yet.
    pub(super) managed: bool,
    /// How many units its plan should start; `None`: that is not known before.
    pub(super) placed: Option<usize>,
    /// How many machines it should launch.
    pub(super) launched: Option<usize>,
}

const BASE: Scene = Scene {
    name: "",
    nodes: 5_000,
    room: Room::Full,
    units: 100_000,
    work: Work::Attempts(1),
    queues: 1,
    environments: 1,
    managed: false,
    placed: Some(0),
    launched: Some(0),
};

/// Units of the one kind that an empty node takes.
pub(super) const PER_NODE: usize = 20;

/// All scenes.
pub(super) const ALL: [Scene; 20] = [
    Scene { name: "full-1", ..BASE },
    Scene { name: "full-50", work: Work::Attempts(50), ..BASE },
    Scene { name: "full-1000", work: Work::Attempts(1_000), ..BASE },
    Scene { name: "one-1", room: Room::One, placed: Some(PER_NODE), ..BASE },
    Scene { name: "one-50", room: Room::One, work: Work::Attempts(50), placed: None, ..BASE },
    Scene { name: "one-1000", room: Room::One, work: Work::Attempts(1_000), placed: None, ..BASE },
    Scene { name: "empty-1", room: Room::Empty, placed: Some(100_000), ..BASE },
    Scene { name: "empty-50", room: Room::Empty, work: Work::Attempts(50), placed: None, ..BASE },
    Scene { name: "empty-1000", room: Room::Empty, work: Work::Attempts(1_000), placed: None, ..BASE },
    Scene { name: "queues-full-50", work: Work::Attempts(50), queues: 1_000, ..BASE },
    Scene { name: "queues-empty-50", room: Room::Empty, work: Work::Attempts(50), queues: 1_000, placed: None, ..BASE },
    Scene { name: "environments-full-50", work: Work::Attempts(50), queues: 1_000, environments: 1_000, ..BASE },
    Scene {
        name: "environments-empty-50",
        room: Room::Empty,
        work: Work::Attempts(50),
        queues: 1_000,
        environments: 1_000,
        placed: None,
        ..BASE
    },
    Scene { name: "jobs-full-1", work: Work::Jobs(1), ..BASE },
    Scene { name: "jobs-full-1000", work: Work::Jobs(1_000), ..BASE },
    Scene { name: "jobs-empty-50", room: Room::Empty, work: Work::Jobs(50), placed: None, ..BASE },
    Scene { name: "deep (W3)", nodes: 10, room: Room::Empty, units: 536, placed: Some(200), ..BASE },
    Scene { name: "gpus (W4)", room: Room::One, units: 5_001, work: Work::Gpus, placed: Some(1), ..BASE },
    Scene { name: "launch-200 (W6)", nodes: 0, units: 4_000, managed: true, launched: Some(200), ..BASE },
    Scene { name: "launch-2000 (W6)", nodes: 0, units: 40_000, managed: true, launched: Some(2_000), ..BASE },
];

/// The one of this name.
pub(super) fn named(name: &str) -> Option<&'static Scene> {
    ALL.iter().find(|scene| scene.name == name)
}
