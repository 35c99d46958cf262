//! Blocks in memory that is used again: once a thread has passed a batch through a network, another one of that size
//! needs no new memory.

use std::{
    any::Any,
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use crate::block::Block;

/// The most memory that one thread keeps for blocks of one type, in bytes.
const MOST: usize = 64 << 20;

/// Blocks whose memory goes back to the thread that drops them.
#[derive(Debug)]
pub struct Buffer<T: Copy + Default + 'static>(Vec<Block<T>>);

/// The memory that a thread keeps for blocks of one type.
type Pool<T> = Vec<Vec<Block<T>>>;

thread_local! {
    /// One [`Pool`] for each type of number.
    static POOLS: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with the pool of this thread for blocks of `T`; `None` in a thread that ends, which keeps nothing.
fn with_pool<T: 'static, R>(f: impl FnOnce(&mut Pool<T>) -> R) -> Option<R> {
    let call = |pools: &RefCell<Vec<Box<dyn Any>>>| {
        let mut pools = pools.borrow_mut();
        let known = pools.iter().position(|pool| pool.is::<Pool<T>>());
        let at = known.unwrap_or_else(|| {
            pools.push(Box::new(Pool::<T>::new()));
            pools.len() - 1
        });
        pools[at].downcast_mut().map(f)
    };
    POOLS.try_with(call).ok().flatten()
}

impl<T: Copy + Default + 'static> Buffer<T> {
    /// Returns `len` blocks with unspecified contents.
    pub fn new(len: usize) -> Self {
        let mut blocks = with_pool(|pool| take(pool, len)).flatten().unwrap_or_else(|| Vec::with_capacity(len));
        blocks.resize(len, Block::default());
        Self(blocks)
    }

    /// Returns `len` blocks of zeros.
    pub fn zeros(len: usize) -> Self {
        let mut blocks = Self::new(len);
        blocks.fill(Block::default());
        blocks
    }
}

/// Takes from the pool the smallest memory with room for `len` blocks, unless it has room for more than twice as many.
fn take<T>(pool: &mut Pool<T>, len: usize) -> Option<Vec<Block<T>>> {
    let fits = |blocks: &Vec<Block<T>>| (len..=2 * len).contains(&blocks.capacity());
    let fitting = pool.iter().enumerate().filter(|(_, blocks)| fits(blocks));
    let best = fitting.min_by_key(|(_, blocks)| blocks.capacity()).map(|(i, _)| i)?;
    Some(pool.swap_remove(best))
}

impl<T: Copy + Default + 'static> Drop for Buffer<T> {
    fn drop(&mut self) {
        let blocks = std::mem::take(&mut self.0);
        with_pool(|pool: &mut Pool<T>| {
            let held: usize = pool.iter().map(Vec::capacity).sum();
            if (held + blocks.capacity()) * size_of::<Block<T>>() <= MOST {
                pool.push(blocks);
            }
        });
    }
}

impl<T: Copy + Default + 'static> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        let mut blocks = Self::new(self.len());
        blocks.copy_from_slice(self);
        blocks
    }
}

impl<T: Copy + Default + 'static> Deref for Buffer<T> {
    type Target = [Block<T>];

    fn deref(&self) -> &[Block<T>] {
        &self.0
    }
}

impl<T: Copy + Default + 'static> DerefMut for Buffer<T> {
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
        blocks.fill(Block([f64::NAN; crate::block::LANES]));
        drop(blocks);
        assert!(Buffer::<f64>::zeros(90).iter().all(|block| *block == Block::default()));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let size = MOST / size_of::<Block<f32>>();
        drop([(); 3].map(|()| Buffer::<f32>::new(size / 2)));
        let held = with_pool(|pool: &mut Pool<f32>| pool.iter().map(Vec::capacity).sum::<usize>());
        assert_eq!(held, Some(size / 2 * 2));
    }
}
