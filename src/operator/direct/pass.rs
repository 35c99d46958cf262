//! One direction of a convolution: the tile, the weights in groups, and the loop over the rows of a sample.

use pulp::Simd;

use super::kernel::{Group, Sum, SumInto};
use crate::{
    block::blocks,
    buffer::Buffer,
    lanes::{Block, LANES, Lanes},
    rigor::Summation,
    tensor::Shape,
};

/// About the number of points whose sums are used before the next ones are computed: with two blocks of channels, what
/// they take fits into a first-level cache.
const BAND: usize = 128;

/// A way to compute a convolution of stride 1, from tiles to images.
pub(super) trait Convolve<T: Lanes>: Sync {
    /// Returns the tile that is read.
    fn frame(&self) -> &Frame;

    /// Returns what is computed.
    fn output(&self) -> &Image;

    /// Returns memory for [`Self::run`], which overwrites what it holds.
    fn scratch(&self) -> Buffer<T>;

    /// The convolution of the tile.
    fn run<S: Simd>(&self, simd: S, tile: &[Block<T>], scratch: &mut [Block<T>], finish: &mut impl Finish<T>);
}

/// An image with a border of zeros.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub image: Image,
    /// How many rows of zeros the tile has above the image, and how many columns to its left.
    pub border: (usize, usize),
    /// The rows and the columns of the tile.
    pub size: (usize, usize),
}

impl Frame {
    /// Returns a tile of zeros.
    pub fn tile<T: Lanes>(&self) -> Buffer<T> {
        Buffer::zeros(self.image.blocks * self.size.0 * self.size.1)
    }

    /// Copies some rows of a block of channels, the first with the place `at` in the sample, into the tile.
    #[inline(always)]
    pub fn load<T: Lanes>(&self, channels: usize, at: usize, rows: &[Block<T>], tile: &mut [Block<T>]) {
        let Image { columns, .. } = self.image;
        let row = (at - channels * self.image.points()) / columns;
        let start = (channels * self.size.0 + self.border.0 + row) * self.size.1 + self.border.1;
        for (from, to) in rows.chunks(columns).zip(tile[start..].chunks_mut(self.size.1)) {
            to[..columns].copy_from_slice(from);
        }
    }

    /// Copies a sample into the tile.
    #[inline(always)]
    pub fn load_sample<T: Lanes>(&self, x: &[Block<T>], tile: &mut [Block<T>]) {
        for (channels, rows) in x.chunks(self.image.points()).enumerate() {
            self.load(channels, channels * self.image.points(), rows, tile);
        }
    }
}

/// A convolution as a sum over the taps.
#[derive(Debug, Clone)]
pub(super) struct Pass<T> {
    pub frame: Frame,
    pub output: Image,
    groups: Vec<Group>,
    /// The number of groups of a chunk.
    pub chunk: usize,
    /// The rows and the columns of the kernel.
    kernel: (usize, usize),
    /// For each block of output channels, one block for each term.
    weights: Vec<Block<T>>,
    terms: usize,
}

/// An image of blocks of channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image {
    pub shape: Shape,
    pub channels: usize,
    pub blocks: usize,
    pub rows: usize,
    pub columns: usize,
}

impl Image {
    fn new(shape: Shape) -> Option<Self> {
        let Shape::Image { channels, height, width } = shape else { return None };
        Some(Self { shape, channels, blocks: blocks(channels), rows: height, columns: width })
    }

    pub fn points(&self) -> usize {
        self.rows * self.columns
    }

    /// Returns the number of blocks of a sample.
    pub fn len(&self) -> usize {
        self.blocks * self.points()
    }
}

/// Where sums go.
pub(super) trait Finish<T> {
    /// Takes the sums for some rows of the `channels`-th block of channels; the first has the place `at` in the sample.
    fn finish<S: Simd>(&mut self, simd: S, channels: usize, at: usize, sums: &mut [Block<T>]);
}

