//! Dot products in every order that a program might choose, and in rational numbers.

use num_rational::BigRational;
use num_traits::Zero;

/// An order of summation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Order {
    Forwards,
    Backwards,
    Pairwise,
    Interleaved,
    LargestFirst,
    SmallestFirst,
    PositiveFirst,
    Alternating,
}

pub const ORDERS: [Order; 8] = [
    Order::Forwards,
    Order::Backwards,
    Order::Pairwise,
    Order::Interleaved,
    Order::LargestFirst,
    Order::SmallestFirst,
    Order::PositiveFirst,
    Order::Alternating,
];

/// `Σ wᵢxᵢ + bias` in `f32`, in the order given; with fused multiply-add where the order is a chain.
pub fn dot(w: &[f32], x: &[f32], bias: Option<f32>, order: Order, fma: bool) -> f32 {
    let mut terms: Vec<(f32, f32)> = w.iter().copied().zip(x.iter().copied()).chain(bias.map(|b| (b, 1.0))).collect();
    let size = |&(w, x): &(f32, f32)| (w * x).abs();
    let sign = |&(w, x): &(f32, f32)| w * x < 0.0;
    match order {
        Order::Forwards => {}
        Order::Backwards => terms.reverse(),
        Order::Pairwise => return pairwise(&terms),
        Order::Interleaved => {
            let chains: Vec<f32> = (0..4).map(|k| chain(terms.iter().skip(k).step_by(4), fma)).collect();
            return (chains[0] + chains[1]) + (chains[2] + chains[3]);
        }
        Order::LargestFirst => terms.sort_by(|a, b| size(b).total_cmp(&size(a))),
        Order::SmallestFirst => terms.sort_by(|a, b| size(a).total_cmp(&size(b))),
        Order::PositiveFirst => terms.sort_by_key(sign),
        Order::Alternating => {
            // In turns while both last: ranks 0, 1, 2, … on either side.
            let (below, above): (Vec<_>, Vec<_>) = terms.into_iter().partition(sign);
            let mut ranked: Vec<_> = below.into_iter().enumerate().chain(above.into_iter().enumerate()).collect();
            ranked.sort_by_key(|&(rank, _)| rank);
            terms = ranked.into_iter().map(|(_, term)| term).collect();
        }
    }
    chain(terms.iter(), fma)
}

fn chain<'a>(terms: impl Iterator<Item = &'a (f32, f32)>, fma: bool) -> f32 {
    terms.fold(0.0, |sum, &(w, x)| if fma { w.mul_add(x, sum) } else { sum + w * x })
}

fn pairwise(terms: &[(f32, f32)]) -> f32 {
    match terms {
        [] => 0.0,
        [(w, x)] => w * x,
        _ => {
            let (a, b) = terms.split_at(terms.len() / 2);
            pairwise(a) + pairwise(b)
        }
    }
}

/// A finite number as a fraction.
pub fn rational(x: f64) -> BigRational {
    BigRational::from_float(x).expect("a finite number")
}

/// `Σ wᵢxᵢ + b`.
pub fn exact(w: &[f32], x: &[f32], b: f32) -> BigRational {
    let product = |(&w, &x): (&f32, &f32)| rational(w.into()) * rational(x.into());
    w.iter().zip(x).map(product).fold(BigRational::zero(), |sum, p| sum + p) + rational(b.into())
}

/// `Wx + b`, `W` row by row.
pub fn exact_affine(w: &[f32], bias: Option<&[f32]>, x: &[f32]) -> Vec<BigRational> {
    let row = |(i, row): (usize, &[f32])| exact(row, x, bias.map_or(0.0, |b| b[i]));
    w.chunks(x.len()).enumerate().map(row).collect()
}
