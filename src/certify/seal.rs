//! Sealing: norms are proved, steps are fixed by them, and from then on nothing changes.

use rayon::prelude::*;

use crate::{
    certificate::{Certificate, Entry},
    error::Result,
    layer::Layer,
    network::Network,
    operator::Norms,
    rigor::Upper,
    scalar::Scalar,
    tensor::Batch,
};

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
}

impl<T: Scalar> Network<T> {
    /// Proves the norms, sets every relative step by them, and proves the claim of every layer.
    ///
    /// # Errors
    /// The reason, with the path of the layer, if one of them has no proof.
    pub fn seal(self) -> Result<Sealed<T>> {
        self.seal_with(Norms::default())
    }

    /// As [`Self::seal`], with a choice between proofs of the norms of convolutions: tight ones allow longer steps and
    /// larger radii.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_with(mut self, norms: Norms) -> Result<Sealed<T>> {
        self.fix_steps(norms)?;
        let layers: Vec<&dyn Layer<T>> = self.layers().collect();
        let prove = |(i, layer): (usize, &&dyn Layer<T>)| layer.certificate().map_err(|e| e.in_layer(i.to_string()));
        let entries: Vec<Entry> = layers.par_iter().enumerate().map(prove).collect::<Result<_>>()?;
        let head = usize::from(layers.last().is_some_and(|layer| layer.as_affine().is_some()));
        let product = |entries: &[Entry]| entries.iter().map(|entry| entry.lipschitz).product::<Upper>();
        let certificate = Certificate {
            input: self.input(),
            norms,
            lipschitz: product(&entries).finite("the Lipschitz constant of the network")?,
            features: product(&entries[..entries.len() - head]).finite("the Lipschitz constant of the features")?,
            layers: entries,
        };
        Ok(Sealed { wide: self.widen(), network: self, certificate })
    }
}

impl<T: Scalar> Sealed<T> {
    /// The network.
    pub fn network(&self) -> &Network<T> {
        &self.network
    }

    /// The same network over `f64`, exactly: what exact semantics is computed with.
    pub(crate) fn wide(&self) -> &Network<f64> {
        &self.wide
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
