//! A bound of a margin from given multipliers: the matrix is assembled, its roundings are charged, it is proved positive
//! semidefinite.
//!
//! # Rounding
//!
//! Each product `(s − αz)(h − z)`, say, is one of two [`Factor`]s, which are computed from the form `p` of `z`. Three things are
//! taken from the bound, all by magnitudes on the ball: what the true `z` makes of a product instead of `p`, `|z − p| ≤ δ`; the roundings
//! of all entries of the matrix, at most `γ_N` of what their magnitudes make of `(1, u)`, where an entry passes through `N`
//! roundings; and underflows. Numbers beyond `2¹⁰⁰` are refused, so a neuron is below `2²⁰⁰` and a coefficient of a factor below `2²⁰²`:
//! an underflow, at most `2⁻¹⁰⁷⁴`, is multiplied by less than `2⁷⁰⁴` on its way, and fewer than `2⁴⁰` of them come to less than `2⁻²⁰⁰`.

use faer::Mat;

use super::problem::{Form, Neuron, Problem};
use crate::rigor::{
    directed::{ETA, U, add_up, enlarge_sum, exponent, gamma, mul_up, power_of_two, sub_down},
    psd::is_positive_semidefinite,
};

/// The largest magnitude of a number that is dealt with.
const LARGEST: f64 = f64::from_bits((1023 + 100) << 52);
/// What all underflows come to.
const UNDERFLOW: f64 = f64::from_bits((1023 - 200) << 52);

/// The products of a neuron's factors, and whether one is 0 where it acts, so that its multiplier may have any sign.
pub(super) const PRODUCTS: [([usize; 2], bool); 3] = [([0, 1], true), ([0, 2], false), ([1, 3], false)];

/// Multipliers, in the units of the problem.
#[derive(Debug, Clone)]
pub(super) struct Multipliers {
    /// `γ`, the bound that they are to prove.
    pub(super) bound: f64,
    /// `λ`.
    pub(super) ball: f64,
    /// For each neuron those of its products.
    pub(super) products: Vec<[f64; 3]>,
}

/// `cz·z + cs·s + constant`, for the argument `z` of a neuron and what it makes of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub(super) argument: f64,
    pub(super) value: f64,
    pub(super) constant: f64,
}

impl Neuron {
    /// `s − αz` and `s − βz`, `h − z` and `z − l`.
    pub(super) fn factors(&self) -> [Factor; 4] {
        let ([a, b], [low, high]) = (self.slopes, self.range);
        let factor = |argument: f64, value: f64, constant: f64| Factor { argument, value, constant };
        [factor(-a, 1.0, 0.0), factor(-b, 1.0, 0.0), factor(-1.0, 0.0, high), factor(1.0, 0.0, -low)]
    }
}

impl Problem {
    /// Returns the number of coordinates of `(1, u)`.
    pub(super) fn size(&self) -> usize {
        1 + self.inputs + self.neurons.len()
    }

    /// Returns a factor of a neuron as a function of `(1, u)`, each coefficient within two roundings of what is meant.
    pub(super) fn factor(&self, k: usize, factor: Factor) -> Vec<f64> {
        let form = &self.neurons[k].argument;
        let constant = factor.argument * form.constant + factor.constant;
        let rest = form.coefficients.iter().map(|c| factor.argument * c);
        let mut all: Vec<f64> = std::iter::once(constant).chain(rest).collect();
        all[1 + self.inputs + k] += factor.value;
        all
    }

    /// Returns the lower bound of a margin that multipliers prove, minus infinity if they prove none.
    pub(super) fn prove(&self, margin: &Form, multipliers: &Multipliers) -> f64 {
        let Multipliers { bound, ball, products } = multipliers;
        let numbers =
            [*bound, *ball, margin.constant, self.radius].into_iter().chain(products.iter().flatten().copied());
        let forms = self.neurons.iter().flat_map(|n| {
            let own = [n.slopes[0], n.slopes[1], n.range[0], n.range[1], n.argument.constant, n.argument.off];
            own.into_iter().chain(n.argument.coefficients.iter().copied())
        });
        let is_small = |x: f64| x.abs() <= LARGEST;
        let of_inequalities = |t: &[f64; 3]| PRODUCTS.iter().zip(t).all(|((_, is_free), t)| *is_free || *t >= 0.0);
        if products.len() != self.neurons.len()
            || *ball < 0.0
            || !products.iter().all(of_inequalities)
            || !numbers.chain(forms).chain(margin.coefficients.iter().copied()).all(is_small)
        {
            return f64::NEG_INFINITY;
        }
        let lost = self.lost(margin, multipliers);
        if self.is_proved(margin, multipliers) { sub_down(*bound, lost) } else { f64::NEG_INFINITY }
    }

