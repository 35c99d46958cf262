//! Margins as functions of the input and of neurons, and the products that are known of these.

use crate::rigor::directed::mul_up;

/// An affine function of `u = (y, s)`.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) constant: f64,
    pub(super) coefficients: Vec<f64>,
    /// How far off it may be.
    pub(super) off: f64,
}

/// A neuron `s = max(αz, βz)` that can switch.
#[derive(Debug, Clone)]
pub(super) struct Neuron {
    /// `α < β`.
    pub(super) slopes: [f64; 2],
    /// `[l, h]`, which holds `z`, with `l < 0 < h`.
    pub(super) range: [f64; 2],
    /// `z`.
    pub(super) argument: Form,
}

impl Neuron {
    /// A bound of `|s|`.
    pub(super) fn size(&self) -> f64 {
        size(self.slopes, self.range)
    }
}

/// Returns a bound of `|max(αz, βz)|` for `z ∈ [l, h]`.
pub(super) fn size([a, b]: [f64; 2], [low, high]: [f64; 2]) -> f64 {
    mul_up(a.abs(), low.abs()).max(mul_up(b.abs(), high))
}

/// Margins over a ball, perhaps in a box.
#[derive(Debug)]
pub(in super::super) struct Problem {
    /// Bounds of `|yᵢ|`.
    pub(super) sizes: Vec<f64>,
    /// A bound of `‖y‖`.
    pub(super) radius: f64,
    /// Some coordinates and the intervals that they are in.
    pub(super) sides: Vec<(usize, [f64; 2])>,
    pub(super) neurons: Vec<Neuron>,
    /// Margins are at least these.
    pub(super) margins: Vec<Form>,
}

/// An affine function `argument·z + value·u + constant` of a coordinate of `u` and, if it is a neuron, its argument `z`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    /// The coordinate.
    pub(super) at: usize,
    pub(super) argument: f64,
    pub(super) value: f64,
    pub(super) constant: f64,
}

impl Problem {
    /// Returns the number of coordinates `y` of the input.
    pub(super) fn inputs(&self) -> usize {
        self.sizes.len()
    }

    /// Returns the number of coordinates of `(1, u)`.
    pub(super) fn size(&self) -> usize {
        1 + self.inputs() + self.neurons.len()
    }

    /// Returns bounds of the magnitudes of `(1, u)`.
    pub(super) fn magnitudes(&self) -> Vec<f64> {
        let neurons = self.neurons.iter().map(Neuron::size);
        std::iter::once(1.0).chain(self.sizes.iter().copied()).chain(neurons).collect()
    }

    /// Returns the neuron that a factor is about.
    pub(super) fn neuron(&self, factor: &Factor) -> Option<&Neuron> {
        self.neurons.get(factor.at.checked_sub(self.inputs())?)
    }

    /// Returns the factors of all products: of each neuron `s − αz`, `s − βz`, `h − z` and `z − l`, and of each coordinate that is in
    /// an interval `[a, b]` `y − a` and `b − y`.
    pub(super) fn factors(&self) -> Vec<Factor> {
        let of_neuron = |(k, neuron): (usize, &Neuron)| {
            let ([a, b], [low, high]) = (neuron.slopes, neuron.range);
            let factor = |(argument, value, constant)| Factor { at: self.inputs() + k, argument, value, constant };
            [(-a, 1.0, 0.0), (-b, 1.0, 0.0), (-1.0, 0.0, high), (1.0, 0.0, -low)].map(factor)
        };
        let of_side = |&(at, [low, high]): &(usize, [f64; 2])| {
            [(1.0, -low), (-1.0, high)].map(|(value, constant)| Factor { at, argument: 0.0, value, constant })
        };
        self.neurons.iter().enumerate().flat_map(of_neuron).chain(self.sides.iter().flat_map(of_side)).collect()
    }

    /// Returns the products of factors that are not negative, and whether one is even 0, so that its multiplier may have any sign.
    pub(super) fn products(&self) -> Vec<([usize; 2], bool)> {
        let of_neuron = |k: usize| {
            [([0, 1], true), ([0, 2], false), ([1, 3], false)].map(|([i, j], free)| ([4 * k + i, 4 * k + j], free))
        };
        let first = 4 * self.neurons.len();
        let of_side = |k: usize| ([first + 2 * k, first + 2 * k + 1], false);
        (0..self.neurons.len()).flat_map(of_neuron).chain((0..self.sides.len()).map(of_side)).collect()
    }

    /// Returns the largest values of the factors, about.
    pub(super) fn largest(&self) -> Vec<f64> {
        let of_neuron = |neuron: &Neuron| {
            let ([a, b], [low, high]) = (neuron.slopes, neuron.range);
            [(b - a) * high, (b - a) * -low, high - low, high - low]
        };
        let of_side = |(_, [low, high]): &(usize, [f64; 2])| [high - low; 2];
        self.neurons.iter().flat_map(of_neuron).chain(self.sides.iter().flat_map(of_side)).collect()
    }
}
