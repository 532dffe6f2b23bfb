//! What the keeper makes of pods that end, run, and are told to go; what they print is made up.

use std::io;
use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::io::{AsyncRead, AsyncReadExt as _, BufReader, Cursor};
use model::job::{JobId, PodPhase};
use model::names;
use outputs::Limits;
use uuid::Uuid;

use super::*;

/// What containers print, or why it cannot be read.
type Text = Result<&'static str, fn() -> NoOutput>;

/// What containers print, by name, and which were opened, and followed.
#[derive(Default)]
struct Printed {
    lines: HashMap<&'static str, Text>,
    opened: Mutex<Vec<(String, bool)>>,
}

/// Text, and then nothing for ever.
struct Unended(Cursor<Vec<u8>>);

impl AsyncRead for Unended {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut [u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match std::pin::Pin::new(&mut self.0).poll_read(context, buffer) {
            std::task::Poll::Ready(Ok(0)) => std::task::Poll::Pending,
            answer => answer,
        }
    }
}

impl Outputs for Printed {
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        self.opened.lock().unwrap().push((whose.container.clone(), extent.follow));
        let lines = match self.lines.get(whose.container.as_str()) {
            Some(Ok(text)) if extent.follow => {
                Ok(Box::pin(BufReader::new(Unended(Cursor::new(text.as_bytes().to_vec())))) as Lines)
            }
            Some(Ok(text)) => Ok(Box::pin(BufReader::new(Cursor::new(text.as_bytes().to_vec()))) as Lines),
            Some(Err(why)) => Err(why()),
            None => return std::future::pending().boxed(),
        };
        async { lines }.boxed()
    }
}

const LINE: &str = "2026-11-30T21:00:00Z a\n";
const JOB: JobId = JobId { job: Uuid::from_u128(7), child: None };

fn ended() -> ContainerState {
    ContainerState::Ended { exit_code: 0, started: None, finished: None, reason: None, message: None }
}

fn pod(phase: PodPhase, containers: &[(&str, ContainerState)]) -> PodFacts {
    let container = |(name, state): &(&str, ContainerState)| ContainerFacts {
        name: (*name).into(),
        id: None,
        state: state.clone(),
    };
    PodFacts {
        job: JOB,
        attempt: 1,
        placement: 0,
        name: names::pod_name(JOB, 1, 0),
        namespace: "ns".into(),
        uid: "uid".into(),
        node: Some("n".into()),
        hold: vec![],
        unschedulable: None,
        misbound: false,
        unmounted: None,
        unready_since: None,
        ready_to_start: None,
        phase,
        reason: None,
        message: None,
        disruption: None,
        containers: containers.iter().map(container).collect(),
        init_containers: vec![],
        deleting: None,
        confirmed: false,
        kept: true,
    }
}

struct Bench {
    _directory: tempfile::TempDir,
    kept: Kept,
    outputs: Arc<Printed>,
    keeper: Keeper,
}

fn bench<const COUNT: usize>(lines: [(&'static str, Text); COUNT]) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::in_directory(directory.path(), Limits { bytes: 1 << 20 }).unwrap();
    let outputs = Arc::new(Printed { lines: lines.into(), opened: Mutex::default() });
    let keeper = Keeper::new(kept.clone(), outputs.clone(), SignedDuration::from_hours(1));
    Bench { _directory: directory, kept, outputs, keeper }
}

impl Bench {
    async fn text(&self, container: &str) -> Option<String> {
        let pod = names::pod_name(JOB, 1, 0);
        let whose = Whose { namespace: "ns".to_owned(), pod, container: container.to_owned(), is_over: true };
        let mut text = String::new();
        self.kept.read(&whose).await.unwrap()?.read_to_string(&mut text).await.unwrap();
        Some(text)
    }

    fn state(&self) -> Option<State> {
        self.keeper.pods.get("uid").map(|one| one.state)
    }

    /// Until it is neither being read nor about to be.
    async fn done(&mut self) {
        while matches!(self.state(), Some(State::Queued | State::Doing { .. })) {
            self.keeper.changed().await;
        }
    }
}

fn at(seconds: u64) -> Moment {
    Moment::after(Duration::from_secs(seconds))
}

#[tokio::test]
async fn a_pod_that_has_ended_is_let_go_when_what_it_printed_is_kept() {
    let mut bench = bench([("main", Ok(LINE)), ("other", Ok(""))]);
    let waiting = ContainerState::Waiting { reason: None, message: None };
    let containers = [("main", ended()), ("other", ended()), ("never", waiting)];
    let pods = [Arc::new(pod(PodPhase::Succeeded, &containers))];
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(0)), Duty::Release, "nobody knows of it");
    bench.keeper.look(&pods, at(0));
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(1)), Duty::Nothing);
    assert!(!bench.keeper.has("uid"));
    bench.done().await;
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(1)), Duty::Release);
    assert!(bench.keeper.has("uid"));
    let found = [bench.text("main").await, bench.text("other").await, bench.text("never").await];
    assert_eq!(found, [Some(LINE.into()), Some(String::new()), None]);
    bench.keeper.look(&pods, at(100));
    assert_eq!(bench.outputs.opened.lock().unwrap().len(), 2, "once is enough");
    bench.keeper.look(&[], at(101));
    assert_eq!(bench.state(), None);
}

