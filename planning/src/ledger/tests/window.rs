//! Who of a long queue is shown to a plan.

use proptest::prelude::*;

use super::*;

/// A job by its number: the older, the smaller. Its need is a letter.
fn shape(need: char) -> Arc<Shape> {
    let mut shape = Shape::default();
    shape.requests.cpu = i64::from(u32::from(need));
    Arc::new(shape)
}

fn record(number: u128) -> JobRecord {
    let created = now() + SignedDuration::from_secs(i64::try_from(number).unwrap());
    JobRecord { state: JobState::Runnable, ..JobRecord::submitted(id(number), created) }
}

/// Jobs of queue `q`, by their needs in order of age.
fn ledger(needs: &str) -> Ledger {
    let mut ledger = Ledger::default();
    for (number, need) in needs.chars().enumerate() {
        ledger.take_in(record(number as u128), &Arc::new(spec(None, vec![])), &shape(need), now());
    }
    ledger
}

fn numbers(jobs: &[&Live]) -> BTreeSet<u128> {
    jobs.iter().map(|live| live.record.id.job.as_u128()).collect()
}

#[test]
fn whatever_blocks_the_first_some_of_every_other_need_are_shown() {
    let check = |needs: &str, most: usize, expect: &[u128], hidden: Option<usize>| {
        let ledger = ledger(needs);
        let shown = ledger.waiting(most, |_| false, now());
        let found: BTreeSet<u128> = numbers(&shown.jobs);
        assert_eq!(
            (found, shown.hidden.get("q").copied()),
            (expect.iter().copied().collect(), hidden),
            "{needs} {most}"
        );
        assert!(shown.jobs.len() <= 2 * most);
        let strictly = numbers(&ledger.waiting(most, |queue| queue == "q", now()).jobs);
        assert_eq!(strictly, (0..needs.len().min(most) as u128).collect(), "where nothing passes, the first alone");
    };
    check("", 3, &[], None);
    check("aba", 3, &[0, 1, 2], None);
    check("aaaaaaaa", 3, &[0, 1, 2, 3, 4, 5], Some(2));
    check("aaaaabb", 2, &[0, 1, 5, 2], Some(3));
    check("aaaaabbbbb", 4, &[0, 1, 2, 3, 5, 6, 4, 7], Some(2));
    // One that is among the first has its part, too.
    check("aaabbbbbbccc", 4, &[0, 1, 2, 3, 9, 4, 5, 6], Some(4));
    check("aaaaaabbbccb", 6, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], None);
    // Of more needs than that the oldest.
    check("aabcdef", 2, &[0, 1, 2, 3], Some(3));
}

#[test]
fn a_retry_is_shown_before_others_of_its_need_and_of_others() {
    let mut ledger = ledger("aaabbb");
    for (number, need) in [(10, 'b'), (11, 'c')] {
        let retry = JobRecord { attempt: 2, ..record(number) };
        ledger.take_in(retry, &Arc::new(spec(None, vec![])), &shape(need), now());
    }
    let ids = |most| numbers(&ledger.waiting(most, |_| true, now()).jobs);
    assert_eq!((ids(1), ids(3)), ([10].into(), [10, 11, 0].into()));
    assert_eq!(numbers(&ledger.waiting(1, |_| false, now()).jobs), [10, 11].into());
}

#[test]
fn a_need_of_which_all_rest_takes_no_part_of_what_is_shown() {
    let mut ledger = Ledger::default();
    let due = now() + SignedDuration::from_secs(1);
    for (number, need) in "abaaaaaaa".chars().chain(['c', 'c', 'c']).enumerate() {
        let rests = (need == 'b').then_some(due);
        let record = JobRecord { not_before: rests, ..record(number as u128) };
        ledger.take_in(record, &Arc::new(spec(None, vec![])), &shape(need), now());
    }
    // The first four, and four more: two of `c`, because there are two needs, and what is left to the oldest.
    let shown = ledger.waiting(4, |_| false, now());
    assert_eq!(numbers(&shown.jobs), [0, 2, 3, 4, 5, 6, 9, 10].into());
}

