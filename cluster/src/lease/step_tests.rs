//! The table of decisions, and a model in which clocks, delays and lost answers are arbitrary and at most one leads.

use proptest::prelude::*;

use super::*;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `holder` as seen 100 s after an arbitrary start, judged `later` seconds after that.
fn check(holder: Option<&str>, renewed: Option<u64>, later: u64, expect: Step) {
    let start = Instant::now();
    let observed = Observed {
        holder: holder.map(str::to_owned),
        promised: Some(secs(15)),
        version: Some("7".to_owned()),
        since: start + secs(100),
    };
    let me = Me { identity: "me".to_owned(), timing: Timing::default(), renewed: renewed.map(|at| start + secs(at)) };
    assert_eq!(step(&observed, &me, start + secs(100 + later)), expect);
}

#[test]
fn a_waiting_candidate_takes_what_nobody_holds_or_renews() {
    check(None, None, 0, Step::Acquire);
    check(Some("me"), None, 0, Step::Acquire);
    check(Some("other"), None, 0, Step::Wait(secs(1)));
    check(Some("other"), None, 14, Step::Wait(secs(1)));
    check(Some("other"), None, 15, Step::Acquire);
}

#[test]
fn a_leader_renews_and_steps_down_before_others_may_take_over() {
    check(Some("me"), Some(100), 1, Step::Wait(secs(1)));
    check(Some("me"), Some(100), 2, Step::Renew);
    check(Some("me"), Some(100), 9, Step::Renew);
    check(Some("me"), Some(100), 10, Step::StepDown(Lost::Deadline));
    check(Some("other"), Some(100), 1, Step::StepDown(Lost::Taken));
    check(None, Some(100), 1, Step::StepDown(Lost::Taken));
}

#[test]
fn a_holder_with_a_longer_promise_is_trusted_longer() {
    let start = Instant::now();
    let observed = Observed {
        holder: Some("other".to_owned()),
        promised: Some(secs(60)),
        version: Some("7".to_owned()),
        since: start,
    };
    let me = Me { identity: "me".to_owned(), timing: Timing::default(), renewed: None };
    assert_eq!(step(&observed, &me, start + secs(59)), Step::Wait(secs(1)));
    assert_eq!(step(&observed, &me, start + secs(60)), Step::Acquire);
}

#[test]
fn a_missing_record_is_created() {
    let start = Instant::now();
    let observed = Observed { holder: None, promised: None, version: None, since: start };
    let mut me = Me { identity: "me".to_owned(), timing: Timing::default(), renewed: None };
    assert_eq!(step(&observed, &me, start), Step::Create);
    me.renewed = Some(start);
    assert_eq!(step(&observed, &me, start), Step::StepDown(Lost::Taken));
}

#[test]
fn times_that_cannot_work_are_refused() {
    let good = Timing::default();
    assert_eq!(good.validate(), Ok(()));
    let late = Timing { renew_deadline: secs(15), ..good };
    assert_eq!(late.validate(), Err(TimingError::Deadline(secs(15), secs(15))));
    let slow = Timing { renew_every: secs(6), ..good };
    assert_eq!(slow.validate(), Err(TimingError::Renew(secs(6), secs(10))));
    let short = Timing { duration: Duration::from_millis(10), ..good };
    assert!(matches!(short.validate(), Err(TimingError::Short(_))));
    let spin = Timing { look_every: Duration::ZERO, ..good };
    assert_eq!(spin.validate(), Err(TimingError::Zero));
}

/// The record at the API server: compare-and-swap by version, nothing else.
#[derive(Clone, Default)]
struct Server {
    version: u64,
    holder: Option<String>,
}

/// A write of one life of a candidate.
#[derive(Clone)]
struct Write {
    life: String,
    sent: Instant,
    over: u64,
    holder: Option<String>,
}

/// Requests of one candidate that can be on their way at once; a real one has a single one and what it gave up on.
const MAX_FLIGHTS: usize = 3;

/// A request on its way, and what it will bring back.
enum Flight {
    Read,
    Write(Write),
    ReadDone(Server),
    WriteDone(Write, Result<u64, ()>),
}

struct Candidate {
    /// How far its clock is from true time; it never learns that.
    skew: Duration,
    me: Me,
    observed: Option<Observed>,
    flights: Vec<Flight>,
}

impl Candidate {
    fn now(&self, truth: Instant) -> Instant {
        truth + self.skew
    }

    /// Leads by its own judgement: the timer at the renew deadline runs independently of requests.
    fn leads(&self, truth: Instant) -> bool {
        let now = self.now(truth);
        self.me.renewed.is_some_and(|renewed| now.saturating_duration_since(renewed) < self.me.timing.renew_deadline)
    }

    fn see(&mut self, record: Server, truth: Instant) {
        let version = (record.version > 0).then(|| record.version.to_string());
        if self.observed.as_ref().is_some_and(|seen| seen.version == version) {
            return;
        }
        self.observed = Some(Observed { holder: record.holder, promised: None, version, since: self.now(truth) });
    }

    fn write(&mut self, truth: Instant, holder: Option<String>) {
        let seen = self.observed.as_ref().and_then(|seen| seen.version.as_ref());
        self.flights.push(Flight::Write(Write {
            life: self.me.identity.clone(),
            sent: self.now(truth),
            over: seen.map_or(0, |version| version.parse().unwrap()),
            holder,
        }));
    }

    /// The process ends; the next one has another identity and nothing in memory. What was sent stays on its way.
    fn die(&mut self) {
        self.me.renewed = None;
        self.me.identity.push('+');
        self.observed = None;
    }

