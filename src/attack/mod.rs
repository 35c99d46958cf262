//! Attacks: on the label of a sample, and on the certificate of a network.
//!
//! Neither proves anything about robustness: what an attack does not find may still be there. Both are tests of the
//! claims of this crate, and a claim that survives them is not any more proved than it was.
//!
//! | attack | against | finds |
//! |---|---|---|
//! | [`Attack`] | a label, or a prediction | an input near a sample that is classified otherwise |
//! | [`Falsifier`] | bounds, declared rounding errors and radii | what refutes them, or how close it came |

mod ball;
mod descent;
mod falsify;
mod flips;
mod loss;
mod part;
mod pgd;
mod ratio;
mod targets;

pub use ball::{Ball, Norm, pixel_range};
pub use falsify::{Falsification, Falsifier, RatioReport};
pub use flips::{Flip, FlipReport};
pub use loss::{Loss, StepSize};
pub use pgd::{AT_ONCE, Attack, Broken, RobustAccuracy, Start};

use crate::{
    error::Result,
    network::Network,
    scalar::Scalar,
    tensor::{Batch, argmax},
};

/// Returns the class of each sample as executed in `T`: the position of its largest logit, the first of several.
///
/// Given as labels to [`Attack::robust_accuracy`], they turn it against the *predictions*, which is what a certified
/// radius is about.
///
/// # Errors
/// [`crate::Error::Shape`] if the samples do not have the shape of the input.
pub fn predictions<T: Scalar>(network: &Network<T>, x: &Batch<T>) -> Result<Vec<usize>> {
    let logits = network.forward(x)?;
    Ok((0..x.samples()).map(|s| argmax(logits.sample(s))).collect())
}
