//! Tests of what shows the output of jobs, over HTTP requests; what containers print is made up.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::io::Cursor;
use jiff::{SignedDuration, Timestamp};
use model::job::{Attempt, Change, JobId, JobRecord, Placed};
use model::status::JobState;
use records::Term;

use super::*;
use outputs::{Extent, Lines, NoOutput, Outputs, Whose};

/// A cluster without pods.
pub(crate) struct Nothing;

impl Outputs for Nothing {
    fn open(&self, _: Whose, _: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        async { Err(NoOutput::Gone) }.boxed()
    }
}

/// What containers have printed, by pod and container; `Err`: why there is none.
#[derive(Clone, Default)]
pub(super) struct Printed(Arc<Mutex<BTreeMap<String, Said>>>);

/// Lines, or the status with which they are refused.
type Said = Result<Vec<String>, u16>;

impl Printed {
    pub(super) fn put(&self, pod: &str, container: &str, said: Said) {
        self.0.lock().unwrap().insert(format!("{pod}/{container}"), said);
    }
}

impl Outputs for Printed {
    fn open(&self, whose: Whose, extent: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        assert_eq!(whose.namespace, "ns");
        let said = self.0.lock().unwrap().get(&format!("{}/{}", whose.pod, whose.container)).cloned();
        let lines = match said {
            None | Some(Err(404)) => Err(NoOutput::Gone),
            Some(Err(400)) => Err(NoOutput::NotYet),
            Some(Err(403)) => Err(NoOutput::Forbidden("aws-batch may not".to_owned())),
            Some(Err(_)) => Err(NoOutput::Unavailable("down".into())),
            Some(Ok(lines)) => Ok(lines),
        };
        let lines = lines.map(|lines| {
            let time = |line: &str| line.split(' ').next().unwrap().parse::<Timestamp>().unwrap();
            // As the client sends it.
            let since = extent.since.map(|since| since.round(jiff::Unit::Second).unwrap());
            let since: Vec<String> =
                lines.into_iter().filter(|line| since.is_none_or(|since| time(line) >= since)).collect();
            let begin = since.len() - since.len().min(extent.tail.unwrap_or(u32::MAX) as usize);
            Box::pin(Cursor::new(since[begin..].join("\n"))) as Lines
        });
        async { lines }.boxed()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + second)
}

fn lines(seconds: impl IntoIterator<Item = i64>) -> Vec<String> {
    seconds.into_iter().map(|second| format!("{} line {second}", at(second))).collect()
}

/// The API, what is printed, and a way to have attempts of jobs.
pub(super) struct Logged {
    pub(super) world: World,
    printed: Printed,
}

impl Logged {
    async fn new() -> Self {
        let mut world = World::ready().await;
        let printed = Printed::default();
        let config = Config { outputs: Arc::new(printed.clone()), ..config() };
        world.router = router(world.stores.subscribe(), world.fronts.subscribe(), world.objects.clone(), config);
        Self { world, printed }
    }

