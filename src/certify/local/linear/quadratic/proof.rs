//! A bound of a margin from given multipliers: the matrix is assembled, its roundings are charged, it is proved positive
//! semidefinite.
//!
//! # Rounding
//!
//! Each product, `(s − αz)(h − z)`, say, is one of two [`Factor`]s, which are computed from the form `p` of `z`. Three things are
//! taken from the bound, all by magnitudes on the ball: what the true `z` makes of a product instead of `p`, `|z − p| ≤ δ`; the roundings
//! of all entries of the matrix, at most `γ_N` of what their magnitudes make of `(1, u)`, where an entry passes through `N`
//! roundings; and underflows. Numbers beyond `2¹⁰⁰` are refused, so a neuron is below `2²⁰⁰` and a coefficient of a factor below `2²⁰²`:
//! an underflow, at most `2⁻¹⁰⁷⁴`, is multiplied by less than `2⁷⁰⁴` on its way, and fewer than `2⁴⁰` of them come to less than `2⁻²⁰⁰`.

use faer::Mat;

use super::problem::{Factor, Form, Problem};
use crate::rigor::{
    directed::{ETA, U, add_up, enlarge_sum, exponent, gamma, mul_up, power_of_two, sub_down},
    psd::is_positive_semidefinite,
};

/// The largest magnitude of a number that is dealt with.
const LARGEST: f64 = f64::from_bits((1023 + 100) << 52);
/// What all underflows come to.
const UNDERFLOW: f64 = f64::from_bits((1023 - 200) << 52);

/// Multipliers, in the units of the problem.
#[derive(Debug, Clone)]
pub(super) struct Multipliers {
    /// `γ`, the bound that they are to prove.
    pub(super) bound: f64,
    /// `λ`.
    pub(super) ball: f64,
    /// One for each product.
    pub(super) products: Vec<f64>,
}

impl Problem {
    /// Returns a factor as a function of `(1, u)`, each coefficient within two roundings of what is meant.
    pub(super) fn column(&self, factor: &Factor) -> Vec<f64> {
        let mut column = vec![0.0; self.size()];
        if let Some(neuron) = self.neuron(factor) {
            column[0] = factor.argument * neuron.argument.constant;
            let rest = column[1..].iter_mut().zip(&neuron.argument.coefficients);
            rest.for_each(|(x, c)| *x = factor.argument * c);
        }
        column[0] += factor.constant;
        column[1 + factor.at] += factor.value;
        column
    }

    /// Returns the lower bound of a margin that multipliers prove, minus infinity if they prove none.
    pub(super) fn prove(&self, margin: &Form, multipliers: &Multipliers) -> f64 {
        let Multipliers { bound, ball, products } = multipliers;
        let all = self.products();
        let numbers = [*bound, *ball, margin.constant, self.radius].into_iter().chain(products.iter().copied());
        let forms = self.neurons.iter().flat_map(|n| {
            let own = [n.slopes[0], n.slopes[1], n.range[0], n.range[1], n.argument.constant, n.argument.off];
            own.into_iter().chain(n.argument.coefficients.iter().copied())
        });
        let sides = self.sides.iter().flat_map(|(_, side)| *side);
        let mut given = numbers.chain(forms).chain(sides).chain(margin.coefficients.iter().copied());
        if products.len() != all.len()
            || *ball < 0.0
            || !all.iter().zip(products).all(|((_, is_free), t)| *is_free || *t >= 0.0)
            || !given.all(|x| x.abs() <= LARGEST)
        {
            return f64::NEG_INFINITY;
        }
        let lost = self.lost(margin, multipliers);
        if self.is_proved(margin, multipliers) { sub_down(*bound, lost) } else { f64::NEG_INFINITY }
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
        total = add_up(total, mul_up(mul_up(*ball, squared), (self.inputs() + 1) as f64));
        let mut moved = 0.0;
        let factors = self.factors();
        // The magnitude of a factor on the ball, what the magnitudes of its coefficients make of it, and how far it may be off.
        let of = |factor: &Factor| {
            let rest = add_up(factor.constant.abs(), mul_up(factor.value.abs(), magnitudes[1 + factor.at]));
            let Some(neuron) = self.neuron(factor) else { return [rest, rest, 0.0] };
            let argument = |size: f64| mul_up(factor.argument.abs(), size);
            let reach = neuron.range[1].max(-neuron.range[0]);
            [
                add_up(argument(reach), rest),
                add_up(argument(over(&neuron.argument)), rest),
                argument(neuron.argument.off),
            ]
        };
        let sizes: Vec<[f64; 3]> = factors.iter().map(of).collect();
        for (([i, j], _), t) in self.products().iter().zip(products) {
            let ([f, computed_f, df], [g, computed_g, dg]) = (sizes[*i], sizes[*j]);
            let change = add_up(add_up(mul_up(f, dg), mul_up(g, df)), mul_up(df, dg));
            moved = add_up(moved, mul_up(t.abs(), change));
            total = add_up(total, mul_up(t.abs(), mul_up(computed_f, computed_g)));
        }
        // An entry is a sum of at most two products for each product of factors, and of six other numbers; a product has two
        // roundings in each of its factors, and five more.
        let roundings = 2 * products.len() + 24;
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
        (1..=self.inputs()).for_each(|i| image[(i, i)] = *ball);
        for (j, c) in margin.coefficients.iter().enumerate() {
            image[(1 + j, 0)] = c / 2.0;
        }
        let columns: Vec<Vec<f64>> = self.factors().iter().map(|factor| self.column(factor)).collect();
        for (([f, g], _), t) in self.products().iter().zip(products) {
            let (f, g) = (&columns[*f], &columns[*g]);
            for j in 0..n {
                let (half_f, half_g) = (t * f[j] / 2.0, t * g[j] / 2.0);
                if half_f != 0.0 || half_g != 0.0 {
                    for i in j..n {
                        image[(i, j)] -= half_f * g[i] + half_g * f[i];
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
