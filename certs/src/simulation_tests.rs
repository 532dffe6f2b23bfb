//! Rotation over hundreds of simulated days, with real keys and certificates and a virtual clock: whatever an API server
//! trusts by now must accept whatever a replica serves by now, at every instant.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    config::{Config, Times},
    data::Data,
    decide::{Action, decide},
    examine::{examine, verifies},
    keep::carry_out,
    memory::Memory,
};

const DAY: Duration = Duration::from_hours(24);

type Der = CertificateDer<'static>;

/// A value that its readers notice late: the newest entry whose time has come counts.
struct Late<T> {
    history: Vec<(Instant, T)>,
}

impl<T> Late<T> {
    fn at(&self, now: Instant) -> Option<&T> {
        self.history.iter().rev().find(|(from, _)| *from <= now).map(|(_, value)| value)
    }
}

struct World {
    config: Config,
    wall: Timestamp,
    mono: Instant,
    secret: Option<Data>,
    bundle: Vec<Der>,
    memory: Memory,
    api_servers: [Late<Vec<Der>>; 2],
    replicas: [Late<Der>; 2],
    random: u64,
    leaves: usize,
    cas: usize,
    restarts: usize,
}

impl World {
    fn new(times: Times, seed: u64) -> Self {
        let late = || Late { history: Vec::new() };
        Self {
            config: Config { times, ..Config::default() },
            wall: Timestamp::from_second(1_800_000_000).unwrap(),
            mono: Instant::now(),
            secret: None,
            bundle: Vec::new(),
            memory: Memory::default(),
            api_servers: [late(), late()],
            replicas: [Late { history: Vec::new() }, Late { history: Vec::new() }],
            random: seed | 1 << 40,
            leaves: 0,
            cas: 0,
            restarts: 0,
        }
    }

    /// Below `limit`; xorshift, so that a failure can be played again.
    fn draw(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % limit
    }

    /// Sometime within the time to settle.
    fn late(&mut self) -> Instant {
        let settle = u64::try_from(self.config.times.settle.as_millis()).unwrap();
        self.mono + Duration::from_millis(self.draw(settle))
    }

    fn pass_time(&mut self, time: Duration) {
        self.wall += time;
        self.mono += time;
    }

    /// One pass of the leader; returns whether it changed anything.
    fn lead(&mut self) -> bool {
        let mut changed = false;
        for _ in 0..8 {
            let stored = self.secret.as_ref().map(|data| examine(data, &self.config.names));
            if let Some(stored) = &stored {
                let bundle: Vec<Der> =
                    CertificateDer::pem_slice_iter(stored.bundle().as_bytes()).collect::<Result<_, _>>().unwrap();
                if bundle != self.bundle {
                    self.bundle.clone_from(&bundle);
                    for server in 0..2 {
                        let when = self.late();
                        self.api_servers[server].history.push((when, bundle.clone()));
                    }
                }
                self.memory.note(stored, std::slice::from_ref(&self.bundle), self.mono);
            }
            let times = self.config.times;
            let settled = stored.as_ref().map(|stored| self.memory.settled(stored, times.settle, self.mono));
            let action = decide(stored.as_ref(), settled.unwrap_or_default(), self.wall, &times);
            let data = self.secret.clone().unwrap_or_default();
            let Some(data) = carry_out(&action, data, stored.as_ref(), &self.config, self.wall).unwrap() else {
                return changed;
            };
            changed = true;
            match action {
                Action::Ca { .. } => self.cas += 1,
                Action::Leaf { .. } | Action::Everything { .. } => self.leaves += 1,
                Action::Nothing => {}
            }
            self.store(data);
        }
        panic!("the leader does not come to rest");
    }

    fn store(&mut self, data: Data) {
        let leaf = CertificateDer::from_pem_slice(data.leaf.certificate.as_bytes());
        for replica in 0..2 {
            let when = self.late();
            if let Ok(leaf) = &leaf {
                self.replicas[replica].history.push((when, leaf.clone()));
            }
        }
        self.secret = Some(data);
    }

    /// Every API server accepts every replica for every name.
    fn check(&self) {
        for (server, trusted) in self.api_servers.iter().enumerate() {
            for (replica, served) in self.replicas.iter().enumerate() {
                let (Some(bundle), Some(leaf)) = (trusted.at(self.mono), served.at(self.mono)) else {
                    panic!("nothing is served or trusted yet");
                };
                let accepted = bundle.iter().any(|ca| verifies(leaf, ca, &self.config.names[0], self.wall));
                assert!(accepted, "at {} API server {server} refuses replica {replica}", self.wall);
            }
        }
    }

