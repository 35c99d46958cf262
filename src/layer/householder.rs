//! Reflections of groups of channels: the activation of Householder.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::Result,
    model::{self, Map, Tensor},
    rigor::{
        Rounding,
        directed::{add_up, mul_up, norm_up, sqrt_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape, cast},
};

/// `z ↦ z` if `vᵀz > 0`, else `z − 2v(vᵀz)`, of each group `z` of channels, or of features.
///
/// With the stored `v`, which need not have norm 1, it is `max(1, |1 − 2‖v‖²|)`-Lipschitz
/// ([`crate::certificate::Rule::Householder`]). For `‖v‖ = 1` it preserves gradients. The vector is trained.
#[derive(Debug, Clone)]
pub struct Householder<T> {
    shape: Shape,
    /// One vector, or one for each group in a row.
    vectors: Vec<T>,
    axes: Vec<usize>,
    groups: usize,
    size: usize,
}

impl<T: Scalar> Householder<T> {
    /// Reflections by the vectors of a description.
    ///
    /// # Errors
    /// As [`model::Householder::groups`].
    pub fn new(shape: Shape, map: &model::Householder) -> Result<Self> {
        let [groups, size] = map.groups(shape)?;
        Ok(Self { shape, vectors: map.vector.numbers(), axes: map.vector.shape().to_vec(), groups, size })
    }

    /// Calls `visit(where v begins, places)` for every group of a sample at every point.
    fn visit(&self, mut visit: impl FnMut(usize, &[usize])) {
        let points = self.shape.points();
        let mut places = vec![0; self.size];
        for group in 0..self.groups {
            for point in 0..points {
                places.iter_mut().enumerate().for_each(|(i, place)| *place = (group * self.size + i) * points + point);
                visit((group * self.size) % self.vectors.len(), &places);
            }
        }
    }

    /// Returns `min(vᵀz, 0)`; a NaN is let through.
    fn behind(v: &[T], z: impl Iterator<Item = T>) -> T {
        let product = v.iter().zip(z).map(|(&v, z)| v * z).fold(T::zero(), |sum, x| sum + x);
        if product > T::zero() { T::zero() } else { product }
    }

    /// Returns `Jg`: the Jacobian is symmetric.
    fn differentiate(&self, x: &Batch<T>, mut g: Batch<T>) -> Batch<T> {
        for s in 0..x.samples() {
            let (x, g) = (x.sample(s), g.sample_mut(s));
            self.visit(|at, places| {
                let v = &self.vectors[at..][..self.size];
                if Self::behind(v, places.iter().map(|&i| x[i])) < T::zero() {
                    let along = v.iter().zip(places).map(|(&v, &i)| v * g[i]).fold(T::zero(), |sum, x| sum + x);
                    v.iter().zip(places).for_each(|(&v, &i)| g[i] -= v * (along + along));
                }
            });
        }
        g
    }
}

impl<T: Scalar> Layer<T> for Householder<T> {
    fn describe(&self) -> Map {
        Map::Householder(model::Householder { vector: Tensor::new(&self.axes, &self.vectors) })
    }

    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn forward(&self, mut x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        tape.save_copy(&x);
        for s in 0..x.samples() {
            let x = x.sample_mut(s);
            self.visit(|at, places| {
                let v = &self.vectors[at..][..self.size];
                let behind = Self::behind(v, places.iter().map(|&i| x[i]));
                v.iter().zip(places).for_each(|(&v, &i)| x[i] -= v * (behind + behind));
            });
        }
        x
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let x = tape.saved(0);
        if let Some([slot, ..]) = gradient {
            for s in 0..x.samples() {
                let (x, g) = (x.sample(s), g.sample(s));
                self.visit(|at, places| {
                    let v = &self.vectors[at..][..self.size];
                    let behind = Self::behind(v, places.iter().map(|&i| x[i]));
                    if behind < T::zero() {
                        // −2(vᵀz)⟨g, v⟩ by v is −2((vᵀz)g + ⟨g, v⟩z).
                        let along = v.iter().zip(places).map(|(&v, &i)| v * g[i]).fold(T::zero(), |sum, x| sum + x);
                        let each = slot[at..][..self.size].iter_mut().zip(places);
                        each.for_each(|(slot, &i)| {
                            let part = behind * g[i] + along * x[i];
                            *slot -= part + part;
                        });
                    }
                });
            }
        }
        self.differentiate(x, g)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.differentiate(tape.saved(0), v)
    }

    /// With `m = min(vᵀz, 0)`, `|m̂ − m| ≤ γ_k‖v‖‖z‖ + kη`, and doubling is exact. A coordinate is
    /// `fl(zᵢ − fl(2vᵢm̂))`: two roundings of at most `|zᵢ| + 2|vᵢ||m̂|`, and `η`. The norm over all groups follows with the
    /// longest vector.
    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let longest = self.vectors.chunks(self.size).map(norm_up).fold(0.0, f64::max);
        let each = |count: usize| mul_up(sqrt_up(count as f64), rounding.underflow(1));
        let underflow = mul_up(self.size as f64, each(self.groups * self.shape.points()));
        let bound = |(x, &reach): (f64, &f64)| {
            let x = add_up(x, reach);
            let product = mul_up(longest, x);
            let off = add_up(mul_up(rounding.dot(self.size), product), underflow);
            let behind = mul_up(2.0, add_up(product, off));
            let size = add_up(x, mul_up(longest, behind));
            let inherited = mul_up(mul_up(2.0, longest), off);
            let added = add_up(mul_up(rounding.dot(2), size), each(self.shape.len()));
            rounding.unless_overflow(add_up(mul_up(2.0, size), behind), add_up(inherited, added))
        };
        Ok(tape.saved(0).norms_up().into_iter().zip(reach).map(bound).collect())
    }

    fn parameters(&self) -> Vec<&[T]> {
        vec![&self.vectors]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        vec![&mut self.vectors]
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        let Self { shape, vectors, axes, groups, size } = self.clone();
        Box::new(Householder { shape, vectors: cast(&vectors), axes, groups, size })
    }
}
