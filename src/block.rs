//! Sixteen channels side by side: the unit in which images are stored and computed.

/// The number of channels of a [`Block`].
pub const LANES: usize = 16;

/// The same point of sixteen channels in a row, on one cache line in `f32`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Block<T>(pub [T; LANES]);

impl<T: Copy + Default> Default for Block<T> {
    fn default() -> Self {
        Self([T::default(); LANES])
    }
}

/// Returns the number of blocks that one point with `channels` channels takes.
pub(crate) const fn blocks(channels: usize) -> usize {
    channels.div_ceil(LANES)
}

/// Writes planes of `points` numbers, one for each channel, as blocks: block by block, each point by point. The lanes
/// without a channel become zeros.
pub(crate) fn interleave<T: Copy + Default>(planes: &[T], points: usize, blocks: &mut [Block<T>]) {
    for (planes, blocks) in planes.chunks(LANES * points).zip(blocks.chunks_mut(points)) {
        if planes.len() < LANES * points {
            blocks.fill(Block::default());
        }
        // Some points of all channels at a time, so that what is written stays in the cache.
        for (i, to) in blocks.chunks_mut(LANES).enumerate() {
            for (lane, plane) in planes.chunks(points).enumerate() {
                for (to, &from) in to.iter_mut().zip(&plane[i * LANES..]) {
                    to.0[lane % LANES] = from;
                }
            }
        }
    }
}

/// The inverse of [`interleave`]: writes to all of `planes`.
pub(crate) fn separate<T: Copy>(blocks: &[Block<T>], points: usize, planes: &mut [T]) {
    for (planes, blocks) in planes.chunks_mut(LANES * points).zip(blocks.chunks(points)) {
        for (i, from) in blocks.chunks(LANES).enumerate() {
            for (lane, plane) in planes.chunks_mut(points).enumerate() {
                for (to, from) in plane[i * LANES..].iter_mut().zip(from) {
                    *to = from.0[lane % LANES];
                }
            }
        }
    }
}
