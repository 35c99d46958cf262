//! What was counted.

use serde::Serialize;

/// What was counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Networks by kind.
    #[serde(skip)]
    pub networks: Vec<usize>,
    /// How many of them were trained, stretched over the range of exponents, run in `f32`, run in `f32` on samples in
    /// `f64`, and run in the declared order.
    pub trained: usize,
    pub stretched: usize,
    pub single: usize,
    pub wide_samples: usize,
    pub declared: usize,
    /// Networks without a certificate: a method without a radius and with a bound that overflows.
    pub not_certified: usize,
    /// Networks whose exact values are not known, since they solve equations: tested as executed alone.
    pub executed_alone: usize,
    /// Inputs of such networks for which the program returned no number.
    pub unsolved: usize,
    /// Samples, and those without an exact and without an executed radius.
    pub samples: usize,
    pub without_exact_radius: usize,
    pub without_executed_radius: usize,
    /// Pairs `(x, x')` within a certified exact radius, and those of them within a local one.
    pub pairs: usize,
    pub local_pairs: usize,
    /// Pairs within a certified executed radius, and those of them within a local one.
    pub executed_pairs: usize,
    pub executed_local_pairs: usize,
    /// Samples with a local radius that is larger than the global one.
    pub larger_locally: usize,
    /// Local radii that a quadratic bound proves.
    pub quadratic: usize,
    /// Pairs that integers decided: those that intervals could not, and one for each claim anyway.
    pub by_integers: usize,
    /// Distances bisected for an executed flip, and inputs executed.
    pub bisections: usize,
    pub executions: usize,
    /// Pairs that the search for large ratios evaluated.
    pub falsifier_pairs: usize,
    pub violations: Violations,
    /// The largest `‖f(x) − f(x')‖/(L‖x − x'‖)`, as computed in `f64`, of pairs that are not close.
    pub largest_ratio: f64,
    /// The smallest distance of an executed flip over the executed radius, and over the exact one.
    pub closest: Option<f64>,
    pub closest_exact: Option<f64>,
}

/// Proofs that a claim is false.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Violations {
    pub lipschitz: usize,
    pub exact_class: usize,
    pub local_class: usize,
    pub executed_class: usize,
    pub executed_local_class: usize,
    pub executed_flip: usize,
    pub falsifier: usize,
}

impl Violations {
    pub fn total(&self) -> usize {
        let classes = self.exact_class + self.local_class + self.executed_class + self.executed_local_class;
        self.lipschitz + classes + self.executed_flip + self.falsifier
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        let least = |a: Option<f64>, b: Option<f64>| [a, b].into_iter().flatten().reduce(f64::min);
        self.networks.resize(self.networks.len().max(other.networks.len()), 0);
        self.networks.iter_mut().zip(&other.networks).for_each(|(a, b)| *a += b);
        for (to, from) in [
            (&mut self.trained, other.trained),
            (&mut self.stretched, other.stretched),
            (&mut self.single, other.single),
            (&mut self.wide_samples, other.wide_samples),
            (&mut self.declared, other.declared),
            (&mut self.not_certified, other.not_certified),
            (&mut self.executed_alone, other.executed_alone),
            (&mut self.unsolved, other.unsolved),
            (&mut self.samples, other.samples),
            (&mut self.without_exact_radius, other.without_exact_radius),
            (&mut self.without_executed_radius, other.without_executed_radius),
            (&mut self.pairs, other.pairs),
            (&mut self.local_pairs, other.local_pairs),
            (&mut self.executed_pairs, other.executed_pairs),
            (&mut self.executed_local_pairs, other.executed_local_pairs),
            (&mut self.larger_locally, other.larger_locally),
            (&mut self.quadratic, other.quadratic),
            (&mut self.by_integers, other.by_integers),
            (&mut self.bisections, other.bisections),
            (&mut self.executions, other.executions),
            (&mut self.falsifier_pairs, other.falsifier_pairs),
            (&mut self.violations.lipschitz, other.violations.lipschitz),
            (&mut self.violations.exact_class, other.violations.exact_class),
            (&mut self.violations.local_class, other.violations.local_class),
            (&mut self.violations.executed_class, other.violations.executed_class),
            (&mut self.violations.executed_local_class, other.violations.executed_local_class),
            (&mut self.violations.executed_flip, other.violations.executed_flip),
            (&mut self.violations.falsifier, other.violations.falsifier),
        ] {
            *to += from;
        }
        self.largest_ratio = self.largest_ratio.max(other.largest_ratio);
        self.closest = least(self.closest, other.closest);
        self.closest_exact = least(self.closest_exact, other.closest_exact);
    }
}
