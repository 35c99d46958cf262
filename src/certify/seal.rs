//! Sealing: norms are proved, steps are fixed by them, and from then on nothing changes.

use serde::{Deserialize, Serialize};

use crate::{
    certificate::{Certificate, NormProof, Rule, file::features},
    check::Verified,
    error::{Error, Result},
    model::{Linear, Map},
    network::Network,
    rigor::{Summation, Upper, directed::mul_up, environment, quadratic_constraint::Ellipsoid},
    rules::{Prover, quadratic_constraint},
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// What is chosen when a network is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SealOptions {
    /// The order of summation that the sealed network runs in. It is set in the kernels themselves, and they tell how
    /// many roundings they need: claims about the network as executed are for the order in which it runs.
    pub summation: Summation,
    /// How the norms of convolutions are proved: tight ones allow longer steps and larger radii, and take longer.
    pub norm_proof: NormProof,
}

/// A network whose claims are proved and whose parameters can no longer change.
///
/// Only a sealed network is certified.
///
/// ```
/// use dahlquist::{Network, activation::Activation, field::GradientField, integrate::Tableau};
/// use dahlquist::{layer::{Flow, Step}, operator::{Affine, Dense}, tensor::Shape};
/// let w = Dense::new(2, 2, vec![1.0, 2.0, 3.0, 4.0])?;
/// let field = GradientField::new(Affine::new(w, None)?, Activation::Relu {})?;
/// let flow = Flow::new(field, Tableau::rk4(), Step::Relative(1.0), 3)?;
/// let sealed = Network::<f64>::new(Shape::Features(2), vec![Box::new(flow)])?.seal()?;
/// assert_eq!(sealed.certificate().bound().get(), 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct Sealed<T: Scalar> {
    network: Network<T>,
    wide: Network<f64>,
    map: Map,
    certificate: Certificate,
    options: SealOptions,
    /// The rows of a dense head, one after the other.
    rows: Option<Vec<f64>>,
    /// What multipliers of a run with that head say about pairs of logits.
    pairs: Option<Pairs>,
}

/// The most operations that constants of one class with all others may take.
const PAIRS: usize = 1 << 30;

/// How the features move that a head reads, as one map with the layers before it.
#[derive(Debug)]
struct Pairs {
    /// A Lipschitz bound of the layers before that map.
    before: Upper,
    ellipsoid: Ellipsoid,
}

impl Pairs {
    /// Returns what the multipliers of a run with the head prove, if there is one.
    fn of(map: &Map, input: Shape, certificate: &Certificate) -> Option<Self> {
        let (maps, (run, before)) = (map.layers(), certificate.premises().split_last()?);
        if run.rule() != Rule::QuadraticConstraint || run.span() < 2 || map.head().is_none() {
            return None;
        }
        let (first, lipschitz) = (maps.len() - run.span(), run.prefix(run.span() - 1));
        let classes = map.output(input).ok()?.len();
        let input = maps[..first].iter().try_fold(input, |shape, map| map.output(shape)).ok()?;
        let (evidence, bound) = (run.evidence(), run.bound().get());
        let pairs = quadratic_constraint::pairs(&maps[first..], input, evidence, bound, lipschitz);
        let before = before.iter().fold(Upper::ONE, |product, part| product * part.bound());
        let is_small = |of: &Ellipsoid| of.outputs().pow(2).saturating_mul(classes) <= PAIRS;
        Some(Self { before, ellipsoid: pairs.ok().filter(is_small)? })
    }

    fn constant(&self, a: &[f64], b: &[f64]) -> f64 {
        mul_up(self.before.get(), self.ellipsoid.constant(a, b))
    }
}

impl<T: Scalar> Network<T> {
    /// Proves the norms, sets every relative step by them, and proves the claim of every layer.
    ///
    /// # Errors
    /// The reason, with the path of the layer, if one of them has no proof.
    pub fn seal(self) -> Result<Sealed<T>> {
        self.seal_with(SealOptions::default())
    }

