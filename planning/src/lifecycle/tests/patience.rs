//! How long pods may take, whatever the wall's clock is set to meanwhile.

use std::time::Duration;

use model::clock::Moment;

use super::super::patience::Patience;
use super::given::with_volume;
use super::*;

/// Of a minute of patience.
const MINUTE: Duration = Duration::from_mins(1);

fn moment(seconds: u64) -> Moment {
    Moment::after(Duration::from_secs(seconds))
}

/// Whether the job is hopeless at these seconds, each with how far the clocks that write times were set by then; `facts` is what is seen.
#[track_caller]
fn hopeless(looks: &[(u64, bool)], mut facts: impl FnMut(u64) -> PodFacts) {
    let (record, mut patience) = (record(JobState::Starting), Patience::default());
    for (second, expected) in looks {
        let stop = patience.hopeless(&record, &facts(*second), MINUTE, moment(*second));
        assert_eq!(stop.is_some(), *expected, "at {second} s");
    }
}

#[test]
fn a_volume_may_fail_to_mount_for_a_while_by_a_clock_that_nobody_sets() {
    let unmounted = with_volume(&record(JobState::Starting));
    // What is stored may say an hour ago, or an hour from now: what is seen here counts.
    for jump in [-3600, 0, 3600] {
        let mut jumped = unmounted.clone();
        jumped.unready_since = Some(at(5 + jump));
        let said = jumped.unmounted.as_mut().unwrap();
        (said.since, said.last) = (at(10 + jump), at(60 + jump));
        hopeless(&[(100, false), (159, false), (160, true)], |_| jumped.clone());
        // Events come anew with other times.
        hopeless(&[(100, false), (159, false), (160, true)], |second| {
            let mut again = jumped.clone();
            again.unmounted.as_mut().unwrap().last = at(i64::try_from(second).unwrap());
            again
        });
    }
}

#[test]
fn what_was_mounted_in_between_has_its_whole_time_again() {
    let unmounted = with_volume(&record(JobState::Starting));
    let since = |second: u64| if second < 150 { at(5) } else { at(150) };
    hopeless(&[(100, false), (160, false), (209, false), (220, true)], |second| PodFacts {
        unready_since: Some(since(second)),
        ..unmounted.clone()
    });
    hopeless(&[(100, false), (150, false), (165, false), (224, false), (225, true)], |second| PodFacts {
        ready_to_start: Some(second == 150),
        ..unmounted.clone()
    });
}

#[test]
fn a_pod_that_was_told_to_go_has_two_minutes_whatever_its_times_say() {
    let running = record(JobState::Running);
    for jump in [-3600, 0, 3600] {
        let mut patience = Patience::default();
        let going = PodFacts { deleting: Some(at(30 + jump)), ..pod(&running) };
        let mut looks = [100, 219, 220].map(|second| patience.is_overdue(&going, moment(second)));
        assert_eq!(looks, [false, false, true], "{jump}");
        let ended = PodFacts { confirmed: true, ..going.clone() };
        assert!(!patience.is_overdue(&ended, moment(300)), "it has said so itself");
        patience.keep([].into_iter());
        looks = [300, 419, 420].map(|second| patience.is_overdue(&going, moment(second)));
        assert_eq!(looks, [false, false, true], "forgotten with the pod");
    }
    assert!(!Patience::default().is_overdue(&pod(&running), moment(9999)), "nobody told it");
}
