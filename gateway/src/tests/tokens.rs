//! Tests of what somebody without a key can make the API server do.

use axum::http::Request;
use cluster::access::Unanswered;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::identity::Identity;
use planning::access::Ask;

use super::*;
use crate::{Guard, Judge, Masters};

#[tokio::test(start_paused = true)]
async fn not_more_tokens_are_looked_at_at_a_time_than_the_api_server_may_be_asked_for() {
    struct Hangs;
    impl Judge for Hangs {
        fn who(&self, _token: String) -> BoxFuture<'_, Result<Option<Identity>, Unanswered>> {
            std::future::pending().boxed()
        }
        fn is_there(&self, _identity: Identity) -> BoxFuture<'_, Result<bool, Unanswered>> {
            std::future::pending().boxed()
        }
        fn may(&self, _identity: Identity, _ask: Ask) -> BoxFuture<'_, Result<bool, Unanswered>> {
            std::future::pending().boxed()
        }
    }
    let guard = Guard::new(Hangs, watch::Sender::new(Masters::default()).subscribe());
    let stores = watch::Sender::new(None);
    let config = Config { guard: Some(guard), ..config() };
    let router = router(stores.subscribe(), watch::Sender::new(None).subscribe(), MemoryObjects::default(), config);
    let send = || {
        let form = "Action=AssumeRoleWithWebIdentity&RoleArn=a&RoleSessionName=me&WebIdentityToken=x";
        let request =
            Request::post("/").header("host", "localhost").header("content-type", "application/x-www-form-urlencoded");
        let sent = router.clone().oneshot(request.body(Body::from(form)).unwrap());
        async { sent.await.unwrap().status().as_u16() }
    };
    let all = futures::future::join_all((0..20).map(|_| send())).await;
    let of = |status: u16| all.iter().filter(|it| **it == status).count();
    assert_eq!((of(429), of(503)), (12, 8), "{all:?}");
}
