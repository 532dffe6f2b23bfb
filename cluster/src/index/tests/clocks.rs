//! A wall clock that is set while something is under way.

use super::*;

/// An hour back, as it should be, an hour forward.
const JUMPS: [i64; 3] = [-3600, 0, 3600];

/// `seconds` after the beginning, on a wall clock that was set meanwhile.
fn later(seconds: u64, jump: i64) -> Now {
    let elapsed = i64::try_from(seconds).unwrap();
    Now { wall: at(elapsed + jump), moment: even(at(elapsed)).moment }
}

#[test]
fn an_assumption_lasts_as_long_whatever_the_clock_is_set_to() {
    for jump in JUMPS {
        let index = index();
        apply::<Job>(&index, &job("j"));
        apply::<Pod>(&index, &pod("p", "j"));
        index.assume_bound("uid-p", "n1", later(0, 0));
        index.assume_released("uid-j", later(0, 0));
        let seen = |seconds| {
            let snapshot = index.snapshot(later(seconds, jump));
            (snapshot.units[0].place.clone(), snapshot.jobs[0].released)
        };
        assert_eq!(seen(29), (bound("n1", false), true), "{jump}");
        assert_eq!(seen(30), (bound("n1", false), false), "{jump}");
        assert_eq!(index.unseen(later(29, jump)), []);
        assert_eq!(index.unseen(later(30, jump)).len(), 1, "{jump}");
    }
}

#[test]
fn a_node_is_idle_for_as_long_as_it_is() {
    for jump in JUMPS {
        let index = index();
        apply::<Node>(&index, &node("n1"));
        drop(index.snapshot(later(0, 0)));
        let now = later(40, jump);
        let since = index.snapshot(now).nodes[0].idle_since.unwrap();
        assert_eq!(now.wall.duration_since(since).as_secs(), 40, "{jump}");
    }
}

#[test]
fn a_setback_ends_when_its_time_is_over() {
    for jump in JUMPS {
        let index = index();
        apply::<ComputeEnvironment>(&index, &environment("ce"));
        let setback =
            model::snapshot::Setback { offer: None, until: at(30), message: "no".to_owned(), capacity: false };
        index.add_setback("ce", setback, 1, later(0, 0));
        let left = |seconds| {
            let now = later(seconds, jump);
            let scaling = index.snapshot(now).environments[0].scaling.clone().unwrap();
            scaling.setbacks.first().map(|one| one.until.duration_since(now.wall).as_secs())
        };
        assert_eq!((left(10), left(30)), (Some(20), None), "{jump}");
    }
}

#[test]
fn a_stored_time_counts_once_and_one_that_lies_ahead_counts_from_now() {
    for jump in JUMPS {
        let index = index();
        let mut started = job("j");
        started["status"]["startTime"] = json!(at(-5).to_string());
        apply::<Job>(&index, &started);
        let ago = |seconds, jump| {
            let now = later(seconds, jump);
            now.wall.duration_since(index.snapshot(now).jobs[0].started.unwrap()).as_secs()
        };
        assert_eq!((ago(0, 0), ago(7, jump)), (5, 12), "{jump}");
        // Somebody else's clock is ahead.
        started["status"]["startTime"] = json!(at(5000).to_string());
        apply::<Job>(&index, &started);
        assert_eq!((ago(10, 0), ago(14, jump)), (0, 4), "{jump}");
    }
}
