//! Who of a long queue is shown to a plan, and what of its answer has to wait.

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

fn numbers<'a>(jobs: impl IntoIterator<Item = &'a Live>) -> Vec<u128> {
    jobs.into_iter().map(|live| live.record.id.job.as_u128()).collect()
}

#[test]
fn whatever_blocks_the_first_some_of_every_other_need_are_shown() {
    let check = |needs: &str, most: usize, expect: &[u128], hidden: usize| {
        let ledger = ledger(needs);
        let shown = ledger.waiting(most, now());
        assert_eq!((numbers(shown.jobs), shown.window.hidden("q")), (expect.to_vec(), hidden), "{needs} {most}");
    };
    check("", 3, &[], 0);
    check("aba", 3, &[0, 1, 2], 0);
    check("aaaaa", 3, &[0, 1, 2], 2);
    check("aaaaabb", 3, &[0, 1, 2, 5, 6], 2);
    check("aaaaabbbbb", 3, &[0, 1, 2, 5, 6, 7], 4);
    // As many of each.
    check("aaaaabbcccb", 4, &[0, 1, 2, 3, 5, 6, 7, 8], 3);
    // Of more needs than that the oldest.
    check("aabcdef", 2, &[0, 1, 2, 3], 3);
    // A need that is among the first is not shown further.
    check("aabbabab", 3, &[0, 1, 2], 5);
}

#[test]
fn what_would_pass_an_older_job_that_was_not_shown_waits() {
    let check = |needs: &str, most: usize, started: &[u128], early: &[u128]| {
        let mut ledger = ledger(needs);
        let elsewhere = Spec { queue: "other".into(), ..spec(None, vec![]) };
        ledger.take_in(record(50), &Arc::new(elsewhere), &shape('a'), now());
        let window = ledger.waiting(most, now()).window;
        let started = started.iter().map(|number| id(*number)).collect();
        let found: Vec<u128> = ledger.too_early(&window, &started).into_iter().map(|job| job.job.as_u128()).collect();
        assert_eq!(found, early, "{needs} {most} {started:?}");
    };
    // Job 3 might have found room, too.
    check("aaaabb", 3, &[0, 1, 2, 4, 50], &[4]);
    // No: job 2 has found none.
    check("aaaabb", 3, &[0, 1, 4, 5, 50], &[]);
    check("aaaabb", 3, &[4, 5], &[]);
    // What is older goes first.
    check("abaaa", 3, &[0, 1, 2], &[]);
    check("aabab", 3, &[0, 1, 2], &[]);
    // Of two, the older hidden one counts.
    check("aabbab", 4, &[0, 1, 2, 3], &[]);
    check("aaabbbc", 2, &[0, 1, 3, 6], &[3, 6]);
    check("aaabbbc", 2, &[3, 6], &[6]);
    check("ab", 2, &[0, 1], &[]);
}

/// What should be shown, looked for in the simplest way: the first of all, and whoever of another need has fewer than his part before him.
fn simply(needs: &[(char, bool)], most: usize) -> BTreeSet<u128> {
    // Needs are as old as their oldest job, be it one that rests.
    let ages: Vec<char> = needs.iter().map(|(need, _)| *need).collect();
    let age = |need: char| ages.iter().position(|one| *one == need);
    let all =
        || needs.iter().enumerate().filter(|(_, (_, rests))| !rests).map(|(number, (need, _))| (number as u128, *need));
    let first: Vec<(u128, char)> = all().take(most).collect();
    let mut others: Vec<char> = Vec::new();
    for (_, need) in all().filter(|(_, need)| first.iter().all(|(_, one)| one != need)) {
        if !others.contains(&need) {
            others.push(need);
        }
    }
    others.sort_by_key(|need| age(*need));
    others.truncate(most);
    let each = (most / others.len().max(1)).max(1);
    let of_others = others.iter().flat_map(|need| all().filter(move |(_, one)| one == need).take(each));
    first.iter().copied().chain(of_others).map(|(number, _)| number).collect()
}

proptest! {
    #[test]
    fn who_is_shown_hangs_on_who_waits_and_not_on_how_it_came_to_that(
        jobs in prop::collection::vec((prop::char::range('a', 'g'), any::<bool>(), any::<bool>(), 0..4_u8), 0..40),
        most in 1..9_usize,
    ) {
        let mut ledger = Ledger::default();
        for (number, (need, rests, ..)) in jobs.iter().enumerate() {
            let not_before = rests.then(|| now() + SignedDuration::from_secs(1));
            let record = JobRecord { not_before, ..record(number as u128) };
            ledger.take_in(record, &Arc::new(spec(None, vec![])), &shape(*need), now());
        }
        // Some need something else by now, some go, and come back to the front.
        let mut left = Vec::new();
        for (number, (need, rests, other, fate)) in jobs.iter().enumerate() {
            let job = id(number as u128);
            let need = if *other { 'z' } else { *need };
            if *other {
                ledger.reshape(job, &Arc::new(spec(None, vec![])), &shape('z'));
            }
            if *fate == 0 && !rests {
                ledger.dispatched(job, &placed(job, 1, 0), now());
            } else {
                left.push((number as u128, need, *rests));
            }
        }
        let shown = ledger.waiting(most, now());
        let needs: Vec<(char, bool)> = left.iter().map(|(_, need, rests)| (*need, *rests)).collect();
        let places = simply(&needs, most);
        let expect: BTreeSet<u128> = places.iter().map(|place| left[usize::try_from(*place).unwrap()].0).collect();
        let found = numbers(shown.jobs.iter().copied());
        prop_assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), expect);
        prop_assert!(found.len() <= 2 * most);
        // Nobody is left out without a mark on the last of his like.
        let placeable = || left.iter().filter(|(_, _, rests)| !rests);
        for (last, need, _) in placeable().filter(|(number, ..)| found.contains(number)) {
            let next = placeable().find(|(number, one, _)| one == need && number > last && !found.contains(number));
            let is_last = !placeable().any(|(number, one, _)| one == need && number > last && found.contains(number));
            let end = shown.window.ends.iter().find(|end| end.last == id(*last));
            prop_assert_eq!(end.map(|end| end.next.2.job.as_u128()), next.filter(|_| is_last).map(|(number, ..)| *number));
        }
    }
}
