//! What is timed: passes over a network and images of some size, in a pool of threads.

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use dahlquist::{Error, Network, Result, Sealed, Semantics, data::Dataset, tensor::Batch, tensor::Shape, train::train};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use serde::Serialize;

use crate::reference;

/// A pass is repeated for so long: clocks and the wake-up of threads then do not count.
const LEAST: Duration = Duration::from_millis(20);
const SEED: u64 = 1;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    Forward,
    Gradient,
    Training,
    Exact,
    Executed,
    Norms,
}

impl Pass {
    pub const ALL: [Self; 6] =
        [Self::Forward, Self::Gradient, Self::Training, Self::Exact, Self::Executed, Self::Norms];

    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Gradient => "forward and gradient by the input",
            Self::Training => "training step",
            Self::Exact => "certification, exact",
            Self::Executed => "certification, executed",
            Self::Norms => "proof of the norms",
        }
    }
}

/// The times of every pass in seconds, turn by turn.
pub type Times = BTreeMap<Pass, Vec<f64>>;

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    Batch,
    Channels,
    Side,
    Depth,
    Threads,
}

impl Quantity {
    pub const ALL: [Self; 5] = [Self::Batch, Self::Channels, Self::Side, Self::Depth, Self::Threads];

    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Channels => "channels",
            Self::Side => "side",
            Self::Depth => "depth",
            Self::Threads => "threads",
        }
    }

    /// The exponent that counting multiplications gives.
    pub fn theory(self, pass: Pass) -> i32 {
        match (self, pass) {
            (Self::Batch, Pass::Norms) => 0,
            (Self::Channels, Pass::Norms) => 3,
            (Self::Batch | Self::Depth, _) => 1,
            (Self::Channels | Self::Side, _) => 2,
            (Self::Threads, _) => -1,
        }
    }

    /// The sizes at which it is timed, the others as in [`Size::base`]: channels by whole blocks of sixteen, batches
    /// of at least two chunks a thread.
    pub fn sizes(self) -> Vec<Size> {
        let base = Size::base();
        let of = |values: &[usize], size: fn(usize, Size) -> Size| values.iter().map(|&v| size(v, base)).collect();
        match self {
            Self::Batch => of(&[64, 128, 256, 512], |batch, base| Size { batch, ..base }),
            Self::Channels => of(&[16, 32, 64, 128], |channels, base| Size { channels, ..base }),
            Self::Side => of(&[8, 16, 32, 64], |side, base| Size { side, ..base }),
            Self::Depth => of(&[2, 4, 8, 16], |depth, base| Size { depth, ..base }),
            Self::Threads => of(&[1, base.threads], |threads, base| Size { threads, ..base }),
        }
    }

    pub fn of(self, size: Size) -> usize {
        match self {
            Self::Batch => size.batch,
            Self::Channels => size.channels,
            Self::Side => size.side,
            Self::Depth => size.depth,
            Self::Threads => size.threads,
        }
    }
}

/// All quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Size {
    pub batch: usize,
    pub channels: usize,
    pub side: usize,
    /// The number of blocks.
    pub depth: usize,
    pub threads: usize,
}

impl Size {
    /// What the quantities are that do not grow.
    pub fn base() -> Self {
        Self { batch: 128, channels: 16, side: 16, depth: 4, threads: 2 }
    }

    fn network(self) -> Result<Network<f32>> {
        reference::stage(SEED, self.channels, self.side, self.depth)
    }
}

/// A network of some size and images for it.
pub struct Subject {
    pub size: Size,
    pool: ThreadPool,
    sealed: Sealed<f32>,
    trained: Network<f32>,
    images: Batch<f32>,
    data: Dataset,
}

impl Subject {
    pub fn new(size: Size) -> Result<Self> {
        let refuse = |e: rayon::ThreadPoolBuildError| Error::Parameter {
            name: "threads",
            value: size.threads.to_string(),
            reason: e.to_string(),
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(size.threads).build().map_err(refuse)?;
        let shape = Shape::image(3, size.side, size.side);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let pixels = (0..size.batch * shape.len()).map(|_| rng.random_range(0.0..1.0)).collect();
        let images = Batch::new(shape, pixels)?;
        let labels = (0..size.batch).map(|i| i % 10).collect();
        let data = Dataset::from_pixels(&images, labels, (0..10).map(|class| class.to_string()).collect())?;
        let sealed = pool.install(|| size.network()?.seal())?;
        Ok(Self { size, pool, sealed, trained: size.network()?, images, data })
    }

    /// The time of one pass over all images, in seconds.
    pub fn time(&mut self, pass: Pass) -> Result<f64> {
        let Self { size, pool, sealed, trained, images, data } = self;
        pool.install(|| match pass {
            Pass::Forward => repeat(|| Ok(()), |()| sealed.forward(images)),
            Pass::Gradient => repeat(|| Ok(()), |()| reference::gradients(sealed.network(), images)),
            Pass::Training => {
                let recipe = reference::steps(size.batch);
                repeat(|| Ok(()), |()| train(trained, data, &recipe, |_| ()))
            }
            Pass::Exact => repeat(|| Ok(()), |()| sealed.certify(images, Semantics::Exact)),
            Pass::Executed => repeat(|| Ok(()), |()| sealed.certify(images, Semantics::Executed)),
            Pass::Norms => repeat(|| size.network(), Network::seal),
        })
    }
}

/// The mean time of `run` in seconds; what it needs is prepared outside the clock.
fn repeat<A, R>(prepare: impl Fn() -> Result<A>, mut run: impl FnMut(A) -> Result<R>) -> Result<f64> {
    let (mut elapsed, mut count) = (Duration::ZERO, 0);
    while elapsed < LEAST {
        let input = prepare()?;
        let start = Instant::now();
        black_box(run(input)?);
        elapsed += start.elapsed();
        count += 1;
    }
    Ok(elapsed.as_secs_f64() / f64::from(count))
}