    /// Returns bounds of the magnitudes of `(1, u)`.
    fn magnitudes(&self) -> Vec<f64> {
        let inputs = std::iter::repeat_n(self.radius, self.inputs);
        std::iter::once(1.0).chain(inputs).chain(self.neurons.iter().map(Neuron::size)).collect()
    }

    /// Returns what the bound loses to rounding.
    fn lost(&self, margin: &Form, Multipliers { bound, ball, products }: &Multipliers) -> f64 {
        let magnitudes = self.magnitudes();
        let squared = mul_up(self.radius, self.radius);
        let over = |form: &Form| {
            let rest = form.coefficients.iter().zip(&magnitudes[1..]).map(|(c, m)| mul_up(c.abs(), *m));
            rest.fold(form.constant.abs(), add_up)
        };
        let mut total = add_up(over(margin), bound.abs());
        total = add_up(total, mul_up(mul_up(*ball, squared), (self.inputs + 1) as f64));
        let mut moved = 0.0;
        for (neuron, t) in self.neurons.iter().zip(products) {
            let (size, off, computed) = (neuron.size(), neuron.argument.off, over(&neuron.argument));
            let reach = neuron.range[1].max(-neuron.range[0]);
            // The magnitude of a factor on the ball, of what its coefficients make of that, and how fast it moves with z.
            let of = |factor: &Factor, argument: f64| {
                let rest = add_up(factor.constant.abs(), mul_up(factor.value, size));
                add_up(mul_up(factor.argument.abs(), argument), rest)
            };
            let factors = neuron.factors();
            for (([i, j], _), t) in PRODUCTS.iter().zip(t) {
                let (f, g) = (&factors[*i], &factors[*j]);
                let (df, dg) = (mul_up(f.argument.abs(), off), mul_up(g.argument.abs(), off));
                let change = add_up(add_up(mul_up(of(f, reach), dg), mul_up(of(g, reach), df)), mul_up(df, dg));
                moved = add_up(moved, mul_up(t.abs(), change));
                total = add_up(total, mul_up(t.abs(), mul_up(of(f, computed), of(g, computed))));
            }
        }
        // An entry is a sum of at most two products for each product of factors, and of six other numbers; a product has two
        // roundings in each of its factors, and five more.
        let roundings = 2 * PRODUCTS.len() * self.neurons.len() + 24;
        add_up(add_up(moved, UNDERFLOW), mul_up(gamma(roundings, U), total))
    }

    /// Returns whether the matrix is proved positive semidefinite.
    fn is_proved(&self, margin: &Form, multipliers: &Multipliers) -> bool {
        let (image, n) = (self.image(margin, multipliers), self.size());
        let scale = |i: usize| {
            let d: f64 = image[(i, i)];
            (d > 0.0 && d.is_finite()).then(|| power_of_two((-(exponent(d) / 2)).clamp(-500, 500)))
        };
        let Some(scales) = (0..n).map(scale).collect::<Option<Vec<f64>>>() else { return false };
        let scaled = Mat::from_fn(n, n, |i, j| image[(i, j)] * scales[i] * scales[j]);
        // Powers of two change nothing, unless something underflows, twice.
        let tiny = enlarge_sum(scales.iter().map(|s| mul_up(ETA, add_up(1.0, *s))).sum(), n);
        is_positive_semidefinite(scaled.as_ref(), &vec![tiny; n])
    }

    /// Returns `M(γ, λ, t)` as computed.
    pub(super) fn image(&self, margin: &Form, Multipliers { bound, ball, products }: &Multipliers) -> Mat<f64> {
        let n = self.size();
        let mut image: Mat<f64> = Mat::zeros(n, n);
        image[(0, 0)] = margin.constant - ball * (self.radius * self.radius) - bound;
        (1..=self.inputs).for_each(|i| image[(i, i)] = *ball);
        for (j, c) in margin.coefficients.iter().enumerate() {
            image[(1 + j, 0)] = c / 2.0;
        }
        for (k, (neuron, t)) in self.neurons.iter().zip(products).enumerate() {
            let factors = neuron.factors().map(|factor| self.factor(k, factor));
            for (([f, g], _), t) in PRODUCTS.iter().zip(t) {
                let (f, g) = (&factors[*f], &factors[*g]);
                for j in 0..n {
                    let (half_f, half_g) = (t * f[j] / 2.0, t * g[j] / 2.0);
                    if half_f != 0.0 || half_g != 0.0 {
                        for i in j..n {
                            image[(i, j)] -= half_f * g[i] + half_g * f[i];
                        }
                    }
                }
            }
        }
        for j in 0..n {
            for i in 0..j {
                image[(i, j)] = image[(j, i)];
            }
        }
        image
    }
}