    async fn logs(&self, operation: &str, body: Value) -> Result<Value, String> {
        let target = format!("Logs_20140328.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let response = self.world.send_with("POST", "/", &headers, body.to_string()).await;
        assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.1");
        let status = response.status().as_u16();
        let answer = read(response).await;
        if status == 200 {
            return Ok(answer);
        }
        Err(format!("{status} {} {}", answer["__type"].as_str().unwrap(), answer["message"].as_str().unwrap()))
    }

    async fn get(&self, stream: &str, more: Value) -> Result<Value, String> {
        let mut body = json!({"logGroupName": "/aws/batch/job", "logStreamName": stream});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.logs("GetLogEvents", body).await
    }

    /// Names of a page of streams, and the token of the next.
    async fn streams(&self, body: Value) -> (Vec<String>, Value) {
        let mut all = json!({"logGroupName": "/aws/batch/job"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let answer = self.logs("DescribeLogStreams", all).await.unwrap();
        let streams = answer["logStreams"].as_array().unwrap().iter();
        let names = streams.map(|stream| stream["logStreamName"].as_str().unwrap().to_owned());
        (names.collect(), answer["nextToken"].clone())
    }

    /// A job whose attempts have run, the last of which may run still.
    async fn job(&self, definition: &str, ended: u32, runs: bool) -> JobId {
        job(&self.world, definition, ended, runs).await
    }
}

/// The same in any API.
pub(super) async fn job(world: &World, definition: &str, ended: u32, runs: bool) -> JobId {
    let body = json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": definition});
    let id: JobId = world.ok("SubmitJob", body).await["jobId"].as_str().unwrap().parse().unwrap();
    attempts(world, id, ended, runs).await;
    id
}

/// What became of a job, as the leader stores it.
async fn attempts(world: &World, id: JobId, ended: u32, runs: bool) {
    let leading = world.records().lead(&Term { lease: "l".to_owned(), turn: 1 }).await.unwrap();
    let mut record: JobRecord = leading.jobs(&[id]).await.unwrap().remove(0).record;
    let mut changes = Vec::new();
    for number in 1..=ended {
        record = JobRecord {
            state: if number == ended && !runs { JobState::Failed } else { JobState::Runnable },
            attempt: number,
            version: record.version + 1,
            started: Some(at(0)),
            stopped: (number == ended && !runs).then(|| at(60)),
            ..record
        };
        let attempt = Attempt {
            number,
            containers: vec![],
            init_containers: vec![],
            pod_name: format!("p{number}"),
            namespace: "ns".to_owned(),
            node: "n".to_owned(),
            started: Some(at(0)),
            stopped: at(60),
            reason: None,
        };
        changes.push(Change { record: record.clone(), at: at(60), attempt: Some(attempt) });
    }
    if runs {
        let number = ended + 1;
        let placed: Placed =
            serde_json::from_value(json!({"podName": format!("p{number}"), "namespace": "ns", "node": "n",
            "nodeUid": "u", "environment": "CE", "environmentUuid": "e"}))
            .unwrap();
        record = JobRecord {
            state: JobState::Running,
            attempt: number,
            version: record.version + 1,
            started: Some(at(100)),
            placed: Some(placed),
            ..record
        };
        changes.push(Change { record, at: at(100), attempt: None });
    }
    leading.write(&changes, &[]).await.unwrap();
}

/// An array job waits for its children.
async fn pends(world: &World, id: JobId) {
    let leading = world.records().lead(&Term { lease: "l".to_owned(), turn: 1 }).await.unwrap();
    let before = leading.jobs(&[id]).await.unwrap().remove(0).record;
    let record = JobRecord { state: JobState::Pending, version: before.version + 1, ..before };
    leading.write(&[Change { record, at: at(0), attempt: None }], &[]).await.unwrap();
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_a_container_printed_is_read_page_by_page_in_both_directions() {
    let logged = Logged::new().await;
    let id = logged.job("D", 0, true).await;
    logged.printed.put("p1", "default", Ok(lines(0..5)));
    let stream = format!("D/default/{id}-1");
    let whole = logged.get(&stream, json!({})).await.unwrap();
    assert_eq!(messages(&whole), ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    let first = at(0).as_millisecond();
    assert_eq!(whole["events"][0], json!({"timestamp": first, "ingestionTime": first, "message": "line 0"}));
    // The last ones first, unless the head is asked for.
    let last = logged.get(&stream, json!({"limit": 2})).await.unwrap();
    assert_eq!(messages(&last), ["line 3", "line 4"]);
    let before = logged.get(&stream, json!({"limit": 2, "nextToken": last["nextBackwardToken"]})).await.unwrap();
    assert_eq!(messages(&before), ["line 1", "line 2"]);
    let head = logged.get(&stream, json!({"limit": 3, "startFromHead": true})).await.unwrap();
    assert_eq!(messages(&head), ["line 0", "line 1", "line 2"]);
    let on = |token: &Value| json!({"limit": 3, "startFromHead": true, "nextToken": token});
    let rest = logged.get(&stream, on(&head["nextForwardToken"])).await.unwrap();
    assert_eq!(messages(&rest), ["line 3", "line 4"]);
    // At the end the token is the one that was sent, until there is more.
    let end = logged.get(&stream, on(&rest["nextForwardToken"])).await.unwrap();
    assert_eq!((messages(&end).len(), &end["nextForwardToken"]), (0, &rest["nextForwardToken"]));
    let back = logged.get(&stream, json!({"limit": 1, "nextToken": end["nextBackwardToken"]})).await.unwrap();
    assert_eq!(messages(&back), ["line 4"]);
    logged.printed.put("p1", "default", Ok(lines(0..6)));
    assert_eq!(messages(&logged.get(&stream, on(&end["nextForwardToken"])).await.unwrap()), ["line 5"]);
    let between = json!({"startTime": at(2).as_millisecond(), "endTime": at(4).as_millisecond()});
    assert_eq!(messages(&logged.get(&stream, between).await.unwrap()), ["line 2", "line 3"]);
}

#[tokio::test]
async fn no_line_is_lost_between_pages_whatever_part_of_a_second_it_is_of() {
    let logged = Logged::new().await;
    let id = logged.job("D", 0, true).await;
    let stream = format!("D/default/{id}-1");
    // Several of one moment, and a clock that is set back.
    let times = [0, 0, 100, 450, 500, 500, 999, 1499, 1501, 400, 401, 90_000, 90_000, 90_700];
    let lines = |times: &[i64]| -> Vec<String> {
        let all = (0..).zip(times);
        all.map(|(number, millis)| format!("{} {number}", at(0) + SignedDuration::from_millis(*millis))).collect()
    };
    logged.printed.put("p1", "default", Ok(lines(&times)));
    let expect: Vec<String> = (0..times.len()).map(|number| number.to_string()).collect();
    for limit in 1..6 {
        let (mut body, mut found) = (json!({"limit": limit, "startFromHead": true}), Vec::new());
        loop {
            let page = logged.get(&stream, body.clone()).await.unwrap();
            if messages(&page).is_empty() {
                break;
            }
            found.extend(messages(&page).into_iter().map(str::to_owned));
            body["nextToken"] = page["nextForwardToken"].clone();
        }
        assert_eq!(found, expect, "{limit} at a time");
        let (mut body, mut found) = (json!({"limit": limit}), Vec::new());
        loop {
            let page = logged.get(&stream, body.clone()).await.unwrap();
            if messages(&page).is_empty() {
                break;
            }
            found.splice(0..0, messages(&page).into_iter().map(str::to_owned));
            body["nextToken"] = page["nextBackwardToken"].clone();
        }
        assert_eq!(found, expect, "{limit} at a time, backwards");
    }
    // More of one moment than the kubelet is asked for at the end.
    let burst = lines(&[7; 300]);
    logged.printed.put("p1", "default", Ok(burst));
    let last = logged.get(&stream, json!({"limit": 2})).await.unwrap();
    let before = logged.get(&stream, json!({"limit": 2, "nextToken": last["nextBackwardToken"]})).await.unwrap();
    assert_eq!([messages(&before), messages(&last)].concat(), ["296", "297", "298", "299"]);
    for times in
        [json!({"startTime": i64::MAX}), json!({"startTime": 253_402_207_200_999_i64}), json!({"startTime": -1})]
    {
        assert!(logged.get(&stream, times.clone()).await.is_ok(), "{times}");
    }
    let token = "f/253402207200999999999.0";
    assert!(logged.get(&stream, json!({"nextToken": token, "startFromHead": true})).await.is_ok());
}

#[tokio::test]
async fn what_runs_before_the_container_has_a_log_too() {
    let logged = Logged::new().await;
    let mut with = definition("I");
    with["eksProperties"]["podProperties"]["initContainers"] = json!([{"name": "first", "image": "i"}]);
    logged.world.ok("RegisterJobDefinition", with).await;
    let id = logged.job("I", 0, true).await;
    logged.printed.put("p1", "first", Ok(lines(-20..-18)));
    let said = logged.get(&format!("I/first/{id}-1"), json!({})).await.unwrap();
    assert_eq!(messages(&said), ["line -20", "line -19"]);
    let filter = json!({"logGroupName": "/aws/batch/job", "endTime": at(-19).as_millisecond()});
    let found = logged.logs("FilterLogEvents", filter).await.unwrap();
    assert_eq!(messages(&found), ["line -20", "line -19"], "the last moment counts");
}

#[tokio::test]
async fn why_there_is_no_log_is_said() {
    let logged = Logged::new().await;
    let id = logged.job("D", 1, true).await;
    let stream = |attempt: u32| format!("D/default/{id}-{attempt}");
    let gone = "400 ResourceNotFoundException The specified log stream does not exist";
    for (said, expect) in [
        (
            403,
            "400 AccessDeniedException Bulkhead may not read logs in namespace ns: aws-batch may not (bulkhead namespace enable ns",
        ),
        (404, "400 ResourceNotFoundException The specified log stream does not exist: its pod is gone"),
        (500, "503 ServiceUnavailableException The log cannot be read now"),
    ] {
        logged.printed.put("p2", "default", Err(said));
        let answer = logged.get(&stream(2), json!({})).await.unwrap_err();
        assert!(answer.starts_with(expect), "{answer}");
    }
    logged.printed.put("p2", "default", Err(400));
    let nothing = logged.get(&stream(2), json!({})).await.unwrap();
    assert_eq!((messages(&nothing).len(), nothing["nextForwardToken"].is_string()), (0, true), "it begins later");
    let other = JobId::new(uuid::Uuid::from_u128(7));
    for unknown in [
        stream(3),
        stream(0),
        format!("E/default/{id}-1"),
        format!("D/side/{id}-1"),
        format!("D/default/{other}-1"),
        "x".to_owned(),
    ] {
        let answer = logged.get(&unknown, json!({})).await.unwrap_err();
        assert!(answer.starts_with(gone), "{unknown}: {answer}");
    }
    for (body, expect) in [
        (
            json!({"logGroupName": "/other", "logStreamName": stream(1)}),
            "400 ResourceNotFoundException The specified log group",
        ),
        (json!({"logGroupName": "/aws/batch/job"}), "400 InvalidParameterException logStreamName is required"),
        (json!({"logStreamName": stream(1)}), "400 InvalidParameterException Exactly one of logGroupName"),
        (json!({"logGroupName": 3}), "400 SerializationException logGroupName: "),
    ] {
        let answer = logged.logs("GetLogEvents", body.clone()).await.unwrap_err();
        assert!(answer.starts_with(expect), "{body}: {answer}");
    }
    for elsewhere in ["PutLogEvents", "x"] {
        let answer = logged.logs(elsewhere, json!({})).await.unwrap_err();
        assert!(answer.starts_with("400 AccessDeniedException Bulkhead serves"), "{answer}");
    }
}

#[tokio::test]
async fn streams_are_those_of_attempts_that_have_begun() {
    let logged = Logged::new().await;
    let container = json!({"image": "i", "vcpus": 1, "memory": 64});
    logged
        .world
        .ok(
            "RegisterJobDefinition",
            json!({"jobDefinitionName": "C", "type": "container", "containerProperties": container}),
        )
        .await;
    let array = json!({"jobName": "A", "jobQueue": "Q", "jobDefinition": "C", "arrayProperties": {"size": 2}});
    let array: JobId = logged.world.ok("SubmitJob", array).await["jobId"].as_str().unwrap().parse().unwrap();
    let (waits, runs) = (logged.job("D", 0, false).await, logged.job("D", 1, true).await);
    let streams = |body: Value| logged.streams(body);
    let expect = [format!("D/default/{runs}-1"), format!("D/default/{runs}-2")];
    assert_eq!(streams(json!({})).await.0, expect, "{waits} waits, and an array has no log");
    for (prefix, found) in [
        ("D/default/".to_owned(), &expect[..]),
        ("D".to_owned(), &expect[..]),
        ("C/".to_owned(), &[]),
        (format!("D/default/{runs}"), &expect[..]),
        (format!("D/default/{runs}-2"), &expect[1..]),
        (format!("C/default/{runs}"), &[]),
        (format!("D/default/{waits}"), &[]),
        (format!("D/default/{array}"), &[]),
    ] {
        assert_eq!(streams(json!({"logStreamNamePrefix": prefix})).await.0, found, "{prefix}");
    }
    let (first, token) = streams(json!({"limit": 1, "descending": true, "orderBy": "LastEventTime"})).await;
    assert_eq!(first, expect[1..], "what runs is the latest");
    let second = json!({"limit": 1, "descending": true, "orderBy": "LastEventTime", "nextToken": token});
    assert_eq!(streams(second).await, (expect[..1].to_vec(), Value::Null));
    let one = logged.logs("DescribeLogStreams", json!({"logGroupIdentifier": "/aws/batch/job", "limit": 1})).await;
    let arn = format!("arn:aws:logs:us-east-1:123456789012:log-group:/aws/batch/job:log-stream:{}", expect[0]);
    let (begun, ended) = (at(0).as_millisecond(), at(60).as_millisecond());
    let shown = json!({"logStreamName": expect[0], "arn": arn, "creationTime": begun, "firstEventTimestamp": begun,
        "lastEventTimestamp": ended, "lastIngestionTime": ended, "storedBytes": 0});
    assert_eq!(one.unwrap()["logStreams"], json!([shown]));
    // What jobs say of their logs is what they are called.
    attempts(&logged.world, array.with_child(1), 1, true).await;
    pends(&logged.world, array).await;
    let shown = logged.world.ok("DescribeJobs", json!({"jobs": [array.with_child(1)]})).await;
    let expect = [
        format!("C/default/{}-1", array.with_child(1).label()),
        format!("C/default/{}-2", array.with_child(1).label()),
    ];
    let job = &shown["jobs"][0];
    assert_eq!(
        [&job["attempts"][0]["container"]["logStreamName"], &job["container"]["logStreamName"]],
        [expect[0].as_str(), expect[1].as_str()]
    );
    for prefix in ["C/".to_owned(), format!("C/default/{array}"), format!("C/default/{array}.1")] {
        assert_eq!(streams(json!({"logStreamNamePrefix": prefix})).await.0, expect, "{prefix}");
    }
}

#[tokio::test]
async fn there_is_one_group() {
    let logged = Logged::new().await;
    let groups = logged.logs("DescribeLogGroups", json!({"logGroupNamePrefix": "/aws"})).await.unwrap();
    assert_eq!(groups["logGroups"][0]["logGroupName"], "/aws/batch/job");
    assert_eq!(
        logged.logs("DescribeLogGroups", json!({"logGroupNamePrefix": "/b"})).await.unwrap(),
        json!({"logGroups": []})
    );
}

#[tokio::test]
async fn a_log_is_in_the_group_that_its_definition_names_too() {
    let logged = Logged::new().await;
    let with = json!({"logDriver": "awslogs", "options": {"awslogs-group": "/my/group"}});
    let container = json!({"image": "i", "vcpus": 1, "memory": 64, "logConfiguration": with});
    let definition = json!({"jobDefinitionName": "G", "type": "container", "containerProperties": container});
    logged.world.ok("RegisterJobDefinition", definition).await;
    logged.printed.put("p1", "default", Ok(lines(0..1)));
    let named = &format!("G/default/{}-1", logged.job("G", 0, true).await);
    let other = &format!("D/default/{}-1", logged.job("D", 0, true).await);
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:/my/group";
    for (group, stream, is_there) in [
        (json!({"logGroupName": "/my/group"}), named, true),
        (json!({"logGroupIdentifier": arn}), named, true),
        (json!({"logGroupIdentifier": format!("{arn}:*")}), named, true),
        (json!({"logGroupName": "/aws/batch/job"}), named, true),
        (json!({"logGroupName": "/my"}), named, false),
        (json!({"logGroupName": "/my/group"}), other, false),
    ] {
        for (operation, member, value) in
            [("GetLogEvents", "logStreamName", json!(stream)), ("FilterLogEvents", "logStreamNames", json!([stream]))]
        {
            let mut body = group.clone();
            body[member] = value;
            let said = logged.logs(operation, body.clone()).await;
            let is_read = said.as_ref().is_ok_and(|answer| messages(answer) == ["line 0"]);
            let no_group = "400 ResourceNotFoundException The specified log group";
            let is_refused = said.as_ref().is_err_and(|said| said.starts_with(no_group));
            assert_eq!((is_read, is_refused), (is_there, !is_there), "{operation} {body}: {said:?}");
        }
    }
    // Which streams there are is asked of the group of all.
    for (operation, body) in [
        ("FilterLogEvents", json!({"logGroupName": "/my/group"})),
        ("FilterLogEvents", json!({"logGroupName": "/my/group", "logStreamNamePrefix": "G"})),
        ("DescribeLogStreams", json!({"logGroupName": "/my/group"})),
    ] {
        assert!(logged.logs(operation, body.clone()).await.is_err(), "{operation} {body}");
    }
}

#[tokio::test]
async fn a_filter_looks_through_streams_page_by_page() {
    let logged = Logged::new().await;
    let (one, two) = (logged.job("D", 1, true).await, logged.job("D", 0, true).await);
    // Both run in a pod of the same name, as far as this test knows: the second attempt of the first alone has another.
    logged.printed.put("p1", "default", Ok(lines([0, 30])));
    logged.printed.put("p2", "default", Ok(lines([110, 120])));
    let streams = [format!("D/default/{one}-1"), format!("D/default/{one}-2"), format!("D/default/{two}-1")];
    let filter = |body: Value| {
        let mut all = json!({"logGroupName": "/aws/batch/job"});
        all.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        logged.logs("FilterLogEvents", all)
    };
    let found = |answer: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let events = answer["events"].as_array().unwrap().iter();
        events.map(|event| (text(&event["logStreamName"]), text(&event["message"]))).collect()
    };
    let line = |stream: usize, second: i64| (streams[stream].clone(), format!("line {second}"));
    let all = filter(json!({})).await.unwrap();
    let expect = [line(0, 0), line(2, 0), line(0, 30), line(2, 30), line(1, 110), line(1, 120)];
    assert_eq!((found(&all), &all["searchedLogStreams"]), (expect.to_vec(), &json!([])), "by time");
    let ids: std::collections::BTreeSet<&str> =
        all["events"].as_array().unwrap().iter().map(|event| event["eventId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 6);
    // A page at a time; each event once.
    let (mut token, mut seen, mut pages) = (Value::Null, Vec::new(), 0);
    loop {
        let mut body = json!({"limit": 1, "filterPattern": "line -120"});
        if token.is_string() {
            body["nextToken"] = token;
        }
        let answer = filter(body).await.unwrap();
        seen.extend(found(&answer));
        token = answer["nextToken"].clone();
        pages += 1;
        if token.is_null() {
            break;
        }
        assert!(pages < 20);
    }
    assert_eq!(seen, [line(0, 0), line(0, 30), line(1, 110), line(2, 0), line(2, 30)]);
    let names = json!({"logStreamNames": [streams[1], streams[1]], "startTime": at(115).as_millisecond()});
    assert_eq!(found(&filter(names).await.unwrap()), [line(1, 120)]);
    let prefix = json!({"logStreamNamePrefix": format!("D/default/{one}"), "filterPattern": "\"line 3\""});
    assert_eq!(found(&filter(prefix).await.unwrap()), [line(0, 30)]);
    // What is gone has nothing, and what is not there is an error if it is named.
    logged.printed.put("p2", "default", Err(404));
    assert_eq!(found(&filter(json!({"logStreamNames": [streams[1]]})).await.unwrap()), []);
    assert!(filter(json!({"logStreamNames": ["x"]})).await.unwrap_err().starts_with("400 ResourceNotFoundException"));
    // A node that does not answer keeps nobody from the others, unless its stream is named.
    for why in [500, 403] {
        logged.printed.put("p2", "default", Err(why));
        assert_eq!(filter(json!({})).await.unwrap()["events"].as_array().unwrap().len(), 4);
        assert!(filter(json!({"logStreamNames": [streams[1]]})).await.is_err());
    }
}
