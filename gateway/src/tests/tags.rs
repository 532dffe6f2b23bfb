//! Tests of the operations on tags.

use super::*;

fn path(arn: &str) -> String {
    format!("/v1/tags/{}", arn.replace(':', "%3A").replace('/', "%2F"))
}

impl World {
    async fn tagging(&self, method: &str, path: &str, body: Value) -> Result<Value, String> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = self.send(method, path, body).await;
        let ok = response.status().is_success();
        let answer = read(response).await;
        if ok { Ok(answer) } else { Err(inner(answer["message"].as_str().unwrap())) }
    }

    async fn tags(&self, arn: &str) -> Value {
        self.tagging("GET", &path(arn), Value::Null).await.unwrap()["tags"].take()
    }
}

#[tokio::test]
async fn tags_are_put_on_and_taken_off_wherever_they_are_kept() {
    let (world, arn) = (World::ready().await, ArnBase::default());
    for arn in [arn.compute_environment("CE"), arn.job_queue("Q"), arn.job_definition("D", 1)] {
        assert_eq!(world.tags(&arn).await, json!({}), "{arn}");
        let tag = async |tags: Value| world.tagging("POST", &path(&arn), json!({"tags": tags})).await;
        assert_eq!(tag(json!({"a": "1", "b c": ""})).await, Ok(json!({})));
        assert_eq!(tag(json!({"a": "2"})).await, Ok(json!({})));
        assert_eq!(world.tags(&arn).await, json!({"a": "2", "b c": ""}), "{arn}");
        let untag = format!("{}?tagKeys=b%20c&tagKeys=unknown", path(&arn));
        assert_eq!(world.tagging("DELETE", &untag, Value::Null).await, Ok(json!({})));
        assert_eq!(world.tags(&arn).await, json!({"a": "2"}), "{arn}");
        let reserved = tag(json!({"aws:x": "1"})).await.unwrap_err();
        assert!(reserved.contains("reserved for AWS"), "{reserved}");
        let many: Value =
            (0..50).map(|number| (number.to_string(), json!(""))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(tag(many).await, Err("A resource can have at most 50 tags, got 51.".to_owned()));
        assert_eq!(world.tags(&arn).await, json!({"a": "2"}), "{arn}");
    }
    let shown = world.ok("DescribeJobQueues", json!({})).await;
    assert_eq!(shown["jobQueues"][0]["tags"], json!({"a": "2"}));
    let shown = world.ok("DescribeJobDefinitions", json!({})).await;
    assert_eq!(shown["jobDefinitions"][0]["tags"], json!({"a": "2"}));
    assert!(shown["jobDefinitions"][0]["eksProperties"].is_object(), "nothing else has changed");
}

#[tokio::test]
async fn tags_of_a_job_are_those_that_it_came_with() {
    let world = World::ready().await;
    let submission = json!({"jobName": "J", "jobQueue": "Q", "jobDefinition": "D", "tags": {"a": "1"}});
    let answer = world.ok("SubmitJob", submission).await;
    let arn = answer["jobArn"].as_str().unwrap();
    assert_eq!(world.tags(arn).await, json!({"a": "1"}));
    let refused = world.tagging("POST", &path(arn), json!({"tags": {"b": "2"}})).await.unwrap_err();
    assert!(refused.contains("not supported by Bulkhead yet"), "{refused}");
}

#[tokio::test]
async fn what_is_not_there_has_no_tags() {
    let (world, arn) = (World::ready().await, ArnBase::default());
    let job = "arn:aws:batch:us-east-1:123456789012:job/2d044787-c663-4ce6-a6fe-f2baf7e51b04".to_owned();
    for arn in
        [arn.compute_environment("X"), arn.job_queue("X"), arn.job_definition("X", 1), arn.job_definition("D", 2), job]
    {
        let listed = world.tagging("GET", &path(&arn), Value::Null).await.unwrap_err();
        assert!(listed.ends_with("does not exist"), "{listed}");
        let tagged = world.tagging("POST", &path(&arn), json!({"tags": {}})).await.unwrap_err();
        assert!(tagged.ends_with("does not exist") || arn.contains(":job/"), "{tagged}");
    }
}

#[tokio::test]
async fn what_kubectl_wrote_stays_whatever_it_is() {
    let (world, arn) = (World::ready().await, ArnBase::default().job_queue("Q"));
    let written = json!({"cost": 12, "aws:x": "1", "team": "a"});
    world.objects.set_tags("JobQueue", &model::names::object_name("Q"), &written);
    world.tagging("POST", &path(&arn), json!({"tags": {"x": "y"}})).await.unwrap();
    world.tagging("DELETE", &format!("{}?tagKeys=team", path(&arn)), Value::Null).await.unwrap();
    assert_eq!(world.tags(&arn).await, json!({"cost": 12, "aws:x": "1", "x": "y"}));
}
