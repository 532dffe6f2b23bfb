//! Lists read past all caches, in small pages: anybody may have made the objects, as large as the API server takes them.
//!
//! Invariant: of a page nothing is kept but what is made of it. Does not know what is listed.

use std::fmt::Debug;

use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use crate::shared::{ActError, answered};

/// Objects of a page: of 1.5 MiB of small parts each becomes ten or twenty times that.
const PAGE: u32 = 8;

/// What `of` makes of all that is listed.
pub(crate) async fn collect<K, T>(
    api: &Api<K>,
    params: ListParams,
    mut of: impl FnMut(&K) -> Option<T>,
) -> Result<Vec<T>, ActError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let (mut all, mut params) = (Vec::new(), params.limit(PAGE));
    loop {
        let page = answered(api.list(&params)).await?;
        all.extend(page.items.iter().filter_map(&mut of));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}