#[tokio::test]
async fn a_pod_waits_for_a_kubelet_that_does_not_answer_and_not_for_ever() {
    let mut bench = bench([]);
    let pods = [Arc::new(pod(PodPhase::Failed, &[("main", ended())]))];
    bench.keeper.look(&pods, at(5));
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(34)), Duty::Nothing);
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(35)), Duty::Release);
    assert!(!bench.keeper.has("uid"), "its node keeps it");
}

#[tokio::test]
async fn what_cannot_be_read_is_tried_again_and_what_may_not_be_is_not() {
    let unavailable = || NoOutput::Unavailable("down".into());
    let cases: [(fn() -> NoOutput, bool); 4] = [
        (unavailable, true),
        (|| NoOutput::Gone, false),
        (|| NoOutput::NotYet, false),
        (|| NoOutput::Forbidden("no".into()), false),
    ];
    for (why, again) in cases {
        let mut bench = bench([("main", Err(why)), ("other", Ok("x\n"))]);
        let pods = [Arc::new(pod(PodPhase::Failed, &[("main", ended()), ("other", ended())]))];
        bench.keeper.look(&pods, at(0));
        bench.done().await;
        assert!(!bench.keeper.has("uid"));
        assert_eq!(bench.text("other").await.as_deref(), Some("x\n"));
        let gate = bench.keeper.gate(&pods[0], Duty::Release, at(1));
        assert_eq!(
            (gate, matches!(bench.state(), Some(State::Failed(_)))),
            if again { (Duty::Nothing, true) } else { (Duty::Release, false) }
        );
        bench.keeper.look(&pods, cluster::clock::moment().plus(AGAIN * 2));
        bench.done().await;
        let opened = bench.outputs.opened.lock().unwrap().iter().filter(|(name, _)| name == "main").count();
        assert_eq!(opened, if again { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_go_is_followed_first_to_his_end() {
    let mut bench = bench([("main", Ok(LINE))]);
    let running = ContainerState::Running { since: None };
    let runs = Arc::new(pod(PodPhase::Running, &[("main", running)]));
    bench.keeper.look(std::slice::from_ref(&runs), at(0));
    assert_eq!(bench.state(), None, "nobody asked for its end");
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(1)), Duty::Nothing);
    while bench.state() != Some(State::Doing { open: true }) {
        bench.keeper.changed().await;
    }
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(1)), Duty::Delete);
    // It may take as long as its grace period.
    bench.keeper.look(std::slice::from_ref(&runs), at(1000));
    assert_eq!(bench.state(), Some(State::Doing { open: true }));
    let pods = [Arc::new(PodFacts {
        deleting: Some(jiff::Timestamp::UNIX_EPOCH),
        ..pod(PodPhase::Failed, &[("main", ended())])
    })];
    bench.keeper.look(&pods, at(1001));
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(1002)), Duty::Nothing);
    // It did not end by itself: it is read once more, if the kubelet still has it.
    bench.done().await;
    assert_eq!((bench.state(), bench.text("main").await.as_deref()), (Some(State::Partial), Some(LINE)));
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(1002)), Duty::Nothing);
    bench.keeper.look(&pods, at(1003));
    bench.done().await;
    assert_eq!(bench.keeper.gate(&pods[0], Duty::Release, at(1003)), Duty::Release);
    assert_eq!(bench.text("main").await.as_deref(), Some(LINE));
    assert_eq!(*bench.outputs.opened.lock().unwrap(), [("main".to_owned(), true), ("main".to_owned(), false)]);
}

#[tokio::test]
async fn who_is_told_to_go_waits_two_seconds_for_his_kubelet() {
    let mut bench = bench([]);
    let runs = Arc::new(pod(PodPhase::Running, &[("main", ContainerState::Running { since: None })]));
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(1)), Duty::Nothing);
    // As many are followed as may be.
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(10)), Duty::Nothing);
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(11)), Duty::Delete);
    bench.keeper.learn("uid", &News::Begun, at(12));
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(13)), Duty::Nothing);
    assert_eq!(bench.keeper.gate(&runs, Duty::Delete, at(14)), Duty::Delete);
    // Nor does anything else wait for it.
    assert_eq!(bench.keeper.gate(&runs, Duty::Hold, at(1)), Duty::Hold);
}

#[tokio::test]
async fn others_pods_and_those_that_were_let_go_before_are_left_alone() {
    let mut bench = bench([("main", Ok(LINE))]);
    let done = || pod(PodPhase::Succeeded, &[("main", ended())]);
    let pods = [PodFacts { kept: false, ..done() }, PodFacts { name: "other".into(), uid: "other".into(), ..done() }];
    let pods = pods.map(Arc::new);
    bench.keeper.look(&pods, at(0));
    assert!(bench.keeper.pods.is_empty());
    for pod in &pods {
        assert_eq!(bench.keeper.gate(pod, Duty::Release, at(0)), Duty::Release);
    }
}

#[tokio::test]
async fn who_comes_when_as_many_are_read_as_may_be_has_his_turn() {
    let mut bench = bench([("main", Ok(LINE))]);
    let one = |number: u128| {
        let job = JobId::new(Uuid::from_u128(number));
        let name = names::pod_name(job, 1, 0);
        Arc::new(PodFacts { job, name, uid: number.to_string(), ..pod(PodPhase::Succeeded, &[("main", ended())]) })
    };
    let pods: Vec<_> = (0..3 * AT_ONCE as u128).map(one).collect();
    bench.keeper.look(&pods, at(0));
    while !pods.iter().all(|pod| bench.keeper.has(&pod.uid)) {
        bench.keeper.changed().await;
        bench.keeper.look(&pods, at(0));
    }
}