    /// Lets `total` pass in steps of about `coarse`, looking closely after every change. The leader is sometimes away or
    /// replaced by one that remembers nothing.
    fn live(&mut self, total: Duration, coarse: Duration) {
        let end = self.mono + total;
        let fine = self.config.times.settle / 5;
        let mut closely = 12;
        while self.mono < end {
            self.pass_time(if closely > 0 { fine } else { coarse });
            self.check();
            closely = closely.max(1) - 1;
            let fate = self.draw(200);
            if fate < 2 {
                self.memory = Memory::default();
                self.restarts += 1;
            }
            // Away: nobody leads during this step.
            if fate > 10 && self.lead() {
                closely = 12;
                self.check();
            }
        }
    }

    fn begin(&mut self) {
        self.lead();
        self.pass_time(self.config.times.settle);
        self.check();
    }
}

#[test]
fn for_four_hundred_days_every_api_server_accepts_every_replica() {
    for seed in 1..3 {
        let mut world = World::new(Times::default(), seed);
        world.begin();
        world.live(DAY * 400, DAY / 3);
        assert!((20..40).contains(&world.leaves), "{} leaves", world.leaves);
        assert!((10..16).contains(&world.cas), "{} CAs", world.cas);
        assert!(world.restarts > 5);
    }
}

#[test]
fn lives_of_seconds_rotate_as_well() {
    let times =
        Times { ca_life: Duration::from_mins(3), leaf_life: Duration::from_mins(1), settle: Duration::from_secs(4) };
    for seed in 1..3 {
        let mut world = World::new(times, seed);
        world.begin();
        world.live(Duration::from_secs(1000), Duration::from_secs(1));
        assert!(world.cas >= 12 && world.leaves >= 20, "{} CAs, {} leaves", world.cas, world.leaves);
    }
}

#[test]
fn a_leader_that_was_away_for_two_months_only_has_the_leaf_to_mend() {
    let mut world = World::new(Times::default(), 9);
    world.begin();
    world.pass_time(DAY * 60);
    assert!(world.lead());
    world.pass_time(world.config.times.settle);
    world.check();
    world.live(DAY * 100, DAY);
}

#[test]
fn whatever_happens_to_the_secret_it_is_whole_again_and_accepted() {
    for seed in 1..30 {
        let mut world = World::new(Times::default(), seed);
        world.begin();
        let mut data = world.secret.clone().unwrap();
        for _ in 0..=world.draw(3) {
            spoil(&mut world, &mut data);
        }
        world.secret = (world.draw(8) > 0).then_some(data);
        world.lead();
        for _ in 0..40 {
            world.pass_time(world.config.times.settle);
            world.lead();
        }
        world.check();
        let stored = examine(world.secret.as_ref().unwrap(), &world.config.names);
        assert!(stored.leaf.is_ok() && stored.cas.iter().flatten().filter(|ca| ca.can_sign).count() == 2);
    }
}

fn spoil(world: &mut World, data: &mut Data) {
    let foreign = {
        let mut other = World::new(Times::default(), world.random);
        other.lead();
        other.secret.unwrap()
    };
    let slot = usize::try_from(world.draw(2)).unwrap();
    match world.draw(8) {
        0 => data.cas[slot].certificate.clear(),
        1 => data.cas[slot].key.0.clear(),
        2 => data.leaf.key.0.clear(),
        3 => data.leaf = foreign.leaf,
        4 => data.cas = foreign.cas,
        5 => data.cas.swap(0, 1),
        6 => data.cas[slot] = data.leaf.clone(),
        _ => data.leaf.certificate.truncate(200),
    }
}

#[test]
fn clock_jumps_are_survived_in_both_directions() {
    let mut world = World::new(Times::default(), 5);
    world.begin();
    for jump in [400, -800, 400, -1, 1, 20_000, -20_000] {
        let far = Duration::from_hours(24 * u64::from(i32::unsigned_abs(jump)));
        world.wall = if jump > 0 { world.wall + far } else { world.wall - far };
        world.lead();
        world.pass_time(world.config.times.settle);
        world.lead();
        world.check();
    }
    world.live(DAY * 100, DAY);
}
