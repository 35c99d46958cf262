//! The learning rate over the training.

/// One cycle: a linear rise to `peak` over the first part of the training, then half a cosine down to 0.
///
/// Source: Smith, Topin, *Super-convergence*, arXiv:1708.07120.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneCycle {
    /// The largest rate.
    pub peak: f64,
    /// The fraction of the training, in `[0, 1)`, at which it is reached.
    pub rise: f64,
}

impl OneCycle {
    /// Returns the rate when the fraction `t`, in `[0, 1]`, of the training is over.
    pub fn rate(&self, t: f64) -> f64 {
        if t < self.rise {
            // It does not start at 0, where nothing would move.
            self.peak * (0.04 + 0.96 * t / self.rise)
        } else {
            let fall = (t - self.rise) / (1.0 - self.rise);
            self.peak * 0.5 * (1.0 + (std::f64::consts::PI * fall).cos())
        }
    }
}
