//! The rooms of one kind, ordered by what is free: the fullest first.
//!
//! Invariant: entries are in order of free CPU, free memory, and place; blocks are never empty, and each knows the most that one of its
//! entries has of each common resource, so that a search passes over most of them. Does not know what a room is.

use super::amounts::{COMMON, Need};

/// A block longer than this is cut in two.
const LONGEST: usize = 64;

/// One room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What is free of the common resources.
    pub(crate) free: [i64; COMMON],
    /// Which room; of rooms that are equally full the one with the lower number comes first.
    pub(crate) room: u32,
}

impl Entry {
    fn key(&self) -> (i64, i64, u32) {
        (self.free[0], self.free[1], self.room)
    }
}

#[derive(Clone, Debug)]
struct Block {
    most: [i64; COMMON],
    entries: Vec<Entry>,
}

impl Block {
    fn new(entries: Vec<Entry>) -> Self {
        let mut block = Self { most: [i64::MIN; COMMON], entries };
        block.measure();
        block
    }

    fn measure(&mut self) {
        self.most = [i64::MIN; COMMON];
        for entry in &self.entries {
            for (most, free) in self.most.iter_mut().zip(entry.free) {
                *most = free.max(*most);
            }
        }
    }

    fn last(&self) -> (i64, i64, u32) {
        self.entries.last().map_or((i64::MIN, i64::MIN, 0), Entry::key)
    }
}

/// Rooms in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    blocks: Vec<Block>,
}

impl Shelf {
    /// Of these rooms.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by_key(Entry::key);
        // Half full, so that there is place for more.
        let blocks = entries.chunks(LONGEST / 2).map(|part| Block::new(part.to_vec())).collect();
        Self { blocks }
    }

    /// Puts a room in.
    pub(crate) fn insert(&mut self, entry: Entry) {
        let key = entry.key();
        let index = self.blocks.partition_point(|block| block.last() < key).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(index) else {
            self.blocks.push(Block::new(vec![entry]));
            return;
        };
        let place = block.entries.partition_point(|one| one.key() < key);
        block.entries.insert(place, entry);
        for (most, free) in block.most.iter_mut().zip(entry.free) {
            *most = free.max(*most);
        }
        if block.entries.len() > LONGEST {
            let rest = block.entries.split_off(LONGEST / 2);
            block.measure();
            self.blocks.insert(index + 1, Block::new(rest));
        }
    }

    /// Takes a room out.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        let key = entry.key();
        let index = self.blocks.partition_point(|block| block.last() < key);
        let Some(block) = self.blocks.get_mut(index) else { return };
        let Ok(place) = block.entries.binary_search_by_key(&key, Entry::key) else { return };
        block.entries.remove(place);
        if block.entries.is_empty() {
            self.blocks.remove(index);
        } else if entry.free.iter().zip(block.most).any(|(free, most)| *free == most) {
            block.measure();
        }
    }

    /// The rooms in which the common part of a need fits, the fullest first.
    pub(crate) fn fitting<'s>(&'s self, need: &'s Need) -> impl Iterator<Item = &'s Entry> {
        let lowest = (need.least[0], need.least[1], 0);
        let first =
            if need.least[0] > i64::MIN { self.blocks.partition_point(|block| block.last() < lowest) } else { 0 };
        let blocks = self.blocks[first..].iter().filter(|block| need.fits_common(&block.most));
        blocks.flat_map(|block| &block.entries).filter(|entry| need.fits_common(&entry.free))
    }

    /// All rooms, the emptiest first; of those that are equally empty the one with the higher number.
    pub(crate) fn emptiest(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().rev().flat_map(|block| block.entries.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::amounts::Amounts;
    use super::*;

    proptest! {
        #[test]
        fn a_shelf_finds_what_a_search_through_all_finds(
            rooms in prop::collection::vec((0..6i64, 0..6i64, 0..3i64), 0..300),
            moves in prop::collection::vec((0..300usize, 0..6i64, 0..6i64, any::<bool>()), 0..300),
            cpu in 0..6i64, memory in 0..6i64, pods in 0..3i64,
        ) {
            let entry = |number: usize, (cpu, memory, pods): (i64, i64, i64)| {
                Entry { free: [cpu, memory, pods, 0], room: u32::try_from(number).unwrap() }
            };
            let mut all: Vec<Entry> = rooms.iter().enumerate().map(|(number, room)| entry(number, *room)).collect();
            let mut shelf = Shelf::new(all.clone());
            for (index, cpu, memory, stays) in moves {
                if all.is_empty() { break }
                let index = index % all.len();
                let before = all.swap_remove(index);
                shelf.remove(&before);
                if stays {
                    let after = Entry { free: [cpu, memory, before.free[2], 0], ..before };
                    shelf.insert(after);
                    all.push(after);
                }
            }
            all.sort_by_key(Entry::key);
            let need = Need::new(Amounts { common: [cpu, memory, pods, 0], rare: vec![] });
            let expected: Vec<Entry> = all.iter().copied().filter(|entry| need.fits_common(&entry.free)).collect();
            prop_assert_eq!(shelf.fitting(&need).copied().collect::<Vec<_>>(), expected);
            all.reverse();
            prop_assert_eq!(shelf.emptiest().copied().collect::<Vec<_>>(), all);
        }
    }
}
