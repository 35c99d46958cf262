//! Blocks in memory that is used again: once a thread has passed a batch through a network, another one of that size
//! needs no new memory.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    thread::LocalKey,
};

use crate::lanes::{Block, Lanes};

/// How much memory one thread keeps at most, in bytes.
const MOST: usize = 64 << 20;

/// Blocks; their memory goes back to the thread that drops them.
#[derive(Debug)]
pub struct Buffer<T: Lanes>(Vec<Block<T>>);

/// The memory that a thread keeps.
pub type Kept<T> = LocalKey<RefCell<Vec<Vec<Block<T>>>>>;

impl<T: Lanes> Buffer<T> {
    /// So many blocks, which hold anything.
    pub fn new(len: usize) -> Self {
        let mut blocks = T::kept().and_then(|kept| take(kept, len)).unwrap_or_else(|| Vec::with_capacity(len));
        blocks.resize(len, Block::default());
        Self(blocks)
    }

    /// So many blocks of zeros.
    pub fn zeros(len: usize) -> Self {
        let mut blocks = Self::new(len);
        blocks.fill(Block::default());
        blocks
    }
}

/// The smallest memory that has room for so many blocks, and for not many more.
fn take<T>(kept: &'static Kept<T>, len: usize) -> Option<Vec<Block<T>>> {
    let fits = |blocks: &Vec<Block<T>>| (len..=2 * len).contains(&blocks.capacity());
    let take = |kept: &RefCell<Vec<Vec<Block<T>>>>| {
        let mut kept = kept.borrow_mut();
        let fitting = kept.iter().enumerate().filter(|(_, blocks)| fits(blocks));
        let best = fitting.min_by_key(|(_, blocks)| blocks.capacity()).map(|(i, _)| i)?;
        Some(kept.swap_remove(best))
    };
    kept.try_with(take).ok().flatten()
}

impl<T: Lanes> Drop for Buffer<T> {
    fn drop(&mut self) {
        let Some(kept) = T::kept() else { return };
        let blocks = std::mem::take(&mut self.0);
        // A thread that ends keeps nothing.
        let _ = kept.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            let held: usize = kept.iter().map(Vec::capacity).sum();
            if (held + blocks.capacity()) * size_of::<Block<T>>() <= MOST {
                kept.push(blocks);
            }
        });
    }
}

impl<T: Lanes> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut blocks = Self::new(self.len());
        blocks.copy_from_slice(self);
        blocks
    }
}

impl<T: Lanes> Deref for Buffer<T> {
    type Target = [Block<T>];

    fn deref(&self) -> &[Block<T>] {
        &self.0
    }
}

impl<T: Lanes> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [Block<T>] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let first = Buffer::<f32>::zeros(1000);
        let place = first.as_ptr();
        drop(first);
        let second = Buffer::<f32>::new(900);
        assert_eq!((second.len(), second.as_ptr()), (900, place));
        // It is not lent twice, nor for much less.
        assert_ne!(Buffer::<f32>::new(900).as_ptr(), place);
        drop(second);
        assert_ne!(Buffer::<f32>::new(10).as_ptr(), place);
    }

    #[test]
    fn zeros_are_zeros() {
        let mut blocks = Buffer::<f64>::new(100);
        blocks.fill(Block([f64::NAN; crate::lanes::LANES]));
        drop(blocks);
        assert!(Buffer::<f64>::zeros(90).iter().all(|block| *block == Block::default()));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let size = MOST / size_of::<Block<f32>>();
        drop([(); 3].map(|()| Buffer::<f32>::new(size / 2)));
        let held = |kept: &RefCell<Vec<Vec<Block<f32>>>>| kept.borrow().iter().map(Vec::capacity).sum::<usize>();
        assert!(f32::kept().is_some_and(|kept| kept.with(held) <= size));
    }
}
