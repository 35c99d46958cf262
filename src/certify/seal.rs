//! Sealing: norms are proved, steps are fixed by them, and from then on nothing changes.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    certificate::{Certificate, Entry, Group},
    error::Result,
    io::ClaimedGroup,
    layer::Layer,
    network::Network,
    operator::Norms,
    rigor::{Summation, Upper, environment},
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
    pub norms: Norms,
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
/// assert_eq!(sealed.certificate().lipschitz.get(), 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct Sealed<T: Scalar> {
    network: Network<T>,
    wide: Network<f64>,
    certificate: Certificate,
    options: SealOptions,
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
        self.fix_steps(options.norms)?;
        let layers: Vec<&dyn Layer<T>> = self.layers().collect();
        let prove = |(i, layer): (usize, &&dyn Layer<T>)| {
            environment::check()?;
            layer.certificate().map_err(|e| e.in_layer(i.to_string()))
        };
        let entries: Vec<Entry> = layers.par_iter().enumerate().map(prove).collect::<Result<_>>()?;
        let certificate = Certificate {
            input: self.input(),
            groups: Vec::new(),
            lipschitz: Upper::ONE,
            features: Upper::ONE,
            norms: options.norms,
            layers: entries,
            summation: options.summation,
        };
        let certificate = self.grouped(certificate, &self.linear_groups())?;
        Ok(Sealed { wide: self.widen(), network: self, certificate, options })
    }
}

impl<T: Scalar> Sealed<T> {
    /// The same network with tighter claims: stacks of matrices and activations, of up to `neurons` neurons each, are
    /// certified as one map by a quadratic constraint.
    ///
    /// The search for multipliers makes up to 150 steps of a few times `neurons³` operations each: seconds on one core for
    /// 384 neurons. It may end before the least bound is reached, or find nothing; no bound gets worse.
    ///
    /// # Errors
    /// [`crate::Error::NotProved`] if a bound overflows.
    pub fn tighten(self, neurons: usize) -> Result<Self> {
        let groups = self.network.stack_groups(neurons);
        self.grouped(groups)
    }

    /// As [`Self::tighten`], with the multipliers of a certificate in the place of a search: claims about stacks that
    /// these do not prove for the weights of this network are left aside.
    ///
    /// # Errors
    /// As [`Self::tighten`].
    pub fn tighten_by(self, claimed: &[ClaimedGroup]) -> Result<Self> {
        let groups = self.network.proved_again(claimed);
        self.grouped(groups)
    }

    fn grouped(mut self, mut groups: Vec<Group>) -> Result<Self> {
        groups.extend(std::mem::take(&mut self.certificate.groups));
        self.certificate = self.network.grouped(self.certificate, &groups)?;
        Ok(self)
    }

    /// The network.
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The same network over `f64`, exactly, and in the same order of summation: what margins are computed with.
    pub(crate) fn wide(&self) -> &Network<f64> {
        &self.wide
    }

    /// What was chosen when the network was sealed.
    pub fn options(&self) -> SealOptions {
        self.options
    }

    /// The claims.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The logits as executed in `T`.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the samples do not have the shape of the input.
    pub fn forward(&self, x: &Batch<T>) -> Result<Batch<T>> {
        self.network.forward(x)
    }
}
