//! How objects are made, changed and deleted by their AWS names: read, decide, write; and all of it again if somebody else was faster.
//!
//! Invariant: what is written was decided on what was read, and is not written if that has changed meanwhile.

use crate::failure::{Failure, Invalid};
use crate::limits;
use crate::objects::{Kind, ObjectError, Objects};

/// How often a change is decided anew because somebody else was faster.
const TRIES: usize = 4;

/// The object of an AWS name.
pub(crate) fn find<'a, K: Kind>(all: &'a [K], name: &str) -> Option<&'a K> {
    all.iter().find(|object| object.aws_name() == name)
}

/// Stores a new object, unless there is one of its AWS name, which is `taken` then, or there are too many.
pub(crate) async fn create<K: Kind>(objects: &impl Objects, wanted: K, taken: Invalid) -> Result<(), Failure> {
    let existing = objects.list::<K>().await?;
    if find(&existing, wanted.aws_name()).is_some() {
        return Err(taken.into());
    }
    limits::another::<K>(existing.len())?;
    match objects.create(wanted).await {
        Ok(_) => Ok(()),
        Err(ObjectError::Taken) => Err(taken.into()),
        Err(error) => Err(error.into()),
    }
}

/// Stores what `decide` makes of an object and those of the other kind; `None`: it stays as it is.
pub(crate) async fn update<K: Kind>(
    objects: &impl Objects,
    name: &str,
    decide: impl Fn(&K, &[K::Other]) -> Result<Option<K>, Invalid>,
) -> Result<(), Failure> {
    for _ in 0..TRIES {
        let (all, others) = (objects.list().await?, objects.list().await?);
        let stored = find(&all, name).ok_or_else(|| Invalid(format!("{} {name} does not exist", K::NAME)))?;
        let Some(wanted) = decide(stored, &others)? else { return Ok(()) };
        match objects.replace(wanted).await {
            Ok(_) => return Ok(()),
            Err(ObjectError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ObjectError::Changed.into())
}

/// Deletes an object, if `allow` does not refuse. False: there is none any more.
pub(crate) async fn delete<K: Kind>(
    objects: &impl Objects,
    name: &str,
    allow: impl Fn(&K, &[K::Other]) -> Result<(), Invalid>,
) -> Result<bool, Failure> {
    for _ in 0..TRIES {
        let (all, others) = (objects.list().await?, objects.list().await?);
        let Some(stored) = find(&all, name) else { return Ok(false) };
        allow(stored, &others)?;
        match objects.delete(stored).await {
            Ok(()) | Err(ObjectError::Gone) => return Ok(true),
            Err(ObjectError::Changed) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Invalid::new("Cannot delete, resource is being modified").into())
}
