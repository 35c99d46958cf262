//! Sealing: norms are proved, steps are fixed by them, and from then on nothing changes.

use serde::{Deserialize, Serialize};

use crate::{
    certificate::{Certificate, NormProof, file::features},
    check::Verified,
    error::{Error, Result},
    model::{Linear, Map},
    network::Network,
    rigor::{Summation, Upper, environment},
    rules::Prover,
    scalar::Scalar,
    tensor::Batch,
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
        Self { wide: network.widen(), network, map, certificate, options, rows }
    }

    /// Returns the same network with tighter claims: stacks of matrices and activations, of up to `neurons` neurons
    /// each, are certified as one map by a quadratic constraint.
    ///
    /// The search for multipliers makes up to 150 steps of a few times `neurons³` operations each: seconds on one core for
    /// 384 neurons. It may end before the least bound is reached, or find nothing; no bound gets worse.
    ///
    /// # Errors
    /// [`Error::NotProved`] if a bound overflows.
    pub fn tighten(mut self, neurons: usize) -> Result<Self> {
        let prover = Prover::new(self.options.norm_proof);
        self.certificate = prover.tighten(&self.map, self.network.input(), self.certificate, neurons)?;
        Ok(self)
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
