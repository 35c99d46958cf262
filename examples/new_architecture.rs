//! A layer from outside the crate: written, certified by an existing rule, and held to the laws in one line. Then the
//! same layer with a certificate that is subtly wrong, and the counterexample that the laws find.
//!
//! ```text
//! cargo run --release --example new_architecture
//! ```
//!
//! The layer is one step of a Hamiltonian network (symplectic Euler) for a kinetic energy with the gradient `Kᵀσ(Kp + b)`:
//!
//! ```text
//! (q, p) ↦ (q + h Kᵀσ(Kp + b), p)
//! ```
//!
//! It is a shear: invertible, volume-preserving, and never a contraction. With `s = hL‖K‖²`, its Jacobian is
//! `[[1, S], [0, 1]]` with a symmetric `S`, `‖S‖ ≤ s`, and the largest singular value of such a matrix is
//! `(s + √(s² + 4))/2`. The crate has no rule for shears, so the layer *asserts* this bound: its certificate says so,
//! and laws are what stands between an assertion and a mistake.

use dahlquist::{
    Error, Network,
    activation::Activation,
    laws::{self, strategies},
    layer::Layer,
    model::{Map, Opaque},
    operator::Affine,
    rigor::directed::{add_up, div_up, mul_up, sqrt_up},
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use proptest::prelude::*;

/// How the author of the layer bounds its Lipschitz constant.
#[derive(Debug, Clone, Copy)]
enum Claim {
    /// `(s + √(s² + 4))/2`.
    Shear,
    /// `√(1 + s²)`: "the two parts are orthogonal". They are not: it is too small, by a factor of 2/√3 at worst.
    Pythagoras,
}

/// `(q, p) ↦ (q + h Kᵀσ(Kp + b), p)`; a sample holds `q`, then `p`.
#[derive(Debug)]
struct Shear<T: Scalar> {
    kinetic: Affine<T>,
    activation: Activation,
    h: T,
    claim: Claim,
}

impl<T: Scalar> Shear<T> {
    /// The number of coordinates of `q`, and of `p`.
    fn half(&self) -> usize {
        self.kinetic.operator().input().len()
    }

    /// The halves `q` and `p` of every sample.
    fn split(&self, x: &Batch<T>) -> [Batch<T>; 2] {
        let n = self.half();
        let part = |which: usize| {
            let mut part = Batch::zeros(Shape::Features(n), x.samples());
            (0..x.samples()).for_each(|s| part.sample_mut(s).copy_from_slice(&x.sample(s)[which * n..][..n]));
            part
        };
        [part(0), part(1)]
    }

    /// The samples with the halves `q` and `p`.
    fn join(&self, q: &Batch<T>, p: &Batch<T>) -> Batch<T> {
        let mut x = Batch::zeros(self.input(), q.samples());
        for s in 0..q.samples() {
            let (first, second) = x.sample_mut(s).split_at_mut(self.half());
            first.copy_from_slice(q.sample(s));
            second.copy_from_slice(p.sample(s));
        }
        x
    }

    fn input_shape(&self) -> Shape {
        Shape::Features(2 * self.half())
    }

    /// A proved bound of `‖K‖`.
    fn norm(&self) -> Result<f64, Error> {
        let operator = self.kinetic.operator();
        Ok(Prover::default().operator(&operator.describe(), operator.input(), false)?.0.bound.get())
    }

    /// The bound that is asserted, for a norm of `K`.
    fn bound(&self, norm: f64) -> f64 {
        let s = mul_up(mul_up(self.h.wide().abs(), self.activation.lipschitz()), mul_up(norm, norm));
        match self.claim {
            Claim::Shear => div_up(add_up(s, sqrt_up(add_up(mul_up(s, s), 4.0))), 2.0),
            Claim::Pythagoras => sqrt_up(add_up(1.0, mul_up(s, s))),
        }
    }

    /// `h Kᵀσ'(z)K v`, which is symmetric: the derivative and its adjoint.
    fn stretch(&self, z: &Batch<T>, v: &Batch<T>) -> Batch<T> {
        self.kinetic.adjoint(&self.activation.differentiate(z, self.h, self.kinetic.linear(v)))
    }
}

// This is all that a layer needs: what it is, its shapes, value and derivatives, and itself over f64.
impl<T: Scalar> Layer<T> for Shear<T> {
    fn describe(&self) -> Map {
        // The norm is proved by the crate, everything else is rounded upward: an honest bound of an honest formula. No rule
        // of the crate knows it, so the layer asserts it.
        let lipschitz = self.norm().map_or(f64::INFINITY, |norm| self.bound(norm));
        let (input, output) = (self.input_shape(), self.input_shape());
        Map::Opaque(Opaque { kind: "shear".into(), input, output, lipschitz })
    }

    fn input(&self) -> Shape {
        self.input_shape()
    }

    fn output(&self) -> Shape {
        self.input_shape()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let [mut q, p] = self.split(&x);
        let z = self.kinetic.apply(&p);
        q.axpy(self.h, &self.kinetic.adjoint(&self.activation.apply(&z)));
        tape.save(z);
        self.join(&q, &p)
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        // Jᵀ = [[1, 0], [S, 1]].
        let [gq, mut gp] = self.split(&g);
        gp.axpy(T::one(), &self.stretch(tape.saved(0), &gq));
        self.join(&gq, &gp)
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let [mut vq, vp] = self.split(&v);
        vq.axpy(T::one(), &self.stretch(tape.saved(0), &vp));
        self.join(&vq, &vp)
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        let Self { activation, claim, .. } = *self;
        Box::new(Shear { kinetic: self.kinetic.widen(), activation, h: self.h.wide(), claim })
    }
}

/// Shears with weights of all magnitudes, from the strategies of the crate.
fn shears<T: Scalar>(claim: Claim) -> impl Strategy<Value = Shear<T>> {
    (strategies::dense::<T>(), strategies::activation(), -1.0..1.0f64).prop_filter_map(
        "refused",
        move |(kinetic, activation, h)| {
            Some(Shear { kinetic, activation: activation.in_format::<T>().ok()?, h: T::of(h), claim })
        },
    )
}

// In a test file, this one line makes the tests `shear::f32` and `shear::f64`:
//
//     dahlquist::layer_laws! { shear<T>: shears::<T>(Claim::Shear); }

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The laws hold: derivatives, shapes, samples, and the claimed bound.
    laws::search(300, shears::<f32>(Claim::Shear), laws::layer::<f32, _>)?;
    laws::search(300, shears::<f64>(Claim::Shear), laws::layer::<f64, _>)?;
    println!("(s + √(s² + 4))/2: all laws hold for 600 shears.\n");

    // In a network it composes with everything else, and the certificate says what it rests on.
    let kinetic = Affine::new(dahlquist::operator::Dense::new(2, 2, vec![0.5, 0.0, 0.25, 0.5])?, None)?;
    let layer = Shear { kinetic, activation: Activation::Tanh {}, h: 0.5, claim: Claim::Shear };
    let sealed = Network::<f64>::new(layer.input(), vec![Box::new(layer)])?.seal()?;
    for (map, proof) in sealed.map().layers().iter().zip(sealed.certificate().layers()) {
        println!("{}: {} is {}; proved: {}\n", map.kind(), proof.bound(), proof.rule(), proof.is_proved());
    }

    // The wrong formula agrees with the right one for s = 0 and for s → ∞, and is 13 % too small at worst. It is caught,
    // and the counterexample is shrunk to numbers that one can check by hand.
    match laws::search(300, shears::<f64>(Claim::Pythagoras), laws::layer::<f64, _>) {
        Ok(()) => Err("the wrong certificate was not caught".into()),
        Err(proptest::test_runner::TestError::Fail(reason, (layer, _))) => {
            let s = layer.h.abs() * layer.norm()?.powi(2);
            println!("√(1 + s²): caught.");
            println!(
                "  K = {:?}, {}, h = {}, s = {s}",
                layer.kinetic.operator().weight(),
                layer.activation.name(),
                layer.h
            );
            println!("  {reason}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