impl<T: Lanes> Pass<T> {
    /// Returns the convolution in which `weight(o, c, t)` takes input channel `c` to output channel `o` at tap `t`.
    pub fn new(
        (input, output): (Shape, Shape),
        kernel: (usize, usize),
        border: (usize, usize),
        summation: Summation,
        weight: impl Fn(usize, usize, usize) -> T,
    ) -> Option<Self> {
        let (input, output) = (Image::new(input)?, Image::new(output)?);
        let tile = (output.rows + kernel.0 - 1, output.columns + kernel.1 - 1);
        let (mut groups, mut weights) = (Vec::new(), vec![Vec::new(); output.blocks]);
        for block in 0..input.blocks {
            let first = block * LANES;
            let terms = LANES.min(input.channels - first);
            for tap in 0..kernel.0 * kernel.1 {
                let place = tap / kernel.1 * tile.1 + tap % kernel.1;
                groups.push(Group { offset: block * tile.0 * tile.1 + place, terms });
                for (o, weights) in weights.iter_mut().enumerate() {
                    weights.extend((first..first + terms).map(|c| {
                        let lane = |lane| {
                            let o = o * LANES + lane;
                            if o < output.channels { weight(o, c, tap) } else { T::default() }
                        };
                        Block(std::array::from_fn(lane))
                    }));
                }
            }
        }
        // Three groups of 16 terms are the best choice for sums of about a thousand terms, and cost a few percent.
        let chunk = match summation {
            Summation::Any => 12,
            Summation::Declared => 3,
        };
        let terms = groups.iter().map(|group| group.terms).sum();
        let frame = Frame { image: input, border, size: tile };
        Some(Self { frame, output, groups, chunk, kernel, weights: weights.concat(), terms })
    }

    /// Returns the largest number of roundings that a product passes through.
    pub fn depth(&self) -> usize {
        depth(&self.groups, self.chunk)
    }

    fn band_rows(&self) -> usize {
        (BAND / self.output.columns).clamp(1, self.output.rows)
    }

    /// Returns the taps: for each group the place in the tile that the first output point reads, and for each of its
    /// terms the input channel and the tap.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Returns the length of a row of the tile.
    pub fn width(&self) -> usize {
        self.frame.size.1
    }

    /// Returns the rows and the columns of the kernel.
    pub fn kernel(&self) -> (usize, usize) {
        self.kernel
    }

    /// For each block of output channels, one block for each term.
    pub fn weights(&self) -> impl Iterator<Item = &[Block<T>]> {
        self.weights.chunks(self.terms)
    }
}

impl<T: Lanes> Convolve<T> for Pass<T> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn output(&self) -> &Image {
        &self.output
    }

    /// Returns the sums of some rows of two blocks of channels.
    fn scratch(&self) -> Buffer<T> {
        Buffer::new(2 * self.band_rows() * self.output.columns)
    }

    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, tile: &[Block<T>], band: &mut [Block<T>], finish: &mut impl Finish<T>) {
        let Image { blocks, rows, columns, .. } = self.output;
        let points = self.output.points();
        for channels in (0..blocks).step_by(2) {
            let count = 2.min(blocks - channels);
            for top in (0..rows).step_by(self.band_rows()) {
                let size = self.band_rows().min(rows - top) * columns;
                let (first, second) = band[..count * size].split_at_mut(size);
                let sum = Sum {
                    tile: &tile[top * self.width()..],
                    width: self.width(),
                    groups: &self.groups,
                    chunk: self.chunk,
                    neighbours: self.kernel.1 == 3,
                    weights: &self.weights[channels * self.terms..][..count * self.terms],
                    columns,
                };
                simd.vectorize(SumInto { sum, out: [&mut *first, &mut *second] });
                finish.finish(simd, channels, channels * points + top * columns, first);
                if count == 2 {
                    finish.finish(simd, channels + 1, (channels + 1) * points + top * columns, second);
                }
            }
        }
    }
}

/// Returns `m + c − 1` for `c` chunks of at most `m` terms.
pub(super) fn depth(groups: &[Group], chunk: usize) -> usize {
    let chunks = groups.chunks(chunk);
    let count = chunks.len();
    chunks.map(|groups| groups.iter().map(|group| group.terms).sum::<usize>()).max().unwrap_or(0) + count - 1
}