    fn act(&mut self, truth: Instant) {
        if self.flights.len() >= MAX_FLIGHTS {
            return;
        }
        let Some(observed) = &self.observed else {
            self.flights.push(Flight::Read);
            return;
        };
        match step(observed, &self.me, self.now(truth)) {
            Step::Create | Step::Acquire | Step::Renew => {
                self.write(truth, Some(self.me.identity.clone()));
            }
            Step::Wait(_) => self.flights.push(Flight::Read),
            Step::StepDown(_) => self.die(),
        }
    }

    fn release(&mut self, truth: Instant) {
        let mine = self.observed.as_ref().is_some_and(|observed| is_mine(observed, &self.me));
        if self.me.renewed.is_some() && mine {
            self.write(truth, None);
            self.die();
        }
    }

    fn round(&mut self, server: &mut Server, truth: Instant) {
        self.act(truth);
        for which in (0..self.flights.len()).rev() {
            self.arrive(server, which);
            self.answer(which, truth);
        }
    }

    fn arrive(&mut self, server: &mut Server, which: usize) {
        let Some(flight) = self.flights.get_mut(which) else {
            return;
        };
        match flight {
            Flight::Read => *flight = Flight::ReadDone(server.clone()),
            Flight::Write(write) if server.version == write.over => {
                server.version += 1;
                server.holder.clone_from(&write.holder);
                *flight = Flight::WriteDone(write.clone(), Ok(server.version));
            }
            Flight::Write(write) => *flight = Flight::WriteDone(write.clone(), Err(())),
            Flight::ReadDone(_) | Flight::WriteDone(..) => {}
        }
    }

    fn answer(&mut self, which: usize, truth: Instant) {
        if which >= self.flights.len() {
            return;
        }
        match self.flights.swap_remove(which) {
            Flight::ReadDone(record) => self.see(record, truth),
            Flight::WriteDone(write, _) if write.life != self.me.identity => {}
            Flight::WriteDone(_, Err(())) => self.observed = None,
            Flight::WriteDone(write, Ok(version)) => {
                let holder = write.holder;
                self.see(Server { version, holder }, truth);
                let age = self.now(truth).saturating_duration_since(write.sent);
                if age < self.me.timing.renew_deadline {
                    self.me.renewed = self.me.renewed.max(Some(write.sent));
                }
            }
            unanswered => self.flights.push(unanswered),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Pass(u16),
    Act(usize),
    Arrive(usize, usize),
    Answer(usize, usize),
    /// Acts, and everything on its way arrives and is answered at once.
    Round(usize),
    /// Gives up what it knows; requests stay on their way.
    Forget(usize),
    Release(usize),
    Die(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let who = || 0..3_usize;
    let one = prop_oneof![
        8 => (1..6000_u16).prop_map(Move::Pass),
        16 => who().prop_map(Move::Round),
        4 => who().prop_map(Move::Act),
        4 => (who(), 0..MAX_FLIGHTS).prop_map(|(c, f)| Move::Arrive(c, f)),
        4 => (who(), 0..MAX_FLIGHTS).prop_map(|(c, f)| Move::Answer(c, f)),
        1 => who().prop_map(Move::Forget),
        1 => who().prop_map(Move::Release),
        1 => who().prop_map(Move::Die),
    ];
    prop::collection::vec(one, 1..500)
}

fn candidates() -> Vec<Candidate> {
    [0, 1_000_003, 77]
        .into_iter()
        .enumerate()
        .map(|(index, skew)| Candidate {
            skew: Duration::from_millis(skew),
            me: Me { identity: index.to_string(), timing: Timing::default(), renewed: None },
            observed: None,
            flights: Vec::new(),
        })
        .collect()
}

/// Plays the moves, checks after each that at most one leads, and returns how often leadership changed hands.
fn play(moves: &[Move]) -> Result<usize, TestCaseError> {
    let mut truth = Instant::now();
    let mut server = Server::default();
    let mut all = candidates();
    let (mut leader, mut changes) = (None, 0);
    for one in moves {
        match *one {
            Move::Pass(millis) => truth += Duration::from_millis(millis.into()),
            Move::Act(c) => all[c].act(truth),
            Move::Arrive(c, f) => all[c].arrive(&mut server, f),
            Move::Answer(c, f) => all[c].answer(f, truth),
            Move::Round(c) => all[c].round(&mut server, truth),
            Move::Forget(c) => all[c].observed = None,
            Move::Release(c) => all[c].release(truth),
            Move::Die(c) => all[c].die(),
        }
        let leaders: Vec<usize> = (0..all.len()).filter(|&c| all[c].leads(truth)).collect();
        prop_assert!(leaders.len() <= 1, "{leaders:?} lead at the same time");
        if let Some(&now) = leaders.first()
            && leader != Some(now)
        {
            leader = Some(now);
            changes += 1;
        }
    }
    Ok(changes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]
    #[test]
    fn at_most_one_leads_whatever_clocks_and_the_network_do(moves in moves()) {
        play(&moves)?;
    }
}

#[test]
fn in_the_model_a_silent_leader_is_followed_by_another() {
    let silence = vec![Move::Pass(5000), Move::Pass(5000), Move::Pass(5500)];
    let (a, b) = (Move::Round(0), Move::Round(1));
    let moves = [vec![a, a, b], silence, vec![b]].concat();
    assert_eq!(play(&moves).unwrap(), 2);
}

#[test]
fn in_the_model_a_released_lease_is_taken_at_once() {
    let release = vec![Move::Release(0), Move::Arrive(0, 0)];
    let (a, b) = (Move::Round(0), Move::Round(1));
    let moves = [vec![a, a], release, vec![b, b]].concat();
    assert_eq!(play(&moves).unwrap(), 2);
}