    /// As [`Self::seal`], with options.
    ///
    /// # Errors
    /// As [`Self::seal`].
    ///
    /// ```
    /// use dahlquist::{Network, certify::SealOptions, rigor::Summation};
    /// use dahlquist::{layer::AffineLayer, operator::{Affine, Dense}, tensor::Shape};
    /// let head = AffineLayer::new(Affine::new(Dense::new(1, 3072, vec![0.1f32; 3072])?, None)?);
    /// let network = Network::new(Shape::Features(3072), vec![Box::new(head)])?;
    /// let sealed = network.seal_with(SealOptions { summation: Summation::Declared, ..Default::default() })?;
    /// assert_eq!(sealed.options().summation, Summation::Declared);
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn seal_with(mut self, options: SealOptions) -> Result<Sealed<T>> {
        environment::check()?;
        environment::check_products()?;
        self.set_summation(options.summation);
        let prover = Prover::new(options.norm_proof);
        self.fix_steps(&prover)?;
        let map = self.describe();
        let certificate = prover.network(&map, self.input())?;
        Ok(Sealed::new(self, map, certificate, options))
    }

    /// Seals the network by claims that the checker has verified for it, with nothing proved again.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the claims are about another network.
    pub fn seal_by(mut self, verified: &Verified, options: SealOptions) -> Result<Sealed<T>> {
        environment::check()?;
        environment::check_products()?;
        self.set_summation(options.summation);
        let map = self.describe();
        if self.input() != verified.input() || &map != verified.map() {
            return Err(Error::not_proved("the claims", "they were verified for another network"));
        }
        Ok(Sealed::new(self, map, verified.certificate().clone(), options))
    }
}

impl<T: Scalar> Sealed<T> {
    fn new(network: Network<T>, map: Map, certificate: Certificate, options: SealOptions) -> Self {
        let rows = match map.head() {
            Some(Linear::Dense { weight, .. }) => Some(weight.numbers()),
            _ => None,
        };
        let pairs = rows.as_ref().and_then(|_| Pairs::of(&map, network.input(), &certificate));
        Self { wide: network.widen(), network, map, certificate, options, rows, pairs }
    }

    /// Returns the same network with tighter claims: stacks of matrices and activations, of up to `neurons` neurons
    /// each, are certified as one map by a quadratic constraint, the last one together with the head. The multipliers of that
    /// bound how fast the difference of any two logits changes, too, and radii use it.
    ///
    /// Of up to 192 neurons the program of the multipliers is solved as a whole. Beyond, they
    /// begin layer by layer in closed form and are improved by gradients; the proof takes a few times `neurons³` operations.
    /// The search may end before the least bound is reached, or find nothing; no bound gets worse.
    ///
    /// # Errors
    /// [`Error::NotProved`] if a bound overflows.
    pub fn tighten(mut self, neurons: usize) -> Result<Self> {
        let prover = Prover::new(self.options.norm_proof);
        self.certificate = prover.tighten(&self.map, self.network.input(), self.certificate, neurons)?;
        self.pairs = self.rows.as_ref().and_then(|_| Pairs::of(&self.map, self.network.input(), &self.certificate));
        Ok(self)
    }

    /// Returns a Lipschitz constant of the difference of two logits, of classes that exist, if there are multipliers that
    /// prove one: see [`Self::tighten`].
    pub fn pair_bound(&self, i: usize, j: usize) -> Option<Upper> {
        self.pair(i, j).filter(|bound| bound.is_finite()).map(Upper::proved)
    }

    /// Returns the same number, which is infinite or NaN where it overflows.
    pub(super) fn pair(&self, i: usize, j: usize) -> Option<f64> {
        let (rows, pairs) = (self.rows()?, self.pairs.as_ref()?);
        let n = pairs.ellipsoid.outputs();
        Some(pairs.constant(&rows[i * n..][..n], &rows[j * n..][..n]))
    }

    /// Returns the rows of a dense head, one after the other.
    pub(super) fn rows(&self) -> Option<&[f64]> {
        self.rows.as_deref()
    }

    /// Returns what the network computes, as data: what its claims are about.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns a Lipschitz bound of the layers before the head that margins are measured on; of the whole network if it
    /// has none.
    pub fn features(&self) -> Upper {
        features(&self.certificate, &self.map)
    }

    /// Returns how many layers come before the head.
    pub(crate) fn feature_layers(&self) -> usize {
        self.map.layers().len() - usize::from(self.map.head().is_some())
    }

    /// Returns the network.
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// Returns the same network over `f64`, exactly, and in the same order of summation: what margins are computed
    /// with.
    pub(crate) fn wide(&self) -> &Network<f64> {
        &self.wide
    }

    /// Returns what was chosen when the network was sealed.
    pub fn options(&self) -> SealOptions {
        self.options
    }

    /// Returns the claims.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the logits as executed in `T`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the samples do not have the shape of the input.
    pub fn forward(&self, x: &Batch<T>) -> Result<Batch<T>> {
        self.network.forward(x)
    }
}