#[test]
fn jobs_flow_past_others_that_are_blocked_even_if_one_of_them_is_among_the_first() {
    let (most, jobs) = (20, 500);
    let needs: String = std::iter::repeat_n('a', most - 1).chain(std::iter::repeat_n('b', jobs)).chain(['c']).collect();
    let (mut ledger, mut cycles) = (ledger(&needs), 0);
    let last = id((needs.len() - 1) as u128);
    while ledger.waiting_in("q") > most {
        // Nothing of need `a` fits anywhere.
        let of_others = |live: &&Live| live.shape != shape('a');
        let started: Vec<JobId> = ledger
            .waiting(most, |_| false, now())
            .jobs
            .into_iter()
            .filter(of_others)
            .map(|live| live.record.id)
            .collect();
        assert!(cycles > 0 || started.contains(&last), "the one behind all others is shown at once");
        for job in started {
            ledger.dispatched(job, &placed(job, 1, 0), now());
        }
        cycles += 1;
        assert!(cycles <= 2 * jobs / most + 2, "{} are left", ledger.waiting_in("q"));
    }
}

proptest! {
    #[test]
    fn who_is_shown_hangs_on_who_waits_and_not_on_how_it_came_to_that(
        jobs in prop::collection::vec((prop::char::range('a', 'g'), any::<bool>(), any::<bool>(), 0..4_u8), 0..40),
        most in 1..9_usize,
    ) {
        let (mut ledger, mut same) = (Ledger::default(), Ledger::default());
        let terms = Arc::new(spec(None, vec![]));
        for (number, (need, rests, other, fate)) in jobs.iter().enumerate() {
            let not_before = rests.then(|| now() + SignedDuration::from_secs(1));
            let record = JobRecord { not_before, ..record(number as u128) };
            ledger.take_in(record.clone(), &terms, &shape(*need), now());
            if *fate > 0 || *rests {
                same.take_in(record, &terms, &shape(if *other { 'z' } else { *need }), now());
            }
        }
        // Some need something else by now, and some go.
        for (number, (_, rests, other, fate)) in jobs.iter().enumerate() {
            let job = id(number as u128);
            if *other {
                ledger.reshape(job, &terms, &shape('z'));
            }
            if *fate == 0 && !rests {
                ledger.dispatched(job, &placed(job, 1, 0), now());
            }
        }
        let shown = ledger.waiting(most, |_| false, now());
        let found = numbers(&shown.jobs);
        prop_assert_eq!(&found, &numbers(&same.waiting(most, |_| false, now()).jobs));
        prop_assert!(shown.jobs.len() == found.len() && found.len() <= 2 * most, "each once");

        let waits = |need: Option<&Shape>| -> Vec<u128> {
            let all = (0..jobs.len() as u128).filter_map(|number| ledger.get(id(number)));
            let may = all.filter(|live| live.record.state == JobState::Runnable && live.record.not_before.is_none());
            may.filter(|live| need.is_none_or(|need| *live.shape == *need)).map(|live| live.record.id.job.as_u128()).collect()
        };
        let all = waits(None);
        prop_assert!(all.iter().take(most).all(|number| found.contains(number)), "the first are there");
        prop_assert!(found.len() == all.len().min(2 * most), "and as many more as there are");
        let needs: BTreeSet<&Shape> = all.iter().filter_map(|number| Some(&*ledger.get(id(*number))?.shape)).collect();
        let part = (most / needs.len().max(1)).max(1);
        for need in &needs {
            let of_need = waits(Some(need));
            let there = of_need.iter().take_while(|number| found.contains(number)).count();
            prop_assert!(of_need[there..].iter().all(|number| !found.contains(number)), "of each the oldest");
            prop_assert!(needs.len() > most || there >= part.min(of_need.len()), "{} of a need, and not {}", there, part);
        }
    }
}
